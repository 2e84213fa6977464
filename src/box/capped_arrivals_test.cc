#include "box/capped_arrivals.h"

#include <map>

#include <gtest/gtest.h>

#include "base/random.h"
#include "box/simulate.h"
#include "box/test_executor.h"
#include "box/workload.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

SimulateOptions burst(std::int64_t n, std::optional<std::int64_t> in_flight_max) {
  SimulateOptions options;
  options.workload = {.requests = n, .rate = 1e6, .prompt = 64, .gen = 32, .range_ratio = 0.5, .seed = 3};
  options.in_flight_max = in_flight_max;
  return options;
}

// A place that is free at once changes nothing.
TEST(CappedArrivals, ManyPlacesAreNoCap) {
  const StepModel model = dense_twin();
  SimulateOptions options = burst(40, {});
  options.workload.rate = 3;
  const Report open = simulate(model, options).report;
  options.in_flight_max = 40;
  const Report capped = simulate(model, options).report;
  EXPECT_EQ(open.ttft.mean, capped.ttft.mean);
  EXPECT_EQ(open.duration, capped.duration);
}

// All come at once: the server never holds more than the cap, and whoever waits with the client does not wait with
// the server.
TEST(CappedArrivals, TheServerSeesTheCapAlone) {
  const StepModel model = dense_twin();
  for (const auto& [cap, boxes] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 1}, {8, 1}, {3, 2}, {8, 3}}) {
    SimulateOptions options = burst(50, cap);
    options.boxes = boxes;
    std::multimap<TimePoint, int> changes;  // of requests at the server
    std::int64_t n = 0;
    options.on_finished = [&](const RequestTimes& times) {
      ++n;
      changes.emplace(times.arrival, 1);
      changes.emplace(times.arrival + times.e2e, -1);
    };
    const Report report = simulate(model, options).report;
    EXPECT_EQ(report.finished, 50);
    EXPECT_EQ(n, 50);
    std::int64_t at_server = 0, most = 0;
    for (auto i = changes.begin(); i != changes.end();) {
      // Those that end make room for those that come at the same time.
      const TimePoint at = i->first;
      for (; i != changes.end() && i->first == at; ++i) at_server += i->second;
      most = std::max(most, at_server);
    }
    EXPECT_EQ(most, cap);
    SimulateOptions open = burst(50, {});
    open.boxes = boxes;
    EXPECT_LT(report.ttft.mean.value(), simulate(model, open).report.ttft.mean.value());
  }
}

// What is sent as an answer ends has its way through HTTP and tokeniser before it.
TEST(CappedArrivals, ARequestTakesItsTimeToTheServer) {
  TwinModel twin = dense_twin().twin();
  const auto duration_of = [&](double request_time) {
    twin.stack.price.request_time = request_time;
    SimulateOptions options = burst(20, 1);
    std::vector<TimePoint> arrivals, ends;
    options.on_finished = [&](const RequestTimes& times) {
      arrivals.push_back(times.arrival);
      ends.push_back(times.arrival + times.e2e);
      EXPECT_EQ(times.queue.count(), 0);
    };
    const Report report = simulate(StepModel(twin), options).report;
    for (std::size_t i = 1; i < arrivals.size(); ++i) EXPECT_EQ(arrivals[i], ends[i - 1]) << "sent as the answer ends";
    return report.duration.value();
  };
  EXPECT_NEAR(duration_of(0.25) - duration_of(0), 19 * 0.25, 1e-6);
}

TEST(CappedArrivals, SameSeedSameTimesInRunsAndSteps) {
  const StepModel model = dense_twin();
  SimulateOptions options = burst(60, 5);
  const Report runs = simulate(model, options).report;
  options.by_steps = true;
  const Report steps = simulate(model, options).report;
  EXPECT_EQ(runs.duration, steps.duration);
  EXPECT_EQ(runs.e2e.p99, steps.e2e.p99);
}

}  // namespace
}  // namespace tinderbox
