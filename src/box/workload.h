// Where simulated requests come from: drawn from a few parameters, or listed. All in the box's
// time, so that the same seed gives the same requests whatever the clock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/random.h"
#include "box/loop.h"

namespace tinderbox {

// Sizes are as in vLLM's serving benchmark: uniform within [(1 - r) n, (1 + r) n], at least 1.
struct WorkloadOptions {
  std::int64_t requests = 100;
  double rate = 1;  // mean arrivals per second
  double burstiness =
      1;  // gamma shape of the gaps: 1 is Poisson, below 1 burstier, infinite a constant gap
  std::int64_t prompt = 512, gen = 128;  // tokens
  double range_ratio = 0;                // r; in [0, 1]
  std::uint64_t seed = 0;
};

inline constexpr std::int64_t kRequestsMax = 100'000'000;

// Both ends included.
struct LengthRange {
  std::int64_t low, high;
};
LengthRange length_range(std::int64_t mean, double range_ratio);

// Throws Error::Invalid naming the option that is out of range.
void verify(const WorkloadOptions& options);

// Draws one request after the other: ids from 1, arrival ascending, no token values.
class RequestGenerator {
 public:
  // Requires options that verify() takes.
  explicit RequestGenerator(WorkloadOptions options);
  std::optional<Request> next();
  std::int64_t n_left() const { return options_.requests - n_drawn_; }

 private:
  WorkloadOptions options_;
  Random gaps_, prompts_, gens_;
  std::int64_t n_drawn_ = 0;
  Seconds time_;
};

// Open loop: requests come when they come.
class GeneratedArrivals final : public Arrivals {
 public:
  explicit GeneratedArrivals(const WorkloadOptions& options);
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;
  bool wait(Clock& clock) override;

 private:
  RequestGenerator generator_;
  std::optional<Request> next_;
};

// Closed loop: each of `users` sends its next request the moment its last one is over (finished,
// refused or cancelled), until the generator's are used up. Must be among the loop's observers.
class ClosedLoopArrivals final : public Arrivals, public Observer {
 public:
  // Requires users >= 1.
  ClosedLoopArrivals(const WorkloadOptions& options, std::int32_t users);
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;
  bool wait(Clock& clock) override;
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

 private:
  RequestGenerator generator_;
  std::vector<TimePoint> idle_since_;  // one for each user without a request
};

// A list of requests, in any order; those of equal arrival come as listed.
class TraceArrivals final : public Arrivals {
 public:
  explicit TraceArrivals(std::vector<Request> requests);
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;
  bool wait(Clock& clock) override;

 private:
  std::multimap<TimePoint, Request> requests_;  // not yet taken
};

}  // namespace tinderbox
