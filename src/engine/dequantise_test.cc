#include "engine/dequantise.h"

#include <cmath>

#include "base/random.h"
#include "engine/float_bits.h"
#include "engine/test_weights.h"

namespace tinderbox {
namespace {

TEST(FloatBits, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const float f = f16_to_f32(static_cast<std::uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f))));
    } else {
      ASSERT_EQ(f32_to_f16(f), h);
    }
  }
}

TEST(FloatBits, RoundsToTheNearestHalfTiesToEven) {
  Random random(1, Stream::Test);
  for (int i = 0; i < 20000; ++i) {
    const float x = static_cast<float>(random.normal() * std::exp2(random.range(-26, 14)));
    const float y = f16_to_f32(f32_to_f16(x));
    const std::uint16_t bits = f32_to_f16(x);
    if (std::isinf(y)) continue;
    // No neighbour is nearer.
    for (const int step : {-1, 1}) {
      const float other = f16_to_f32(static_cast<std::uint16_t>(bits + step));
      if (std::isnan(other) || std::isinf(other) || std::signbit(other) != std::signbit(y))
        continue;
      ASSERT_LE(std::fabs(x - y), std::fabs(x - other)) << x;
    }
  }
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);             // tie, down to even
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-10f + 0x1p-11f), 0x3c02);  // tie, up to even
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
}

std::vector<float> row_of(DType dtype, const std::vector<std::uint8_t>& bytes) {
  std::vector<std::byte> data;
  for (const std::uint8_t b : bytes) data.push_back(std::byte{b});
  return test::dequantised(dtype, 1, dtype_info(dtype).block_elements, data);
}

// Blocks written by hand from the layouts in ggml's documentation. 0x3c00 is 1.0, 0x4000 2.0,
// 0x3800 0.5 as F16.
TEST(Dequantise, BlocksByHand) {
  std::vector<std::uint8_t> q4_0(18, 0x80);  // low nibble 0, high nibble 8
  q4_0[0] = 0x00, q4_0[1] = 0x40;
  const std::vector<float> a = row_of(DType::Q4_0, q4_0);
  EXPECT_EQ(a[0], -16.0f);
  EXPECT_EQ(a[16], 0.0f);

  std::vector<std::uint8_t> q4_1(20, 0x3f);  // low nibble 15, high nibble 3
  q4_1[0] = 0x00, q4_1[1] = 0x38, q4_1[2] = 0x00, q4_1[3] = 0x3c;
  const std::vector<float> b = row_of(DType::Q4_1, q4_1);
  EXPECT_EQ(b[15], 0.5f * 15 + 1);
  EXPECT_EQ(b[31], 0.5f * 3 + 1);

  std::vector<std::uint8_t> q8_0(34, 0x80);
  q8_0[0] = 0x00, q8_0[1] = 0x3c;
  EXPECT_EQ(row_of(DType::Q8_0, q8_0)[31], -128.0f);

  // Scales 1 .. 4 and minima 5 .. 8 in the first eight bytes; sub-block 4 + j: scale from low
  // nibbles, min from high.
  std::vector<std::uint8_t> q4_k(144, 0x21);
  const std::uint8_t scales[12] = {1, 2, 3, 4 | 0xc0, 5, 6, 7, 8 | 0x40, 0x1f, 0x20, 0x30, 0x49};
  q4_k[0] = 0x00, q4_k[1] = 0x3c, q4_k[2] = 0x00, q4_k[3] = 0x40;
  std::copy(scales, scales + 12, q4_k.begin() + 4);
  const std::vector<float> c = row_of(DType::Q4_K, q4_k);
  EXPECT_EQ(c[0], 1 * 1.0f - 2 * 5.0f);        // scale 1, code 1, min 5
  EXPECT_EQ(c[32], 2 * 2.0f - 2 * 6.0f);       // scale 2, code 2, min 6
  EXPECT_EQ(c[4 * 32], 15 * 1.0f - 2 * 1.0f);  // 0x1f: scale 15, min 1
  // Sub-block 7: scale 9 + 3 * 16 (top bits of byte 3), min 4 + 1 * 16 (top bits of byte 7),
  // code 2.
  EXPECT_EQ(c[7 * 32], 57 * 2.0f - 2 * 20.0f);

  std::vector<std::uint8_t> q6_k(210, 0);
  q6_k[0] = 0x05;             // value 0: low 5; value 64: low 0
  q6_k[128] = 0b11'10'01'10;  // high bits of values 0, 32, 64, 96: 2, 1, 2, 3
  q6_k[192] = 3, q6_k[196] = 0xff, q6_k[209] = 0x3c;
  const std::vector<float> d = row_of(DType::Q6_K, q6_k);
  EXPECT_EQ(d[0], 3 * (5 + 2 * 16 - 32.0f));
  EXPECT_EQ(d[64], -1 * (0 + 2 * 16 - 32.0f));
  EXPECT_EQ(d[65], -1 * (-32.0f));
}

}  // namespace
}  // namespace tinderbox
