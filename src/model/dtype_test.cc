#include "model/dtype.h"

#include <set>

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

// sizeof(block_*) and QK_* of ggml-common.h (iq6_k: ik_llama.cpp; q2_0: Bonsai's fork).
TEST(DType, BlocksAreThoseOfTheirSources) {
  const struct {
    DType dtype;
    const char* name;
    int elements, bytes;
    double bits;
  } expected[] = {
      {DType::F32, "f32", 1, 4, 32},
      {DType::F16, "f16", 1, 2, 16},
      {DType::BF16, "bf16", 1, 2, 16},
      {DType::TF32, "tf32", 1, 4, 32},
      {DType::Q4_0, "q4_0", 32, 2 + 16, 4.5},
      {DType::Q4_1, "q4_1", 32, 4 + 16, 5},
      {DType::Q5_0, "q5_0", 32, 2 + 4 + 16, 5.5},
      {DType::Q5_1, "q5_1", 32, 4 + 4 + 16, 6},
      {DType::Q8_0, "q8_0", 32, 2 + 32, 8.5},
      {DType::Q2_K, "q2_k", 256, 16 + 64 + 4, 2.625},
      {DType::Q3_K, "q3_k", 256, 32 + 64 + 12 + 2, 3.4375},
      {DType::Q4_K, "q4_k", 256, 4 + 12 + 128, 4.5},
      {DType::Q5_K, "q5_k", 256, 4 + 12 + 32 + 128, 5.5},
      {DType::Q6_K, "q6_k", 256, 128 + 64 + 16 + 2, 6.5625},
      {DType::IQ2_XXS, "iq2_xxs", 256, 2 + 64, 2.0625},
      {DType::IQ2_S, "iq2_s", 256, 2 + 64 + 8 + 8, 2.5625},
      {DType::IQ3_XXS, "iq3_xxs", 256, 2 + 96, 3.0625},
      {DType::IQ3_S, "iq3_s", 256, 2 + 64 + 8 + 32 + 4, 3.4375},
      {DType::IQ4_NL, "iq4_nl", 32, 2 + 16, 4.5},
      {DType::IQ4_XS, "iq4_xs", 256, 2 + 2 + 4 + 128, 4.25},
      {DType::IQ6_K, "iq6_k", 256, 2 + 2 + 16 + 128 + 64, 6.625},
      {DType::Q1_0, "q1_0", 128, 2 + 16, 1.125},
      {DType::Q2_0, "q2_0", 128, 2 + 32, 2.125},
      {DType::Q2_G64, "q2_g64", 64, 2 + 16, 2.25},
      {DType::MXFP4, "mxfp4", 32, 1 + 16, 4.25},
      {DType::NVFP4, "nvfp4", 16, 1 + 8, 4.5},
      {DType::FP8, "fp8", 1, 1, 8},
      {DType::INT8, "int8", 1, 1, 8},
      {DType::INT4_G128, "int4_g128", 128, 67, 4.1875},
      {DType::NF4, "nf4", 64, 32 + 1, 4.125},
      {DType::EXL3_4BPW, "exl3_4bpw", 16, 8, 4},
      {DType::EXL3_6BPW, "exl3_6bpw", 16, 12, 6},
      {DType::MLX_4BIT, "mlx_4bit", 64, 2 + 2 + 32, 4.5},
      {DType::MLX_8BIT, "mlx_8bit", 64, 2 + 2 + 64, 8.5},
      {DType::TURBO4, "turbo4", 128, 2 + 2 + 64, 4.25},
      {DType::TQ3_0, "tq3_0", 32, 2 + 12, 3.5},
      {DType::I32, "i32", 1, 4, 32},
      {DType::I64, "i64", 1, 8, 64},
      {DType::F64, "f64", 1, 8, 64},
  };
  std::set<std::string_view> names;
  for (const auto& e : expected) {
    const DTypeInfo& info = dtype_info(e.dtype);
    EXPECT_EQ(info.name, e.name);
    EXPECT_EQ(info.block_elements, e.elements) << e.name;
    EXPECT_EQ(info.block_bytes, e.bytes) << e.name;
    EXPECT_DOUBLE_EQ(dtype_bits(e.dtype), e.bits) << e.name;
    EXPECT_TRUE(names.insert(info.name).second);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kDTypes));
}

TEST(DType, BytesCountTheLastBlockWhole) {
  EXPECT_EQ(dtype_bytes(DType::Q4_K, 512), 288);
  EXPECT_EQ(dtype_bytes(DType::Q4_K, 513), 432);
  EXPECT_EQ(dtype_bytes(DType::BF16, 3), 6);
  EXPECT_EQ(dtype_bytes(DType::Q8_0, 0), 0);
}

}  // namespace
}  // namespace tinderbox
