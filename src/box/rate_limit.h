// So many a minute: a bucket that fills at that rate and holds a minute's worth. What is known only afterwards (tokens)
// is taken afterwards, so that the level may fall below zero: then nobody is let in until it is above it again.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace tinderbox {

class RateLimit {
 public:
  // per_min: nullopt: no limit.
  explicit RateLimit(std::optional<std::int64_t> per_min = {}) { set(per_min); }
  // Another limit; what was taken stays taken.
  void set(std::optional<std::int64_t> per_min);
  const std::optional<std::int64_t>& per_min() const { return per_min_; }
  void take(std::int64_t n, TimePoint now);
  // How long until there are n, at most a minute's worth; zero: there are.
  Duration wait(double n, TimePoint now) const;
  std::int64_t remaining(TimePoint now) const;
  Duration until_full(TimePoint now) const;

 private:
  double level(TimePoint now) const;
  std::optional<std::int64_t> per_min_;
  double missing_ = 0;  // of a full bucket, at at_
  TimePoint at_{};
};

}  // namespace tinderbox
