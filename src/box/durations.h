// The distribution of many durations in bounded memory. Small samples are kept; larger ones are counted
// in buckets, 128 to each power of two (as in HdrHistogram, http://hdrhistogram.org). What comes out
// depends on the sample alone, not on the order or the parts in which it came.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace tinderbox {

struct Distribution {
  std::int64_t n = 0;
  Seconds mean, p50, p90, p95, p99;  // 0 if n == 0
};

inline constexpr std::int64_t kExactMax = 10'000;      // samples up to which percentiles are exact
inline constexpr double kDurationError = 1.0 / 256;    // relative, of percentiles of larger samples

class Durations {
 public:
  // exact_max: samples to keep, of one of many parts whose sum has more than kExactMax anyway.
  explicit Durations(std::int64_t exact_max = kExactMax) : exact_max_(exact_max) {}
  // n equal ones. Requires duration >= 0, n >= 0.
  void add(Duration duration, std::int64_t n = 1);
  // The samples of both.
  void merge(const Durations& other);
  std::int64_t n() const { return n_; }
  // Interpolates linearly between order statistics (type 7); the mean is exact. 0 <= percent <= 100.
  Seconds percentile(double percent) const;
  Seconds mean() const;
  Distribution distribution() const;

 private:
  struct Run {
    std::int64_t value, n;  // ns
  };
  void count(std::int64_t value, std::int64_t n);
  bool is_exact() const { return n_ <= exact_max_ && buckets_.empty(); }
  void leave_exact();
  std::vector<Run> sorted() const;

  std::int64_t exact_max_;
  std::vector<Run> runs_;              // as they came, while is_exact()
  std::vector<std::int64_t> buckets_;  // then
  std::int64_t n_ = 0, low_ = 0, high_ = 0;
  std::int64_t sum_s_ = 0, sum_ns_ = 0;  // the sum is sum_s_ seconds and sum_ns_
};

}  // namespace tinderbox
