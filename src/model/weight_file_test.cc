#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

std::string refusal(std::string_view name, WeightFile file, std::string_view stack) {
  try {
    require_readable(name, file, stack);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Unsupported);
    return error.what();
  }
  return "";
}

TEST(WeightFile, EveryCombinationOfTheMeasurementsIsReadable) {
  for (const char* name : {"bf16", "f16", "iq2_xxs", "iq3_xxs", "iq4_xs", "iq6_k", "mxfp4", "nvfp4",
                           "q1_0", "q2_0", "q2_g64", "q2_k", "q4_0", "q4_k", "q4_k_m", "q4_k_s",
                           "q4_k_xl", "q5_k_m", "q5_k_xl", "q6_k", "q8_0", "q8_k_xl", "ds4_q2",
                           "ds4_q4"})
    EXPECT_TRUE(is_gguf_format(name)) << name;
  for (const char* name : {"bf16", "f16", "f32", "tf32", "fp8", "fp8_mxfp4exp", "int4",
                           "int4_int8mix", "int8", "mxfp4", "nvfp4", "nf4", "exl3_4bpw"})
    EXPECT_TRUE(is_checkpoint_format(name)) << name;
  for (const char* name : {"mlx_4bit", "mlx_8bit"}) {
    EXPECT_TRUE(exists_as(name, WeightFile::Mlx)) << name;
    EXPECT_FALSE(is_gguf_format(name) || is_checkpoint_format(name)) << name;
  }
  // Every name but one exists as something; no other does.
  for (const std::string& name : weight_format_names()) {
    const bool some = is_gguf_format(name) || is_checkpoint_format(name) ||
                      exists_as(name, WeightFile::Mlx);
    EXPECT_EQ(some, name != "fp64") << name;
  }
  EXPECT_FALSE(is_gguf_format("q9_k"));
  EXPECT_FALSE(is_checkpoint_format("q9_k"));
}

TEST(WeightFile, WrongCombinationsAreRefusedWithTheReaders) {
  const std::string fp8 = refusal("fp8", WeightFile::Gguf, "Ollama");
  for (const char* word : {"Ollama", "'fp8'", "vLLM", "SGLang", "TensorRT-LLM"})
    EXPECT_NE(fp8.find(word), std::string::npos) << fp8;
  const std::string q4 = refusal("q4_k_m", WeightFile::Checkpoint, "vLLM");
  for (const char* word : {"vLLM", "'q4_k_m'", "llama.cpp", "Ollama"})
    EXPECT_NE(q4.find(word), std::string::npos) << q4;
  EXPECT_NE(refusal("mlx_4bit", WeightFile::Checkpoint, "SGLang").find("MLX"), std::string::npos);
  EXPECT_NE(refusal("fp64", WeightFile::Checkpoint, "SGLang").find("no serving stack"),
            std::string::npos);
  for (const char* name : {"mxfp4", "nvfp4", "bf16"}) {
    EXPECT_EQ(refusal(name, WeightFile::Gguf, "llama.cpp"), "");
    EXPECT_EQ(refusal(name, WeightFile::Checkpoint, "vLLM"), "");
  }
  EXPECT_EQ(refusal("q8_0", WeightFile::Gguf, "llama.cpp"), "");
  try {
    require_readable("q4_k_n", WeightFile::Gguf, "llama.cpp");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Invalid);
  }
}

TEST(WeightFile, KvFormats) {
  // What the column kv_norm of data/measurements holds.
  for (const char* name : {"f16", "bf16", "fp8", "nvfp4", "q8_0", "turbo4", "tq3_0"})
    EXPECT_EQ(dtype_info(kv_format(name)).name, name);
  EXPECT_EQ(kv_format("q5_1"), DType::Q5_1);
  EXPECT_DOUBLE_EQ(dtype_bits(kv_format("turbo4")), 4.25);
  EXPECT_THROW(kv_format("f17"), Error);
  EXPECT_THROW(kv_format(""), Error);
}

}  // namespace
}  // namespace tinderbox
