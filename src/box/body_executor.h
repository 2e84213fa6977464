// An executor whose box has a body: steps take as long as clocks, memory and link let them, what
// they do becomes watts and heat, and faults come and go. Time passes in windows of a second: what
// ran in one decides the body's power and heat there, and so the speed of the steps that begin in
// the next. The books of a window are whole nanoseconds, so that steps in runs and one by one come
// out the same.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "box/executor.h"
#include "box/soak.h"
#include "twin/fault.h"
#include "twin/load.h"
#include "twin/sensors.h"
#include "twin/step_model.h"

namespace tinderbox {

struct BodyOptions {
  Surroundings surroundings = {};
  std::optional<Hertz> clock_cap = {};
  std::vector<FaultEvent> faults = {};
  std::function<void(const Body&)> on_window = {};  // told after every window, on the box thread
};

// What its sensors read at `now`, if it has done nothing since it was told of.
Sensors idle_sensors(Body body, TimePoint now);

// What a run did to the box. Of one box; of several that share a model all are alike.
struct BodyReport {
  double joules = 0, wall_joules = 0;  // of all boxes; behind and before the adapter
  Seconds time;
  Celsius gpu_max, gpu_end, zone_max;
  double fan_max = 0;     // share of full speed
  double slowest = 1;     // speed of a second of work over that of a cool healthy box
  double mean_speed = 1;  // likewise of all work
  std::array<double, kClockLimits> limited{};  // s under each limit
  Seconds down;                                // answered nothing
  std::optional<TimePoint> down_from = {};     // for good
  std::vector<SoakEvent> events;
};

// For people, and for programs. unanswered: requests that the box never took in.
std::string body_table(const BodyReport& body, std::int64_t output_tokens, std::int64_t unanswered);
nlohmann::ordered_json body_json(const BodyReport& body, std::int64_t output_tokens,
                                 std::int64_t unanswered);

class BodyExecutor final : public Executor {
 public:
  // inner's steps are those of model on a healthy cool box; both must outlive this. Throws
  // Error::Unsupported if the machine has no body, Error::Invalid for surroundings or a cap that
  // are none.
  BodyExecutor(Executor& inner, const StepModel& model, BodyOptions options);

  StepResult run(const Step& step, TimePoint start) override;
  bool takes_runs() const override { return inner_.takes_runs(); }
  void run(const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times) override;

  // Box thread. The time now or next during which the box answers nothing: off or frozen by a
  // fault, or tripped by heat; empty if none is known. An end of TimePoint::max(): for good.
  struct Outage {
    TimePoint begin{}, end{};
  };
  std::optional<Outage> outage(TimePoint now) const;

  // What a router that watches power can know of the box at `now`, if it has done nothing since it was told of.
  struct Vitals {
    double speed = 1;      // of its last second of work over that of a healthy cool box; 1 if that is long ago
    Kelvins to_slowdown;   // of its hottest zone
    bool answers = true;
  };
  Vitals vitals(TimePoint now);

  BodyReport report(TimePoint end);

 private:
  // Steps that draw alike, as the first of them: a size is rounded to a few per octave.
  struct Kind {
    Load load{};
    std::vector<double> link_speed;  // under each link fault, over the healthy link
    Duration busy{};                 // in this window
    std::int64_t window = -1;        // that `speed` holds in
    double speed = 1;
  };
  struct Sums {
    std::int64_t n_decoding = 0, past = 0, prompt_tokens = 0, prompt_past = 0;  // past: of each
    bool samples = true;
    friend bool operator==(const Sums&, const Sums&) = default;
  };

  void prepare_links();
  Kind& kind_of(const Sums& sums);
  Duration scaled(Kind& kind, Duration step);
  void work(Kind& kind, TimePoint from, TimePoint to);
  void pass(TimePoint now);
  void close_window();
  void apply_faults();
  TimePoint window_end() const { return TimePoint((window_ + 1) * window_length_); }

  Executor& inner_;
  const StepModel& model_;
  BodyOptions options_;
  std::map<std::string, StepModel> links_;  // by the name of a faulty link
  Body body_;
  Duration window_length_;
  std::int64_t window_ = 0;
  std::unordered_map<std::uint64_t, std::size_t> index_;  // of kinds_; looked up, never iterated
  std::vector<Kind> kinds_;
  Sums last_sums_{.n_decoding = -1};
  std::size_t last_kind_ = 0;
  std::vector<std::size_t> used_;  // in this window, in the order of first use
  // In this window.
  Hertz clock_;
  double memory_ = 1;
  int link_ = -1;
  TimePoint faults_change_{};
  std::optional<TimePoint> tripped_{};
  Duration nominal_{}, busy_{};
  std::vector<Outage> outages_;  // by faults
  double last_speed_ = 1;
  TimePoint last_worked_{};
  BodyReport sums_;
  ClockLimit told_ = ClockLimit::Idle;
  RunTimes inner_times_;
  std::vector<Segment> segments_;
};

}  // namespace tinderbox
