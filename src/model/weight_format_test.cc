#include "model/weight_format.h"

#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/graph.h"

namespace tinderbox {
namespace {

double weight_bytes(const std::string& id, const char* format) {
  const auto path = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/models" / (id + ".json");
  const Graph graph =
      build_step(load_config(path), weight_format(format, true), DType::F16, {{0, 1, true}});
  double bytes = 0;
  for (const Value& v : graph.values) {
    if (v.role == Role::Weight) {
      bytes += dtype_bytes(v.dtype, static_cast<double>(v.cols)) * static_cast<double>(v.rows);
    }
  }
  return bytes;
}

// Sizes of published GGUF files in 1e9 bytes, as measurements state them (checkpoint_gb).
TEST(WeightFormat, BytesOfPublishedFiles) {
  const struct {
    const char *id, *format;
    double gb;
  } files[] = {
      {"gpt-oss-120b", "mxfp4", 63.37},   {"gpt-oss-120b", "q4_k_m", 87.84},
      {"gpt-oss-20b", "mxfp4", 12.1},     {"llama-2-7b", "q4_0", 3.823},
      {"llama-2-13b", "q4_0", 7.366},     {"llama-3-8b", "f16", 16.06},
      {"llama-3-8b", "q4_k_m", 4.918},    {"llama-3.1-70b", "q4_k_m", 42.51},
      {"llama-3.1-8b", "bf16", 16.06},    {"llama-3.1-8b", "q4_0", 4.649},
      {"llama-3.1-8b", "q4_k_s", 4.703},  {"llama-3.2-1b", "q4_k_m", 0.7999},
      {"qwen2.5-14b", "q4_k_m", 8.987},   {"qwen2.5-3b", "q4_k_m", 1.922},
      {"qwen2.5-7b", "q4_k_m", 4.682},    {"qwen2.5-7b", "q8_0", 8.096},
      {"qwen3-30b-a3b", "iq4_xs", 16.45}, {"qwen3-30b-a3b", "q4_k_m", 18.55},
      {"qwen3-30b-a3b", "q8_0", 32.48},   {"qwen3-4b", "q4_k_m", 2.491},
      {"qwen3-8b", "q4_k_m", 5.025},      {"qwen3-1.7b", "q4_k_m", 1.106},
  };
  for (const auto& file : files) {
    EXPECT_NEAR(weight_bytes(file.id, file.format) / 1e9, file.gb, 0.01 * file.gb)
        << file.id << " " << file.format;
  }
}

TEST(WeightFormat, EveryNameIsKnownOnceAndItsClassesAreConsistent) {
  std::set<std::string> names;
  for (const std::string& name : weight_format_names()) {
    EXPECT_TRUE(names.insert(name).second) << name;
    for (const bool gguf : {false, true}) {
      const WeightFormat f = weight_format(name, gguf);
      EXPECT_EQ(f.name, name);
      // No format spends more on a big matrix than on the vectors beside it.
      EXPECT_LE(dtype_bits(f.of(WeightClass::Expert)), dtype_bits(f.of(WeightClass::NormOrBias)));
      EXPECT_LE(dtype_bits(f.of(WeightClass::Attention)),
                dtype_bits(f.of(WeightClass::NormOrBias)));
      EXPECT_LE(dtype_bits(f.of(WeightClass::Expert)), dtype_bits(f.of(WeightClass::LmHead)))
          << name;
    }
  }
}

TEST(WeightFormat, ServersKeepTablesIn16BitsAndGgufVectorsIn32) {
  const WeightFormat vllm = weight_format("mxfp4", false), gguf = weight_format("mxfp4", true);
  EXPECT_EQ(vllm.of(WeightClass::Expert), DType::MXFP4);
  EXPECT_EQ(gguf.of(WeightClass::Expert), DType::MXFP4);
  EXPECT_EQ(vllm.of(WeightClass::Attention), DType::BF16);
  EXPECT_EQ(gguf.of(WeightClass::Attention), DType::Q8_0);
  EXPECT_EQ(gguf.of(WeightClass::Router), DType::F32);
  const WeightFormat fp8 = weight_format("fp8", false);
  EXPECT_EQ(fp8.of(WeightClass::DenseMlp), DType::FP8);
  EXPECT_EQ(fp8.of(WeightClass::Embedding), DType::BF16);
  EXPECT_EQ(fp8.of(WeightClass::LmHead), DType::BF16);
}

// llama.cpp's use_more_bits for 32 layers: 0-3, 28-31 and every third from 6 on.
TEST(WeightFormat, Q4KMRaisesHalfOfValuesAndDown) {
  const WeightFormat f = weight_format("q4_k_m", true);
  std::set<int> raised;
  for (int layer = 0; layer < 32; ++layer) {
    const DType v = f.of(WeightClass::Attention, "attn_v.weight", layer, 32, 4096);
    EXPECT_EQ(v, f.of(WeightClass::DenseMlp, "ffn_down.weight", layer, 32, 4096));
    EXPECT_EQ(v, f.of(WeightClass::Expert, "ffn_down_exps.weight", layer, 32, 4096));
    EXPECT_EQ(f.of(WeightClass::Attention, "attn_q.weight", layer, 32, 4096), DType::Q4_K);
    if (v == DType::Q6_K) raised.insert(layer);
  }
  EXPECT_EQ(raised, (std::set<int>{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}));
}

TEST(WeightFormat, RowsThatDoNotFillBlocksFallBack) {
  const WeightFormat f = weight_format("q4_k_m", true);
  EXPECT_EQ(f.of(WeightClass::Attention, "attn_q.weight", 9, 30, 576), DType::Q5_0);
  EXPECT_EQ(f.of(WeightClass::LmHead, "token_embd.weight", -1, 30, 576), DType::Q8_0);
  EXPECT_EQ(f.of(WeightClass::Attention, "attn_q.weight", 9, 30, 100), DType::F16);
  EXPECT_EQ(f.of(WeightClass::NormOrBias, "attn_norm.weight", 9, 30, 100), DType::F32);
}

TEST(WeightFormat, UnknownNamesAreRefusedWithTheNearest) {
  try {
    weight_format("q4_k_n", true);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::Invalid);
    EXPECT_NE(std::string(e.what()).find("'q4_k_m'"), std::string::npos) << e.what();
  }
  EXPECT_THROW(weight_format("", false), Error);
  EXPECT_EQ(kv_format("f16"), DType::F16);
  EXPECT_EQ(kv_format("q8_0"), DType::Q8_0);
  EXPECT_THROW(kv_format("f17"), Error);
}

}  // namespace
}  // namespace tinderbox
