// Time as a parameter. Scheduler-side time is integer nanoseconds; only a Clock produces a TimePoint from the
// world, and only the loop in box owns a Clock. Everything else is handed `TimePoint now`.
#pragma once

#include <atomic>
#include <chrono>

#include "base/units.h"

namespace tinderbox {

using Duration = std::chrono::nanoseconds;

// The time base of a box: nanoseconds since its clock began. Deliberately without now().
struct BoxTime {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<BoxTime, Duration>;
  static constexpr bool is_steady = true;
};
using TimePoint = BoxTime::time_point;

// The one crossing between physical and scheduler time. Rounds up to whole nanoseconds, so that a cost is
// never shortened; saturates at the ends of the range.
Duration to_duration(Seconds seconds);
Seconds to_seconds(Duration duration);
// Seconds since the clock began.
Seconds since_start(TimePoint t);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  // Returns when now() >= t; at once if t has passed.
  virtual void wait_until(TimePoint t) = 0;
  // Whether time passes by waiting only, though this computer's passes as well.
  virtual bool leaps() const { return false; }
};

// Monotonic time of this computer, zero at construction. Sleeps, then spins the last stretch, because a sleep
// overshoots by tens of microseconds.
class WallClock final : public Clock {
 public:
  WallClock();
  TimePoint now() const override;
  void wait_until(TimePoint t) override;

 private:
  Duration start_;
};

// Time of this computer, but nobody waits: it leaps to what is waited for.
class LeapingClock final : public Clock {
 public:
  TimePoint now() const override { return wall_.now() + Duration(ahead_.load()); }
  void wait_until(TimePoint t) override;  // one thread; now() any
  bool leaps() const override { return true; }

 private:
  WallClock wall_;
  std::atomic<Duration::rep> ahead_{0};
};

// Time is whatever was waited for.
class VirtualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void wait_until(TimePoint t) override {
    if (t > now_) now_ = t;
  }

 private:
  TimePoint now_{};
};

}  // namespace tinderbox
