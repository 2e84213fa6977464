#include "box/load_margin.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "box/capacity.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

LoadMargin margin_of(const SimulateOptions& options) {
  return load_margin(testing::fp8_twin(), options, simulate(testing::fp8_twin(), options));
}

SimulateOptions traffic(double rate, std::int64_t requests) {
  SimulateOptions options{
      .workload = {
          .requests = requests, .rate = rate, .prompt = 200, .gen = 50, .range_ratio = 0.8}};
  options.sequences_max = 16;
  return options;
}

double mean_queue(double rate, std::int64_t requests) {
  return simulate(testing::fp8_twin(), traffic(rate, requests)).report.queue.mean.value();
}

// One request a step and one at a time: saturated when each follows the other.
TEST(LoadMargin, OfOneAtATimeIsTheServiceTime) {
  SimulateOptions options{.workload = {.requests = 50, .rate = 1, .prompt = 100, .gen = 1},
                          .sequences_max = 1};
  const double service = simulate(testing::fp8_twin(), options).report.busy.value() / 50;
  const LoadMargin m = margin_of(options);
  EXPECT_NEAR(m.saturation, 1 / service, 1e-6 / service);
  EXPECT_NEAR(m.saturation_high - m.saturation_low, 0, 1e-6 / service);  // all requests are alike
  EXPECT_NEAR(m.share(), service, 1e-6);
  options.boxes = 4;
  EXPECT_NEAR(margin_of(options).saturation, 4 / service, 1e-5 / service);
}

// What the word means: below it a queue does not care how long the run is; above it, it grows with
// it.
TEST(LoadMargin, QueuesGrowAboveSaturationOnly) {
  const LoadMargin m = margin_of(traffic(1, 100));
  ASSERT_TRUE(m.why_not.empty());
  EXPECT_LE(m.saturation_low, m.saturation);
  EXPECT_LE(m.saturation, m.saturation_high);
  EXPECT_LT(m.saturation_high, 1.2 * m.saturation_low);
  // 0.2 more than goes comes: whoever comes last of n waits n / rate * (1.2 - 1), on average half
  // of it.
  const double above = 1.2 * m.saturation;
  for (const std::int64_t n : {2000, 4000, 8000}) {
    const double grows = static_cast<double>(n) / above * 0.2 / 2;
    EXPECT_NEAR(mean_queue(above, n), grows, 0.25 * grows) << n;
  }
  const double below = 0.8 * m.saturation;
  const double bounded = mean_queue(below, 2000);
  EXPECT_LT(bounded, 16 / m.saturation);  // a batch's worth
  EXPECT_LT(mean_queue(below, 32'000), 2 * bounded + 1);
}

TEST(LoadMargin, VerdictsNameTheSideOfTheRun) {
  const double saturation = margin_of(traffic(1, 100)).saturation;
  EXPECT_EQ(margin_of(traffic(0.5 * saturation, 100)).verdict(), Saturation::Below);
  const LoadMargin near = margin_of(traffic(0.97 * saturation, 100));
  EXPECT_EQ(near.verdict(), Saturation::Near);
  EXPECT_NEAR(near.share(), 0.97, 1e-9);
  EXPECT_NE(load_margin_text(near).find("near or above saturation"), std::string::npos);
  const LoadMargin above = margin_of(traffic(1.3 * saturation, 100));
  EXPECT_EQ(above.verdict(), Saturation::Above);
  EXPECT_NE(load_margin_text(above).find("the queue grows"), std::string::npos);
  EXPECT_EQ(load_margin_json(above)["verdict"], "above");
  // A day whose mean is half of it and whose peak is all of it.
  SimulateOptions day = traffic(0.5 * saturation, 100);
  day.workload.diurnal = 0.9;
  EXPECT_EQ(margin_of(day).verdict(), Saturation::Near);
}

// The largest rate that `capacity` finds with a promise that only a growing queue breaks.
TEST(LoadMargin, AgreesWithCapacity) {
  CapacityOptions options{.simulation = traffic(1, 6000), .share = 0.9, .seeds = 1};
  options.simulation.slo.ttft = 600;
  const double found = capacity(testing::fp8_twin(), options).load;
  const double saturation = margin_of(options.simulation).saturation;
  EXPECT_NEAR(found, saturation, 0.1 * saturation);
}

TEST(LoadMargin, SameOptionsSameBytes) {
  const SimulateOptions options = traffic(2, 300);
  EXPECT_EQ(load_margin_json(margin_of(options)).dump(),
            load_margin_json(margin_of(options)).dump());
}

TEST(LoadMargin, TracesHaveOneOfTheirOwn) {
  auto trace = std::make_shared<Trace>();
  Random random(1, Stream::Test);
  for (int i = 0; i < 1500; ++i) {
    Request request;
    request.arrival = TimePoint(std::chrono::milliseconds(500 * i));
    request.n_prompt = static_cast<std::int32_t>(random.range(1, 400));
    request.n_gen_max = static_cast<std::int32_t>(random.range(1, 100));
    trace->requests.push_back(request);
  }
  SimulateOptions options = traffic(1, 100);
  options.workload.trace = trace;
  const LoadMargin m = margin_of(options);
  EXPECT_DOUBLE_EQ(m.load, 2);
  // Lengths are those of the generated traffic, about.
  EXPECT_NEAR(m.saturation, margin_of(traffic(1, 100)).saturation, 0.1 * m.saturation);
}

// A short trace is asked again and again: half of it is too little to fill a batch.
TEST(LoadMargin, ShortTracesAreEnough) {
  SimulateOptions options = traffic(1, 100);
  const auto part = [&](std::int64_t n) {
    auto trace = std::make_shared<Trace>();
    for (std::int64_t k = 0; k < n; ++k) {
      Request request;
      request.arrival = TimePoint(std::chrono::seconds(k));
      request.n_prompt = 200;
      request.n_gen_max = 50;
      trace->requests.push_back(request);
    }
    options.workload.trace = trace;
    return margin_of(options).saturation;
  };
  const double of_many = part(3000);
  EXPECT_NEAR(part(5), of_many, 0.1 * of_many);
}

TEST(LoadMargin, IsNotForThoseWhoWait) {
  SimulateOptions users = traffic(1, 50);
  users.users = 4;
  SimulateOptions turns = traffic(1, 50);
  turns.workload.turns = 3;
  for (const SimulateOptions& options : {users, turns}) {
    const LoadMargin m = margin_of(options);
    EXPECT_FALSE(m.why_not.empty());
    EXPECT_EQ(load_margin_text(m), "");
    EXPECT_EQ(load_margin_json(m)["applies"], false);
  }
}

// Deadlines, bursts, days and prefixes that all share take no part in what a box can do, or do.
TEST(LoadMargin, TakesTrafficOfEveryKind) {
  SimulateOptions options = traffic(0.1, 200);
  const double saturation = margin_of(options).saturation;
  options.workload.timeout = 1000;
  options.workload.burstiness = 0.2;
  options.workload.diurnal = 0.5;
  EXPECT_NEAR(margin_of(options).saturation, saturation, 1e-9 * saturation);
  options.workload.shared_prefix = 100;
  const LoadMargin longer = margin_of(options);
  EXPECT_TRUE(longer.why_not.empty());
  EXPECT_LT(longer.saturation, saturation);
}

}  // namespace
}  // namespace tinderbox
