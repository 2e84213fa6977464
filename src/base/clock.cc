#include "base/clock.h"

#include <cmath>
#include <limits>
#include <thread>

namespace tinderbox {

namespace {

constexpr Duration kSpin = std::chrono::microseconds(80);

Duration steady_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

Duration to_duration(Seconds seconds) {
  const double ns = seconds.value() * 1e9;
  constexpr double kMax = 9.2e18;  // below 2^63
  if (!(ns < kMax)) return Duration(std::numeric_limits<Duration::rep>::max() / 2);
  if (ns < -kMax) return Duration(std::numeric_limits<Duration::rep>::min() / 2);
  const auto whole = static_cast<Duration::rep>(ns);  // std::ceil is a call where there is no SSE4, and this is hot
  return Duration(whole + (static_cast<double>(whole) < ns ? 1 : 0));
}

Seconds to_seconds(Duration duration) { return Seconds(static_cast<double>(duration.count()) / 1e9); }

Seconds since_start(TimePoint t) { return to_seconds(t.time_since_epoch()); }

WallClock::WallClock() : start_(steady_now()) {}

TimePoint WallClock::now() const { return TimePoint(steady_now() - start_); }

void WallClock::wait_until(TimePoint t) {
  for (;;) {
    const Duration left = t - now();
    if (left <= Duration::zero()) return;
    if (left > kSpin) {
      std::this_thread::sleep_for(left - kSpin);
    } else {
      std::this_thread::yield();
    }
  }
}

void LeapingClock::wait_until(TimePoint t) {
  const Duration left = t - now();
  if (left > Duration::zero()) ahead_ += left.count();
}

}  // namespace tinderbox
