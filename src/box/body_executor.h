// An executor whose box has a body: steps take as long as clocks, memory and link let them, what
// they do becomes watts and heat, and faults come and go. Time passes in windows of a second: what
// ran in one decides the body's power and heat there, and so the speed of the steps that begin in
// the next. The books of a window are whole nanoseconds, so that steps in runs and one by one come
// out the same.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
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
  // Of steps that are held, so that they need not be priced again; no result depends on it.
  std::size_t kinds_max = 1024;
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
  // Another model of the same box: its steps, for a time when none of the others' runs. inner's and model's lifetimes
  // as above; what is returned belongs to this. Requires the same machine and number of boxes.
  Executor& also(Executor& inner, const StepModel& model);

  // Box thread. What goes wrong from now on, and what no longer does: every event of this fault ends now. They tell
  // in the next window. inject throws Error::Invalid for a fault of a link that is not there. false: no such event.
  void inject(FaultEvent event);
  bool clear(const std::string& fault, TimePoint now);
  const std::vector<FaultEvent>& faults() const { return options_.faults; }
  // Kinds of steps that were met and are held.
  std::size_t n_kinds() const { return kinds_.size(); }

  StepResult run(const Step& step, TimePoint start) override { return run_of(seats_.front(), step, start); }
  bool takes_runs() const override { return seats_.front().inner.takes_runs(); }
  void run(const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times) override {
    run_of(seats_.front(), steps, start, until, times);
  }

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
  struct Seat;
  // Steps that draw alike, as the first of them: a size is rounded to a few per octave.
  struct Kind {
    Seat* seat = nullptr;  // whose, and what it looks it up by
    std::uint64_t key = 0;
    Load load{};
    std::vector<double> link_speed{};  // under each link fault, over the healthy link
    Duration busy{};                   // in this window
    std::int64_t window = -1;          // that `speed` holds in
    double speed = 1;
  };
  struct Sums {
    std::int64_t n_decoding = 0, past = 0, prompt_tokens = 0, prompt_past = 0;  // past: of each
    bool samples = true;
    friend bool operator==(const Sums&, const Sums&) = default;
  };

  // One of the models.
  struct Seat final : Executor {
    Seat(BodyExecutor& body_, Executor& inner_, const StepModel& model_) : body(body_), inner(inner_), model(model_) {}
    StepResult run(const Step& step, TimePoint start) override { return body.run_of(*this, step, start); }
    bool takes_runs() const override { return inner.takes_runs(); }
    void run(const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times) override {
      body.run_of(*this, steps, start, until, times);
    }

    void forget_last() {
      last_sums = {.n_decoding = -1};
      last_key = 0;
    }

    BodyExecutor& body;
    Executor& inner;
    const StepModel& model;
    std::map<std::string, StepModel> links;  // by the name of a faulty link; the same names for all models
    std::unordered_map<std::uint64_t, std::size_t> index;  // of kinds_; looked up, never iterated
    Sums last_sums{.n_decoding = -1};
    std::uint64_t last_key = 0;
    std::size_t last_kind = 0;
  };

  StepResult run_of(Seat& seat, const Step& step, TimePoint start);
  void run_of(Seat& seat, const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times);
  void prepare_links(Seat& seat);
  void find_outages();
  void choose_link(TimePoint now);
  Kind& kind_of(Seat& seat, const Sums& sums);
  std::size_t place_for_kind();
  Duration scaled(Kind& kind, Duration step);
  void work(Kind& kind, TimePoint from, TimePoint to);
  void pass(TimePoint now);
  void close_window();
  void apply_faults();
  TimePoint window_end() const { return TimePoint((window_ + 1) * window_length_); }

  BodyOptions options_;
  std::deque<Seat> seats_;  // the first is this executor's own; they do not move
  Body body_;
  Duration window_length_;
  std::int64_t window_ = 0;
  std::vector<Kind> kinds_;
  std::size_t hand_ = 0;           // of the clock by which kinds give way
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
