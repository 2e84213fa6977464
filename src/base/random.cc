#include "base/random.h"

#include <cmath>
#include <numbers>

#include <Random123/philox.h>

#include "base/check.h"

namespace tinderbox {

std::array<std::uint32_t, 4> philox(std::uint64_t seed, Stream stream, std::uint32_t index,
                                    std::uint64_t counter) {
  r123::Philox4x32 generator;
  r123::Philox4x32::ctr_type ctr{{static_cast<std::uint32_t>(counter),
                                  static_cast<std::uint32_t>(counter >> 32),
                                  static_cast<std::uint32_t>(stream), index}};
  r123::Philox4x32::key_type key{
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
  const auto out = generator(ctr, key);
  return {out[0], out[1], out[2], out[3]};
}

Random::Random(std::uint64_t seed, Stream stream, std::uint32_t index)
    : seed_(seed), stream_(stream), index_(index) {}

std::uint64_t Random::bits() {
  if (used_ > 2) {
    block_ = philox(seed_, stream_, index_, counter_++);
    used_ = 0;
  }
  const std::uint64_t low = block_[static_cast<std::size_t>(used_)];
  const std::uint64_t high = block_[static_cast<std::size_t>(used_) + 1];
  used_ += 2;
  return low | (high << 32);
}

double Random::uniform() { return static_cast<double>(bits() >> 11) * 0x1.0p-53; }

std::int64_t Random::range(std::int64_t low, std::int64_t high) {
  CHECK(low <= high);
  const std::uint64_t span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  if (span == 0) return static_cast<std::int64_t>(bits());
  const std::uint64_t limit = ~std::uint64_t{0} - (~std::uint64_t{0} % span + 1) % span;
  std::uint64_t draw = bits();
  while (draw > limit) draw = bits();
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + draw % span);
}

double Random::exponential(double mean) { return -mean * std::log1p(-uniform()); }

double Random::normal() {
  const double u = 1.0 - uniform();
  const double v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

double Random::gamma(double shape, double scale) {
  CHECK(shape > 0);
  if (shape < 1) {
    const double boost = std::pow(1.0 - uniform(), 1.0 / shape);
    return gamma(shape + 1, scale) * boost;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = normal();
    const double t = 1.0 + c * x;
    if (t <= 0) continue;
    const double v = t * t * t;
    const double u = 1.0 - uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v * scale;
  }
}

}  // namespace tinderbox
