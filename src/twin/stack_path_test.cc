// A stack as some build or version of its program runs it.
#include <string>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "twin/stack.h"

namespace tinderbox {
namespace {

Stack load(const std::string& id) {
  return parse_stack(read_file(std::string(TINDERBOX_SOURCE_DIR) + "/data/stacks/" + id + ".toml"), id + ".toml");
}

std::string kernels_name(const Stack& stack, DType dtype) {
  const Kernels* kernels = stack.kernels_of(dtype);
  return kernels == nullptr ? "" : kernels->name;
}

TEST(WithPath, TakesTheKernelsAskedFor) {
  const Stack vllm = load("vllm");
  EXPECT_EQ(kernels_name(vllm, DType::FP8), "fp8");
  EXPECT_EQ(kernels_name(with_path(vllm, "marlin", ""), DType::FP8), "marlin8");
  EXPECT_EQ(kernels_name(with_path(vllm, "triton-attn+marlin", ""), DType::FP8), "marlin8");
  EXPECT_EQ(kernels_name(with_path(vllm, "triton-attn + marlin", "0.11"), DType::FP8), "marlin8");
  EXPECT_EQ(kernels_name(with_path(vllm, "flashinfer-mxfp4", ""), DType::MXFP4), "fp4");
  EXPECT_EQ(kernels_name(with_path(vllm, "marlin", ""), DType::BF16), "bf16");
  for (const char* nothing : {"", "marlinade", "eager", "+", "flashinfer_mxfp4"}) {
    const Stack same = with_path(vllm, nothing, "");
    EXPECT_EQ(same.format_kernels, vllm.format_kernels) << nothing;
  }
}

TEST(WithPath, OldVersionsScheduleAsTheyDid) {
  const Stack vllm = load("vllm");
  for (const char* old : {"0.8.5", "v0.13.0", "0.11.1rc2.dev3+g12", "0.9"}) {
    EXPECT_EQ(with_path(vllm, "", old).policy, "cached") << old;
  }
  for (const char* other : {"", "0.14.0", "0.26.1rc1.dev608+g99a10304d", "1.0", "nightly", "25.09-py3", "v", ".", "0.",
                            ".5", "-1.2", "0.99999999999999999999", "a.b"}) {
    EXPECT_EQ(with_path(vllm, "", other).policy, "vllm") << other;
  }
}

TEST(WithPath, TakesWhatTheBuildHasByItself) {
  const Stack llama = load("llama.cpp");
  const auto of = [&](const char* path, const char* version) {
    return kernels_name(with_path(llama, path, version), DType::MXFP4);
  };
  const std::string plain = kernels_name(llama, DType::MXFP4);
  EXPECT_EQ(plain, "mxfp4");
  for (const char* version : {"b7941", "7cb32ab (7941)", "b9193 (1a68ec937)", "build b8000-cuda",
                              "b99999999999999999999"}) {
    EXPECT_EQ(of("", version), "fp4_native") << version;
    EXPECT_EQ(of("no-native-fp4", version), plain) << version;  // what is asked for wins
  }
  for (const char* version : {"", "b7940", "eeee367de (6989)", "2026-03", "b7941x", "7941",
                              "ab7941", "b", "(", "b79"}) {
    EXPECT_EQ(of("", version), plain) << version;
    EXPECT_EQ(of("native-mxfp4", version), "fp4_native") << version;
  }
}

TEST(WithPath, TakesWhatTheVersionHasByItself) {
  const Stack vllm = load("vllm");
  const auto of = [&](const char* path, const char* version) {
    return kernels_name(with_path(vllm, path, version), DType::NVFP4);
  };
  for (const char* version : {"0.23", "0.25.1", "v0.26.1rc1.dev608+g99a10304d", "1.0"}) {
    EXPECT_EQ(of("", version), "fp4") << version;
    EXPECT_EQ(of("marlin", version), "marlin4") << version;
  }
  for (const char* version : {"", "0.22.1", "0.9", "nightly"}) {
    EXPECT_EQ(of("", version), "marlin4") << version;
    EXPECT_EQ(of("cutlass", version), "fp4") << version;
  }
}

TEST(WithPath, ReplaysTheGraphsThatTheBuildCaptures) {
  const Stack llama = load("llama.cpp");
  for (const char* version : {"", "b8069", "eeee367de (6989)", "2026-03"}) {
    const GraphLimits limits = with_path(llama, "", version).graph_limits;
    EXPECT_EQ(limits.tokens, 1) << version;
    EXPECT_EQ(limits.expert_tokens, 1) << version;
  }
  for (const char* version : {"b8070", "04a65daab (8268)"}) {
    const GraphLimits limits = with_path(llama, "", version).graph_limits;
    EXPECT_EQ(limits.tokens, GraphLimits::kNone) << version;
    EXPECT_EQ(limits.expert_tokens, 4) << version;
  }
  EXPECT_EQ(load("vllm").graph_limits.tokens, GraphLimits::kNone);
}

}  // namespace
}  // namespace tinderbox
