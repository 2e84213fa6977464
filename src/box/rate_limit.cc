#include "box/rate_limit.h"

#include <algorithm>
#include <cmath>

namespace tinderbox {
namespace {

constexpr double kMinute = 60;  // s

double per_second(std::int64_t per_min) { return static_cast<double>(per_min) / kMinute; }

}  // namespace

void RateLimit::set(std::optional<std::int64_t> per_min) { per_min_ = per_min; }

double RateLimit::level(TimePoint now) const {
  const double passed = std::max(to_seconds(now - at_).value(), 0.0);
  return static_cast<double>(*per_min_) - std::max(missing_ - passed * per_second(*per_min_), 0.0);
}

void RateLimit::take(std::int64_t n, TimePoint now) {
  if (!per_min_) return;
  missing_ = static_cast<double>(*per_min_) - level(now) + static_cast<double>(n);
  at_ = std::max(at_, now);
}

Duration RateLimit::wait(double n, TimePoint now) const {
  if (!per_min_) return {};
  const double lacking = std::min(n, static_cast<double>(*per_min_)) - level(now);
  // A bucket that fills exactly now is full, whatever the rounding.
  return lacking <= 1e-6 ? Duration{} : to_duration(Seconds(lacking / per_second(*per_min_)));
}

std::int64_t RateLimit::remaining(TimePoint now) const {
  return per_min_ ? std::max<std::int64_t>(static_cast<std::int64_t>(std::floor(level(now) + 1e-6)), 0) : 0;
}

Duration RateLimit::until_full(TimePoint now) const {
  return per_min_ ? wait(static_cast<double>(*per_min_), now) : Duration{};
}

}  // namespace tinderbox
