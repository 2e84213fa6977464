#include "box/body_executor.h"

#include <gtest/gtest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "box/simulate.h"
#include "box/twin_executor.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

constexpr auto kForGood = TimePoint::max();

TimePoint at(double seconds) { return TimePoint(to_duration(Seconds(seconds))); }

Fault with(Handicap handicap, std::string name = "f") {
  return {.name = std::move(name), .what = "", .ends = "", .sources = "", .handicap = handicap};
}

SimulateOptions traffic(std::uint64_t seed) {
  Random random(seed, Stream::Test);
  SimulateOptions options;
  options.workload = {.requests = random.range(20, 300),
                      .rate = std::exp(3 * random.uniform() - 2),
                      .prompt = random.range(1, 900),
                      .gen = random.range(1, 120),
                      .range_ratio = random.uniform(),
                      .seed = seed};
  options.users = random.range(0, 2) == 0 ? random.range(1, 40) : 0;
  options.body = BodyOptions{};
  for (int i = 0; i < 3; ++i) {
    const double begin = 60 * random.uniform(), length = 20 * random.uniform();
    const Handicap handicaps[] = {
        {.memory = 0.3}, {.clock_max = Hertz(5e8)}, {.frozen = true}, {.off = true}};
    options.body->faults.push_back({at(begin), at(begin + length),
                                    with(handicaps[random.range(0, 3)], format("fault-{}", i))});
  }
  return options;
}

TEST(BodyExecutor, RunsEqualStepsToTheLastBitWhateverGoesWrong) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  std::int64_t n_cancelled = 0;
  double down = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SimulateOptions options = traffic(seed);
    const SimulationResult runs = simulate(model, options);
    options.by_steps = true;
    const SimulationResult steps = simulate(model, options);
    ASSERT_EQ(simulation_json(runs).dump(2), simulation_json(steps).dump(2)) << seed;
    // Whoever was sent is answered, refused, lost, or waits for a box that never comes back.
    EXPECT_EQ(runs.report.submitted,
              runs.report.finished + runs.report.refused + runs.report.cancelled)
        << seed;
    EXPECT_EQ(runs.unanswered, 0) << seed;
    n_cancelled += runs.report.cancelled;
    down += runs.body->down.value();
  }
  EXPECT_GT(n_cancelled, 10);
  EXPECT_GT(down, 100);
}

TEST(BodyExecutor, SlowMemorySlowsWhatItTouches) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  SimulateOptions options;
  options.workload = {.requests = 1, .prompt = 64, .gen = 400, .seed = 1};
  options.body = BodyOptions{};
  const double healthy = simulate(model, options).report.tpot.mean.value();
  options.body->faults = {{TimePoint{}, kForGood, with({.memory = 0.25})}};
  const SimulationResult slow = simulate(model, options);
  // Decoding of one stream is bound by memory, most of its time.
  EXPECT_GT(slow.report.tpot.mean.value(), 2 * healthy);
  EXPECT_LE(slow.report.tpot.mean.value(), 4.001 * healthy);
  EXPECT_LT(slow.body->mean_speed, 0.5);
}

TEST(BodyExecutor, ABoxThatGoesOffForGoodLosesWhatItHadAndAnswersNobody) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  SimulateOptions options;
  options.workload = {
      .requests = 100, .rate = 0.1, .burstiness = INFINITY, .prompt = 64, .gen = 64, .seed = 1};
  options.body = BodyOptions{.faults = {{at(402.5), kForGood, with({.off = true})}}};
  const SimulationResult result = simulate(model, options);
  EXPECT_NEAR(static_cast<double>(result.report.submitted), 40, 3);
  EXPECT_EQ(result.unanswered, 100 - result.report.submitted);
  EXPECT_EQ(result.report.finished + result.report.cancelled, result.report.submitted);
  EXPECT_EQ(result.body->down_from, at(402.5));
}

TEST(BodyExecutor, WhatWaitsOutAnOutageIsAnsweredAfterIt) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  SimulateOptions options;
  options.workload = {
      .requests = 50, .rate = 0.05, .burstiness = INFINITY, .prompt = 64, .gen = 4, .seed = 1};
  options.body = BodyOptions{.faults = {{at(210.5), at(610.5), with({.frozen = true})}}};
  const SimulationResult result = simulate(model, options);
  EXPECT_EQ(result.unanswered, 0);
  EXPECT_EQ(result.report.submitted, 50);
  EXPECT_GE(result.report.ttft.p99.value(), 350);
  EXPECT_LE(result.report.ttft.p99.value(), 450);
  EXPECT_DOUBLE_EQ(result.body->down.value(), 400);
}

TEST(BodyExecutor, BooksBalance) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  SimulateOptions options = traffic(7);
  options.body->faults.clear();
  const SimulationResult result = simulate(model, options);
  const BodyReport& body = *result.body;
  double limited = 0;
  for (const double s : body.limited) limited += s;
  EXPECT_NEAR(limited, body.time.value(), 1e-6);
  EXPECT_NEAR(body.wall_joules * model.twin().machine.body->adapter_share, body.joules,
              1e-9 * body.joules);
  EXPECT_GE(body.gpu_max, body.gpu_end);
  EXPECT_GT(body.joules, 0);
}

TEST(BodyExecutor, FaultsLongPastAreForgotten) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  TwinExecutor twin(model);
  BodyExecutor body(twin, model, BodyOptions{});
  for (int hour = 0; hour < 100; ++hour) {
    body.inject({at(hour * 3600.0), at(hour * 3600.0 + 5), with({.memory = 0.5})});
  }
  EXPECT_EQ(body.faults().size(), 1u) << "what is held of a fault would grow for ever";
  body.inject({at(99 * 3600.0 + 10), kForGood, with({.frozen = true})});
  EXPECT_EQ(body.faults().size(), 2u);
  body.inject({at(200 * 3600.0), kForGood, with({.memory = 0.5})});
  EXPECT_EQ(body.faults().size(), 2u) << "one that has no end is not past";
}

TEST(BodyExecutor, FaultsDoNotMakeItPriceKnownStepsAnew) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  TwinExecutor twin(model);
  BodyExecutor body(twin, model, BodyOptions{});
  Step step;
  StepItem item;
  item.seq = 1;
  item.n_past = 100;
  item.n_new = step.n_tokens = 1;
  item.decodes = item.samples = true;
  step.items = {item};
  TimePoint now{};
  for (int i = 0; i < 50; ++i) {
    body.inject({now, now + Duration(1'000'000), with({.memory = 0.5})});
    now = body.run(step, now).end;
  }
  EXPECT_EQ(body.n_kinds(), 1u) << "what is held of steps would grow with every fault";
}

// A box that serves for months meets more kinds of steps than it may hold: those at rest give way, and nothing but
// memory depends on which are held.
TEST(BodyExecutor, KindsGiveWayWithoutATrace) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  TwinExecutor twin(model);
  BodyExecutor all(twin, model, BodyOptions{}), few(twin, model, BodyOptions{.kinds_max = 5});
  Random random(1, Stream::Test);
  TimePoint now{};
  for (int i = 0; i < 2000; ++i) {
    Step step;
    for (std::int64_t n = random.range(1, 6); n > 0; --n) {
      StepItem item;
      item.seq = static_cast<SeqId>(n);
      item.n_past = static_cast<std::int32_t>(random.range(1, 4000));
      item.n_new = 1;
      item.decodes = item.samples = true;
      step.items.push_back(item);
      ++step.n_tokens;
    }
    const TimePoint end = all.run(step, now).end;
    ASSERT_EQ(few.run(step, now).end, end);
    now = end + Duration(random.range(0, 3) * 100'000'000);
  }
  EXPECT_GT(all.n_kinds(), 20u);
  // No more than ran in a window beside those.
  EXPECT_LT(few.n_kinds(), 20u);
  const BodyReport a = all.report(now), b = few.report(now);
  EXPECT_EQ(a.joules, b.joules);
  EXPECT_EQ(a.gpu_max, b.gpu_max);
}

TEST(BodyExecutor, AMachineWithoutABodyAndALinkFaultOfOneBoxAreRefused) {
  SimulateOptions options;
  options.workload = {.requests = 1, .seed = 1};
  options.body = BodyOptions{};
  EXPECT_THROW(simulate(testing::fp8_twin_on(testing::round_machine()), options), Error);
  Fault fault = with({});
  fault.link = "rail";
  options.body->faults = {{TimePoint{}, kForGood, fault}};
  EXPECT_THROW(simulate(testing::fp8_twin_on(round_machine_with_body()), options), Error);
}

}  // namespace
}  // namespace tinderbox
