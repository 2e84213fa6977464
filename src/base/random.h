// Counter-based random numbers (Philox4x32-10, Salmon et al. 2011, by Random123): (seed, stream, counter)
// addresses any draw, so that runs replay, shard and parallelise without shared state. Distributions are our
// own because those of the standard library differ between implementations.
#pragma once

#include <array>
#include <cstdint>

namespace tinderbox {

// One stream for each purpose, so that drawing more of one thing never shifts another.
enum class Stream : std::uint32_t {
  Arrivals = 1, PromptLength, GenLength, Sampling, Placeholder, Test, Faults, Think, Urgency, Router, Sweep,
  Model
};

// Four 32-bit words for one counter. index selects a substream (a request, a run).
std::array<std::uint32_t, 4> philox(std::uint64_t seed, Stream stream, std::uint32_t index,
                                    std::uint64_t counter);

// A sequence of draws from one (seed, stream, index). A value; copying it replays it.
class Random {
 public:
  Random(std::uint64_t seed, Stream stream, std::uint32_t index = 0);
  std::uint64_t bits();
  // Uniform in [0, 1), 53 bits.
  double uniform();
  // Uniform integer in [low, high], both inclusive, without modulo bias. Requires low <= high.
  std::int64_t range(std::int64_t low, std::int64_t high);
  // Exponential with the given mean.
  double exponential(double mean);
  // Standard normal (Box-Muller).
  double normal();
  // Gamma with the given shape and scale (Marsaglia and Tsang 2000). Requires shape > 0.
  double gamma(double shape, double scale);

 private:
  std::uint64_t seed_;
  Stream stream_;
  std::uint32_t index_;
  std::uint64_t counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace tinderbox
