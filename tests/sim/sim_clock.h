// Virtual time in which everybody but the box acts while the box waits: the one thread of a
// simulated run.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"

namespace tinderbox::sim {

class SimClock final : public Clock {
 public:
  // oversleeps: waiting takes longer than asked for, as on a busy computer.
  SimClock(std::uint64_t seed, bool oversleeps)
      : oversleeps_(oversleeps), random_(seed, Stream::Think) {}

  TimePoint now() const override { return now_; }
  void wait_until(TimePoint t) override {
    if (oversleeps_ && random_.range(0, 3) == 0) t += Duration(random_.range(0, 3'000'000));
    pass_to(t);
  }
  // Acts at t, or as soon as this clock gets there; of equal times in the order of asking.
  void at(TimePoint t, std::function<void()> act) { acts_.emplace(t, std::move(act)); }
  bool idle() const { return acts_.empty(); }
  // Requires that it is not idle.
  TimePoint next() const { return acts_.begin()->first; }
  // To the next act.
  void pass_to_next() {
    CHECK(!acts_.empty());
    pass_to(std::max(now_, acts_.begin()->first));
  }
  // Stands still meanwhile, and goes on so much later.
  void jump(Duration length) { now_ += length; }

 private:
  void pass_to(TimePoint t) {
    while (!acts_.empty() && acts_.begin()->first <= t) {
      now_ = std::max(now_, acts_.begin()->first);
      const auto act = std::move(acts_.extract(acts_.begin()).mapped());
      act();
    }
    now_ = std::max(now_, t);
  }

  bool oversleeps_;
  Random random_;
  TimePoint now_{};
  std::multimap<TimePoint, std::function<void()>> acts_;
};

}  // namespace tinderbox::sim
