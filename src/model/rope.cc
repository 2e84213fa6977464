#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace tinderbox {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
double llama3_frequency(const Rope& rope, double frequency) {
  const double wavelength = kTwoPi / frequency;
  const double turns = rope.n_ctx_original / wavelength;  // in the original context
  if (turns > rope.high_freq_factor) return frequency;
  if (turns < rope.low_freq_factor) return frequency / rope.factor;
  const double blend =
      (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - blend) * frequency / rope.factor + blend * frequency;
}

// The (fractional) dimension pair that turns `turns` times in the original context.
double yarn_dimension(const Rope& rope, double turns) {
  return rope.n_dims * std::log(rope.n_ctx_original / (turns * kTwoPi)) /
         (2.0 * std::log(rope.theta));
}

double yarn_frequency(const Rope& rope, int pair, double frequency) {
  double low = yarn_dimension(rope, rope.beta_fast), high = yarn_dimension(rope, rope.beta_slow);
  if (rope.yarn_truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rope.n_dims - 1.0);
  // 1: interpolated (long wavelengths), 0: kept. The 0.001 keeps an empty range from dividing by
  // zero.
  const double ramp = std::clamp((pair - low) / std::max(high - low, 0.001), 0.0, 1.0);
  return ramp * frequency / rope.factor + (1.0 - ramp) * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const Rope& rope) {
  CHECK(rope.n_dims >= 0 && rope.n_dims % 2 == 0);
  CHECK(rope.factors.empty() || rope.factors.size() == static_cast<std::size_t>(rope.n_dims / 2));
  std::vector<double> frequencies(static_cast<std::size_t>(rope.n_dims / 2));
  for (int i = 0; i < rope.n_dims / 2; ++i) {
    double f = std::pow(rope.theta, -2.0 * i / rope.n_dims);
    if (!rope.factors.empty()) f /= rope.factors[static_cast<std::size_t>(i)];
    switch (rope.scaling) {
      case RopeScaling::None:
        break;
      case RopeScaling::Linear:
        f /= rope.factor;
        break;
      case RopeScaling::Llama3:
        f = llama3_frequency(rope, f);
        break;
      case RopeScaling::Yarn:
        f = yarn_frequency(rope, i, f);
        break;
    }
    frequencies[static_cast<std::size_t>(i)] = f;
  }
  return frequencies;
}

double rope_attention_factor(const Rope& rope) {
  if (rope.attention_factor != 0.0) return rope.attention_factor;
  if (rope.scaling != RopeScaling::Yarn || rope.factor <= 1.0) return 1.0;
  return 0.1 * std::log(rope.factor) + 1.0;
}

double attention_temperature(const ModelConfig& model, std::int64_t position) {
  if (model.attn_temperature_beta == 0.0) return 1.0;
  CHECK(model.rope.n_ctx_original > 0);
  const std::int64_t windows = position / model.rope.n_ctx_original;
  return 1.0 + model.attn_temperature_beta * std::log1p(static_cast<double>(windows));
}

double attention_scale(const ModelConfig& model, std::int64_t position) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(model.head_dim));
  return scale * attention_temperature(model, position);
}

}  // namespace tinderbox
