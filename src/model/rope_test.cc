#include "model/rope.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

Rope plain(int n_dims, double theta) {
  Rope rope;
  rope.n_dims = n_dims;
  rope.theta = theta;
  return rope;
}

TEST(Rope, PlainFrequenciesAreGeometric) {
  const auto f = rope_frequencies(plain(8, 10000.0));
  ASSERT_EQ(f.size(), 4u);
  EXPECT_DOUBLE_EQ(f[0], 1.0);
  EXPECT_NEAR(f[1], 0.1, 1e-15);
  EXPECT_NEAR(f[2], 0.01, 1e-16);
  EXPECT_NEAR(f[3], 0.001, 1e-17);
  EXPECT_TRUE(rope_frequencies(plain(0, 10000.0)).empty());
}

TEST(Rope, LinearAndFactorsDivide) {
  Rope rope = plain(8, 10000.0);
  rope.scaling = RopeScaling::Linear;
  rope.factor = 4.0;
  rope.factors = {1.0, 2.0, 3.0, 4.0};
  const auto f = rope_frequencies(rope);
  const auto base = rope_frequencies(plain(8, 10000.0));
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(f[i], base[i] / 4.0 / static_cast<double>(i + 1), 1e-15);
}

// Llama 3.1: wavelengths below 8192 / 4 are kept, above 8192 divided by 8, those between lie
// between.
TEST(Rope, Llama3StretchesLongWavelengthsOnly) {
  Rope rope = plain(128, 500000.0);
  const auto base = rope_frequencies(rope);
  rope.scaling = RopeScaling::Llama3;
  rope.factor = 8.0;
  rope.n_ctx_original = 8192;
  const auto f = rope_frequencies(rope);
  int kept = 0, stretched = 0, between = 0;
  for (std::size_t i = 0; i < f.size(); ++i) {
    const double wavelength = 2.0 * std::numbers::pi / base[i];
    if (wavelength < 2048) {
      EXPECT_EQ(f[i], base[i]);
      ++kept;
    } else if (wavelength > 8192) {
      EXPECT_DOUBLE_EQ(f[i], base[i] / 8.0);
      ++stretched;
    } else {
      EXPECT_TRUE(f[i] < base[i] && f[i] > base[i] / 8.0);
      ++between;
    }
  }
  EXPECT_EQ(kept, 29);
  EXPECT_EQ(between, 6);
  EXPECT_EQ(stretched, 29);
}

// gpt-oss: correction range 8.09 to 17.40 of 32 pairs, concentration 0.1 ln 32 + 1.
TEST(Rope, YarnOfGptOss) {
  Rope rope = plain(64, 150000.0);
  const auto base = rope_frequencies(rope);
  rope.scaling = RopeScaling::Yarn;
  rope.factor = 32.0;
  rope.n_ctx_original = 4096;
  rope.yarn_truncate = false;
  const auto f = rope_frequencies(rope);
  for (std::size_t i = 0; i <= 8; ++i) EXPECT_DOUBLE_EQ(f[i], base[i]);
  const double low = 8.0927, high = 17.3979;
  for (std::size_t i = 9; i <= 17; ++i) {
    const double ramp = (static_cast<double>(i) - low) / (high - low);
    EXPECT_NEAR(f[i] / base[i], ramp / 32.0 + 1.0 - ramp, 1e-4) << i;
  }
  for (std::size_t i = 18; i < 32; ++i) EXPECT_DOUBLE_EQ(f[i], base[i] / 32.0);
  EXPECT_NEAR(rope_attention_factor(rope), 1.3465735902799727, 1e-12);
  rope.attention_factor = 0.5;
  EXPECT_EQ(rope_attention_factor(rope), 0.5);
}

TEST(Rope, AttentionScaleGrowsByWholeContexts) {
  ModelConfig m;
  m.head_dim = 64;
  EXPECT_EQ(attention_scale(m, 1'000'000), 0.125);
  m.attn_temperature_beta = 0.1;
  m.rope.n_ctx_original = 16384;
  EXPECT_EQ(attention_scale(m, 16383), 0.125);
  EXPECT_DOUBLE_EQ(attention_scale(m, 16384), 0.125 * (1.0 + 0.1 * std::log(2.0)));
}

}  // namespace
}  // namespace tinderbox
