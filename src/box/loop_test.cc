#include "box/loop.h"

#include <gtest/gtest.h>

#include "box/paced_executor.h"
#include "box/test_executor.h"
#include "box/twin_executor.h"
#include "box/workload.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

Request sized(SeqId id, TimePoint arrival, std::int32_t n_prompt, std::int32_t n_gen_max) {
  Request request;
  request.id = id;
  request.arrival = arrival;
  request.n_prompt = n_prompt;
  request.n_gen_max = n_gen_max;
  return request;
}

TimePoint at(std::int64_t ns) { return TimePoint(Duration(ns)); }

// Commands of both kinds at given times.
class Script final : public Arrivals {
 public:
  explicit Script(std::vector<std::pair<TimePoint, Command>> commands)
      : commands_(std::move(commands)) {}
  std::vector<Command> take(TimePoint now) override {
    std::vector<Command> due;
    while (next_ < commands_.size() && commands_[next_].first <= now)
      due.push_back(commands_[next_++].second);
    return due;
  }
  bool wait(Clock& clock) override {
    if (next_ == commands_.size()) return false;
    clock.wait_until(commands_[next_].first);
    return true;
  }

 private:
  std::vector<std::pair<TimePoint, Command>> commands_;
  std::size_t next_ = 0;
};

struct Log final : public Observer {
  void on_admission(const Request&, Admission admission, TimePoint) override {
    admissions.push_back(admission);
  }
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override {
    scheduler.verify();
    starts.push_back(start);
    ends.push_back(result.end);
    lateness.push_back(result.lateness);
    for (const StepItem& item : step.items) shapes.push_back({item.seq, item.n_past, item.n_new});
    shapes.push_back({-1, 0, step.n_tokens});
  }
  void on_token(const TokenEvent& event, TimePoint now) override {
    tokens.push_back(event);
    times.push_back(now);
  }
  std::vector<Admission> admissions;
  std::vector<TimePoint> starts, ends, times;
  std::vector<Duration> lateness;
  std::vector<TokenEvent> tokens;
  std::vector<std::array<std::int64_t, 3>> shapes;
};

TEST(Loop, TimeGoesFromArrivalToStepToStep) {
  Scheduler scheduler({}, KvPool(100, 16));
  FixedCostExecutor executor(Duration(1000), Duration(10));
  Script arrivals({{at(500), sized(1, at(500), 20, 2)}, {at(90'000), sized(2, at(90'000), 1, 1)}});
  VirtualClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  EXPECT_EQ(log.times, (std::vector<TimePoint>{at(1700), at(2710), at(91'010)}));
  EXPECT_EQ(log.tokens[1].finish, FinishReason::Length);
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(clock.now(), at(91'010));
}

TEST(Loop, ACommandDuringAStepActsAtItsBoundary) {
  Scheduler scheduler({}, KvPool(100, 16));
  FixedCostExecutor executor(Duration(1000), Duration(0));
  Script arrivals({{at(0), sized(1, at(0), 5, 100)},
                   {at(1500), Cancel{1}},
                   {at(1600), Cancel{77}},
                   {at(1700), sized(2, at(1700), 1, 1)}});
  VirtualClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  ASSERT_EQ(log.tokens.size(), 4u);  // two tokens of 1, its end, one token of 2
  EXPECT_EQ(log.tokens[2].seq, 1);
  EXPECT_EQ(log.tokens[2].finish, FinishReason::Cancelled);
  EXPECT_EQ(log.times[2], at(2000));
  EXPECT_EQ(log.tokens[3].seq, 2);
  EXPECT_EQ(log.times[3], at(3000));
  EXPECT_EQ(scheduler.kv().n_free(), 100);
}

// Of a policy that schedules ahead: the step after the one that runs is already made when a request comes.
TEST(Loop, ARequestThatComesDuringAStepMissesTheNext) {
  for (const bool ahead : {false, true}) {
    Scheduler scheduler({}, KvPool(100, 16), {.ahead = ahead});
    FixedCostExecutor executor(Duration(1000), Duration(0));
    Script arrivals({{at(0), sized(1, at(0), 5, 6)}, {at(1500), sized(2, at(1500), 5, 1)}});
    VirtualClock clock;
    Log log;
    run_loop(scheduler, executor, arrivals, clock, log);
    ASSERT_EQ(log.tokens.size(), 7u);
    const auto second = std::ranges::find(log.tokens, SeqId{2}, &TokenEvent::seq) - log.tokens.begin();
    EXPECT_EQ(log.times[static_cast<std::size_t>(second)], at(ahead ? 4000 : 3000));
  }
}

// Nothing runs: nothing is ahead. What has waited past its deadline is not begun, nor what ends while it is held.
TEST(Loop, ARequestThatIsHeldIsNotBegunTooLate) {
  Scheduler scheduler({}, KvPool(100, 16), {.ahead = true});
  FixedCostExecutor executor(Duration(1000), Duration(0));
  Request late = sized(2, at(100), 5, 3), cancelled = sized(3, at(1500), 5, 3), alone = sized(4, at(9000), 5, 1);
  late.deadline = at(900);
  Script arrivals({{at(0), sized(1, at(0), 5, 1)},  // ends when the late one is taken in
                   {at(100), late},
                   {at(1500), cancelled},
                   {at(1600), Cancel{3}},
                   {at(9000), alone}});
  VirtualClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  for (const auto& [seq, past, n_new] : log.shapes) EXPECT_NE(seq, 2);
  EXPECT_EQ(scheduler.counters().expired, 1);
  EXPECT_EQ(scheduler.counters().cancelled, 1);
  EXPECT_EQ(log.times.back(), at(10'000));
  EXPECT_TRUE(scheduler.idle());
}

TEST(Loop, RefusalsAreTold) {
  Scheduler scheduler({.context_max = 8}, KvPool(100, 16));
  FixedCostExecutor executor;
  TraceArrivals arrivals({sized(1, at(0), 9, 1), sized(2, at(0), 2, 2)});
  VirtualClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  EXPECT_EQ(log.admissions, (std::vector<Admission>{Admission::TooLong, Admission::Accepted}));
  EXPECT_EQ(log.tokens.size(), 2u);
}

// A clock that always sleeps too long.
class SleepyClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void wait_until(TimePoint t) override { now_ = std::max(now_, t + Duration(300)); }

 private:
  TimePoint now_{};
};

TEST(Loop, OversleepingDoesNotAccumulate) {
  Scheduler scheduler({}, KvPool(100, 16));
  FixedCostExecutor executor(Duration(1000), Duration(0));
  TraceArrivals arrivals({sized(1, at(0), 1, 50)});
  SleepyClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  EXPECT_EQ(log.ends.back(), at(50 * 1000));
}

// What runs depends on no clock. The model is tiny, so that a step is some tens of microseconds.
TEST(Loop, WallAndVirtualTimeRunTheSameSteps) {
  Random random(1, Stream::Test);
  const StepModel model({.machine = testing::round_machine(),
                         .stack = testing::round_stack(),
                         .model = testing::random_model(random),
                         .weights = testing::all_in(DType::F16),
                         .kv = DType::F16});
  const auto run = [&](Clock& clock) {
    Scheduler scheduler({.step_tokens_max = 32, .sequences_max = 4}, KvPool(12, 4));
    TwinExecutor executor(model);
    std::vector<Request> requests;
    for (int i = 1; i <= 12; ++i) requests.push_back(sized(i, at(0), 3 * i, 2 + i % 5));
    TraceArrivals arrivals(std::move(requests));
    Log log;
    run_loop(scheduler, executor, arrivals, clock, log);
    EXPECT_GT(scheduler.counters().finished, 10);
    return log;
  };
  WallClock wall;
  VirtualClock virtual_clock;
  const Log real = run(wall), simulated = run(virtual_clock);
  EXPECT_EQ(real.shapes, simulated.shapes);
  ASSERT_EQ(real.ends.size(), simulated.ends.size());
  for (std::size_t i = 0; i < real.ends.size(); ++i) {
    EXPECT_EQ(real.ends[i] - real.starts[i], simulated.ends[i] - simulated.starts[i]);
  }
}

TEST(PacedExecutor, KeepsTheModelsPaceWhenTheTokensAreEarly) {
  Scheduler scheduler({}, KvPool(100, 16));
  FixedCostExecutor tokens(Duration(10), Duration(0)), timing(Duration(1000), Duration(0));
  PacedExecutor executor(tokens, timing);
  TraceArrivals arrivals({sized(1, at(0), 1, 3)});
  VirtualClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  EXPECT_EQ(log.ends, (std::vector<TimePoint>{at(1000), at(2000), at(3000)}));
  EXPECT_EQ(log.lateness, (std::vector<Duration>(3, Duration(0))));
}

TEST(PacedExecutor, LatenessIsEachStepsOwnAndThePaceRestarts) {
  Scheduler scheduler({}, KvPool(100, 16));
  // The prompt of 100 tokens is late by 100 * 10 - 600, the tokens after it are not.
  FixedCostExecutor tokens(Duration(0), Duration(10)), timing(Duration(600), Duration(0));
  PacedExecutor executor(tokens, timing);
  TraceArrivals arrivals({sized(1, at(0), 100, 3)});
  VirtualClock clock;
  Log log;
  run_loop(scheduler, executor, arrivals, clock, log);
  EXPECT_EQ(log.ends, (std::vector<TimePoint>{at(1000), at(1600), at(2200)}));
  EXPECT_EQ(log.lateness, (std::vector<Duration>{Duration(400), Duration(0), Duration(0)}));
}

}  // namespace
}  // namespace tinderbox
