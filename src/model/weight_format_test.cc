#include "model/weight_format.h"

#include <set>

#include <gtest/gtest.h>

#include "base/error.h"

namespace tinderbox {
namespace {

TEST(WeightFormat, EveryNameIsKnownOnceAndItsClassesAreConsistent) {
  std::set<std::string> names;
  for (const std::string& name : weight_format_names()) {
    EXPECT_TRUE(names.insert(name).second) << name;
    for (const WeightFile file : {WeightFile::Gguf, WeightFile::OllamaGguf, WeightFile::Checkpoint, WeightFile::Mlx}) {
      const WeightFormat f = weight_format(name, file);
      EXPECT_EQ(f.name, name);
      // No format spends more on a big matrix than on the vectors beside it.
      EXPECT_LE(dtype_bits(f.of(WeightClass::Expert)), dtype_bits(f.of(WeightClass::NormOrBias)));
      EXPECT_LE(dtype_bits(f.of(WeightClass::Attention)),
                dtype_bits(f.of(WeightClass::NormOrBias)));
      EXPECT_LE(dtype_bits(f.of(WeightClass::Expert)), dtype_bits(f.of(WeightClass::LmHead)))
          << name;
      for (int i = 0; i < kWeightClasses; ++i) {
        const auto weight = static_cast<WeightClass>(i);
        // A class that a name forgets would be in f32.
        const bool vector = weight == WeightClass::NormOrBias || weight == WeightClass::Router;
        EXPECT_TRUE(vector || name == "f32" || f.of(weight) != DType::F32) << name << " " << i;
        EXPECT_LT(static_cast<int>(f.of(weight)), name == "fp64" ? kDTypes : kWeightDTypes);
      }
    }
  }
}

TEST(WeightFormat, ServersKeepTablesIn16BitsAndGgufVectorsIn32) {
  const WeightFormat vllm = weight_format("mxfp4", WeightFile::Checkpoint);
  const WeightFormat gguf = weight_format("mxfp4", WeightFile::Gguf);
  EXPECT_EQ(vllm.of(WeightClass::Expert), DType::MXFP4);
  EXPECT_EQ(gguf.of(WeightClass::Expert), DType::MXFP4);
  EXPECT_EQ(vllm.of(WeightClass::Attention), DType::BF16);
  EXPECT_EQ(gguf.of(WeightClass::Attention), DType::Q8_0);
  EXPECT_EQ(gguf.of(WeightClass::Router), DType::F32);
  const WeightFormat fp8 = weight_format("fp8", WeightFile::Checkpoint);
  EXPECT_EQ(fp8.of(WeightClass::DenseMlp), DType::FP8);
  EXPECT_EQ(fp8.of(WeightClass::Embedding), DType::BF16);
  EXPECT_EQ(fp8.of(WeightClass::LmHead), DType::BF16);
}

// Routed experts only in models that have them; in dense hybrids attention is wider than the MLPs.
TEST(WeightFormat, Nvfp4DependsOnTheKindOfModel) {
  const WeightFormat dense = weight_format("nvfp4", WeightFile::Checkpoint);
  const WeightFormat experts = weight_format("nvfp4", WeightFile::Checkpoint, {.experts = true});
  const WeightFormat hybrid = weight_format("nvfp4", WeightFile::Checkpoint, {.linear_attention = true});
  const WeightFormat gguf = weight_format("nvfp4", WeightFile::Gguf, {.linear_attention = true});
  EXPECT_EQ(dense.of(WeightClass::Attention), DType::NVFP4);
  EXPECT_EQ(dense.of(WeightClass::LmHead), DType::BF16);
  EXPECT_EQ(experts.of(WeightClass::Expert), DType::NVFP4);
  for (const WeightClass c : {WeightClass::Attention, WeightClass::Latent, WeightClass::DenseMlp,
                              WeightClass::SharedExpert, WeightClass::LinearAttention})
    EXPECT_EQ(experts.of(c), DType::BF16);
  EXPECT_EQ(hybrid.of(WeightClass::DenseMlp), DType::NVFP4);
  EXPECT_EQ(hybrid.of(WeightClass::LinearAttention), DType::FP8);
  EXPECT_EQ(gguf.of(WeightClass::LinearAttention), DType::Q8_0);
  EXPECT_EQ(weight_format("mxfp4", WeightFile::Checkpoint, {.experts = true}).of(WeightClass::DenseMlp),
            DType::BF16);
}

TEST(WeightFormat, NewClassesFollowTheirRules) {
  const WeightFormat fp8 = weight_format("fp8", WeightFile::Checkpoint);
  EXPECT_EQ(fp8.of(WeightClass::LinearAttention, "ssm_out.weight", 0, 40, 4096), DType::FP8);
  EXPECT_EQ(fp8.of(WeightClass::LinearAttention, "ssm_alpha.weight", 0, 40, 4096), DType::BF16);
  EXPECT_EQ(fp8.of(WeightClass::Latent), DType::FP8);
  EXPECT_EQ(fp8.of(WeightClass::PerLayerEmbedding), DType::BF16);
  const WeightFormat q4 = weight_format("q4_k_m", WeightFile::Gguf), ud = weight_format("q4_k_xl", WeightFile::Gguf);
  EXPECT_EQ(q4.of(WeightClass::LinearAttention, "attn_qkv.weight", 9, 64, 5120), DType::Q5_K);
  EXPECT_EQ(q4.of(WeightClass::LinearAttention, "ssm_out.weight", 9, 64, 5120), DType::Q4_K);
  EXPECT_EQ(ud.of(WeightClass::LinearAttention, "ssm_out.weight", 9, 64, 5120), DType::Q8_0);
  EXPECT_EQ(q4.of(WeightClass::SharedExpert, "ffn_down_shexp.weight", 0, 64, 512), DType::Q6_K);
  EXPECT_EQ(q4.of(WeightClass::Latent, "attn_v_b.weight", 0, 64, 512), DType::Q4_K);
  const WeightFormat ds4 = weight_format("ds4_q2", WeightFile::Gguf);
  EXPECT_EQ(ds4.of(WeightClass::Expert, "ffn_up_exps.weight", 3, 43, 4096), DType::IQ2_XXS);
  EXPECT_EQ(ds4.of(WeightClass::Expert, "ffn_down_exps.weight", 3, 43, 2048), DType::Q2_K);
  EXPECT_EQ(ds4.of(WeightClass::SharedExpert, "ffn_down_shexp.weight", 3, 43, 2048), DType::Q8_0);
  const WeightFormat v4 = weight_format("fp8_mxfp4exp", WeightFile::Checkpoint);
  EXPECT_EQ(v4.of(WeightClass::Expert), DType::MXFP4);
  EXPECT_EQ(v4.of(WeightClass::SharedExpert), DType::FP8);
  EXPECT_EQ(v4.of(WeightClass::Indexer), DType::BF16);
}

// Experts alone are quantised; Ollama's own quantiser does it the other way round.
TEST(WeightFormat, DeltaRuleModelsWithExpertsHaveMixturesOfTheirOwn) {
  constexpr ModelKind kDense{.experts = false, .linear_attention = true, .delta_rule = true};
  constexpr ModelKind kSparse{.experts = true, .linear_attention = true, .delta_rule = true};
  constexpr ModelKind kMamba{.experts = true, .linear_attention = true, .delta_rule = false};
  struct Case {
    WeightFile file;
    ModelKind kind;
    DType attn_v, qkv, ssm_out, shared_down, down;  // of a layer that use_more_bits leaves alone
  };
  using enum DType;
  for (const Case& c : {Case{WeightFile::Gguf, kSparse, Q8_0, Q8_0, Q8_0, Q8_0, Q4_K},
                        Case{WeightFile::Gguf, kDense, Q4_K, Q5_K, Q4_K, Q4_K, Q4_K},
                        Case{WeightFile::Gguf, kMamba, Q4_K, Q5_K, Q4_K, Q4_K, Q4_K},
                        Case{WeightFile::OllamaGguf, kSparse, Q6_K, Q4_K, Q4_K, Q6_K, Q6_K},
                        Case{WeightFile::OllamaGguf, kDense, Q6_K, Q4_K, Q4_K, Q6_K, Q6_K},
                        Case{WeightFile::OllamaGguf, kMamba, Q4_K, Q5_K, Q4_K, Q4_K, Q4_K}}) {
    const WeightFormat f = weight_format("q4_k_m", c.file, c.kind);
    const auto of = [&](WeightClass weight, const char* name) { return f.of(weight, name, 9, 48, 2048); };
    EXPECT_EQ(of(WeightClass::Attention, "attn_v.weight"), c.attn_v);
    EXPECT_EQ(of(WeightClass::LinearAttention, "attn_qkv.weight"), c.qkv);
    EXPECT_EQ(of(WeightClass::LinearAttention, "ssm_out.weight"), c.ssm_out);
    EXPECT_EQ(of(WeightClass::SharedExpert, "ffn_down_shexp.weight"), c.shared_down);
    EXPECT_EQ(of(WeightClass::Expert, "ffn_down_exps.weight"), c.down);
    EXPECT_EQ(of(WeightClass::Expert, "ffn_up_exps.weight"), Q4_K);
  }
  // Files of 8 bits and up are the same everywhere but for the tables.
  const WeightFormat q8 = weight_format("q8_0", WeightFile::OllamaGguf, kSparse);
  EXPECT_EQ(q8.of(WeightClass::Expert, "ffn_down_exps.weight", 9, 48, 2048), Q8_0);
  EXPECT_EQ(q8.of(WeightClass::PerLayerEmbedding), F16);
}

TEST(WeightFormat, UniformIsUniform) {
  const WeightFormat f = uniform_weight_format(DType::Q8_0);
  for (int i = 0; i < kWeightClasses; ++i)
    EXPECT_EQ(f.of(static_cast<WeightClass>(i)), DType::Q8_0);
}

// llama.cpp's use_more_bits for 32 layers: 0-3, 28-31 and every third from 6 on.
TEST(WeightFormat, Q4KMRaisesHalfOfValuesAndDown) {
  const WeightFormat f = weight_format("q4_k_m", WeightFile::Gguf);
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
  const WeightFormat f = weight_format("q4_k_m", WeightFile::Gguf);
  EXPECT_EQ(f.of(WeightClass::Attention, "attn_q.weight", 9, 30, 576), DType::Q5_0);
  EXPECT_EQ(f.of(WeightClass::LmHead, "token_embd.weight", -1, 30, 576), DType::Q8_0);
  EXPECT_EQ(f.of(WeightClass::Attention, "attn_q.weight", 9, 30, 100), DType::F16);
  EXPECT_EQ(f.of(WeightClass::NormOrBias, "attn_norm.weight", 9, 30, 100), DType::F32);
}

TEST(WeightFormat, UnknownNamesAreRefusedWithTheNearest) {
  try {
    weight_format("q4_k_n", WeightFile::Gguf);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::Invalid);
    EXPECT_NE(std::string(e.what()).find("'q4_k_m'"), std::string::npos) << e.what();
  }
  EXPECT_THROW(weight_format("", WeightFile::Checkpoint), Error);
}

}  // namespace
}  // namespace tinderbox
