#include <gtest/gtest.h>

#include "base/random.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

using enum WeightClass;

const WeightFormat kNvfp4 = weight_format("nvfp4", WeightFile::Checkpoint);

bool same(const WeightFormat& a, const WeightFormat& b) {
  for (int i = 0; i < kWeightClasses; ++i) {
    if (a.of(static_cast<WeightClass>(i)) != b.of(static_cast<WeightClass>(i))) return false;
  }
  return a.exceptions.size() == b.exceptions.size() && a.name == b.name;
}

TEST(WeightNote, ModulesTakeTheFormatThatFollowsThem) {
  const WeightFormat f = with_note(kNvfp4,
                                   "MLP and lm_head NVFP4 (W4A16); attention and DeltaNet fp8; "
                                   "embeddings/router, MTP, vision f16");
  EXPECT_EQ(f.of(DenseMlp), DType::NVFP4);
  EXPECT_EQ(f.of(LmHead), DType::NVFP4);
  EXPECT_EQ(f.of(Attention), DType::FP8);
  EXPECT_EQ(f.of(Latent), DType::FP8);
  EXPECT_EQ(f.of(LinearAttention), DType::FP8);
  for (const WeightClass c : {Embedding, Router, Mtp, Vision}) EXPECT_EQ(f.of(c), DType::F16);
  EXPECT_EQ(f.of(Expert), DType::NVFP4);
  EXPECT_EQ(f.of(NormOrBias), DType::BF16);
}

TEST(WeightNote, NegationAndParentheses) {
  const WeightFormat f = with_note(
      kNvfp4,
      "routed experts NVFP4 (W4A16); attention (KDA, sparse MLA, indexer), shared experts, dense "
      "MLPs, n-gram tables, lm_head not NVFP4 (bf16)");
  EXPECT_EQ(f.of(Expert), DType::NVFP4);
  for (const WeightClass c : {Attention, LinearAttention, Latent, Indexer, SharedExpert, DenseMlp,
                              PerLayerEmbedding, LmHead})
    EXPECT_EQ(f.of(c), DType::BF16);
}

TEST(WeightNote, TheRestAreMatricesOfTheLayers) {
  const WeightFormat mxfp4 = weight_format("mxfp4", WeightFile::Checkpoint);
  const WeightFormat f = with_note(mxfp4, "experts mxfp4, the rest q8_0 or f16");
  EXPECT_EQ(f.of(Expert), DType::MXFP4);
  EXPECT_EQ(f.of(Attention), DType::Q8_0);
  EXPECT_EQ(f.of(SharedExpert), DType::Q8_0);
  EXPECT_EQ(f.of(Embedding), DType::BF16);
  EXPECT_EQ(f.of(NormOrBias), DType::BF16);
  EXPECT_EQ(with_note(kNvfp4, "routed experts and n-gram tables fp8 (174.51B); everything else "
                              "bf16 (5.49B)")
                .of(Attention),
            DType::BF16);
}

// "fp4" and "4 bit" leave the format that the name gives.
TEST(WeightNote, VagueFormatsKeepTheirs) {
  const WeightFormat ds4 = weight_format("ds4_q4", WeightFile::Gguf);
  const WeightFormat noted = with_note(ds4, "routed experts 4 bit, the rest q4_0 or f16");
  EXPECT_EQ(noted.of(Expert), DType::Q4_K);
  EXPECT_EQ(noted.of(Attention), DType::Q4_0);
  const WeightFormat v4 = weight_format("fp8_mxfp4exp", WeightFile::Checkpoint);
  const WeightFormat f = with_note(v4, "native checkpoint: experts fp4, the rest fp8");
  EXPECT_EQ(f.of(Expert), DType::MXFP4);
  EXPECT_EQ(f.of(Attention), DType::FP8);
  EXPECT_EQ(f.of(Embedding), DType::BF16);
}

TEST(WeightNote, TheFirstStatementCounts) {
  EXPECT_EQ(with_note(kNvfp4, "17 of 23 Mamba in/out projections NVFP4; 6 Mamba projections bf16")
                .of(LinearAttention),
            DType::NVFP4);
  EXPECT_EQ(with_note(weight_format("fp8", WeightFile::Checkpoint),
                      "linears fp8 block 128 (24.70B); lm_head, DeltaNet conv/a/b/A_log bf16")
                .of(LinearAttention),
            DType::FP8);
}

TEST(WeightNote, AFormatBeforeItsModule) {
  const WeightFormat f =
      with_note(weight_format("int4", WeightFile::Checkpoint), "int4 (AutoRound) + fp8 dense");
  EXPECT_EQ(f.of(Attention), DType::FP8);
  EXPECT_EQ(f.of(SharedExpert), DType::FP8);
  EXPECT_EQ(f.of(Expert), DType::INT4_G128);
}

TEST(WeightNote, AClassInAnotherFormatLosesItsExceptions) {
  const WeightFormat q4 = weight_format("q4_k_m", WeightFile::Gguf);
  const WeightFormat f = with_note(q4, "attention bf16");
  EXPECT_EQ(f.of(Attention, "attn_v.weight", 0, 32, 4096), DType::BF16);
  EXPECT_EQ(f.of(DenseMlp, "ffn_down.weight", 0, 32, 4096), DType::Q6_K);
  const WeightFormat ds4 = weight_format("ds4_q2", WeightFile::Gguf);
  const WeightFormat noted = with_note(ds4, "routed experts iq2_xxs/q2_k, the rest q8_0");
  EXPECT_EQ(noted.of(Expert, "ffn_down_exps.weight", 0, 43, 2048), DType::Q2_K);
}

TEST(WeightNote, TellsWhatItSpokeOf) {
  WeightFormat f = kNvfp4;
  EXPECT_EQ(apply_note(f, "experts mxfp4; attention, embedding and head bf16"),
            (std::set<WeightClass>{Expert, Attention, Latent, Embedding, LmHead}));
  EXPECT_EQ(apply_note(f, "experts fp4"), std::set<WeightClass>{Expert}) << "also where it changes nothing";
  EXPECT_TRUE(apply_note(f, "module list not stated").empty());
}

TEST(WeightNote, UnknownTextChangesNothing) {
  for (const char* note :
       {"", ";;", "not stated", "compressed-tensors NVFP4; module list not stated", "source says fp4",
        "mixed precision", "file 64.6 GiB", "q4_k_m (86 GB)", "NVFP4 with fp8 KV", "awq-int4",
        "EXL3, per file, not read", "attention", "bf16", "file label fp16, experts stay nvfp4",
        "exclude list empty, so modules not stated (74.80 GiB for 120.7B: clearly mixed)",
        "default quantisation of the tag, presumed"})
    EXPECT_TRUE(same(with_note(kNvfp4, note), kNvfp4)) << note;
  // Any bytes at all.
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    Random random(5, Stream::Test, seed);
    std::string note;
    for (std::int64_t i = random.range(0, 80); i > 0; --i)
      note += static_cast<char>(random.range(0, 255));
    with_note(kNvfp4, note);
  }
}

}  // namespace
}  // namespace tinderbox
