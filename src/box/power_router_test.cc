// The router that watches power, over boxes with bodies: it spares a sick box, and joules where
// little is asked.
#include <gtest/gtest.h>

#include "base/error.h"
#include "box/simulate.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

StepModel warm_twin() { return testing::fp8_twin_on(round_machine_with_body()); }

SimulateOptions fleet(double rate, RouterPolicy routing) {
  SimulateOptions options;
  options.workload = {
      .requests = 600, .rate = rate, .prompt = 200, .gen = 40, .range_ratio = 0.5, .seed = 3};
  options.boxes = 4;
  options.routing = routing;
  options.body = BodyOptions{};
  return options;
}

FaultEvent for_good(Handicap handicap) {
  return {TimePoint{},
          TimePoint::max(),
          {.name = "f", .what = "", .ends = "", .sources = "", .handicap = handicap}};
}

TEST(PowerRouter, SparesASickBox) {
  const StepModel model = warm_twin();
  for (const Handicap& handicap :
       {Handicap{.clock_max = Hertz(507e6)}, Handicap{.memory = 0.3}, Handicap{.off = true}}) {
    const auto run = [&](RouterPolicy routing) {
      SimulateOptions options = fleet(0.3, routing);
      options.body->faults.push_back(for_good(handicap));
      options.faulty_boxes = 1;
      return simulate(model, options);
    };
    const SimulationResult aware = run(RouterPolicy::PowerAware),
                           blind = run(RouterPolicy::RoundRobin);
    std::int64_t least = aware.boxes[1].finished;
    for (const Report& box : aware.boxes) {
      if (&box != &aware.boxes[0]) least = std::min(least, box.finished);
    }
    EXPECT_LT(aware.boxes[0].finished, least);
    if (handicap.off) {
      EXPECT_EQ(aware.report.finished, 600);
      EXPECT_LT(blind.report.finished, 600);
    } else {
      EXPECT_LT(aware.boxes[0].finished, blind.boxes[0].finished / 2);
      EXPECT_LT(aware.report.e2e.p99.value(), blind.report.e2e.p99.value());
    }
  }
}

// Where generating takes longer than reading: what is generated together shares the reading of the
// weights.
TEST(PowerRouter, SavesJoulesWhereLittleIsAsked) {
  const StepModel model = warm_twin();
  const auto run = [&](RouterPolicy routing) {
    SimulateOptions options = fleet(0.3, routing);
    options.workload.prompt = 8;
    options.workload.gen = 100;
    return simulate(model, options);
  };
  const SimulationResult aware = run(RouterPolicy::PowerAware),
                         spread = run(RouterPolicy::LeastLoaded);
  EXPECT_EQ(aware.report.output_tokens, spread.report.output_tokens);
  EXPECT_LT(aware.body->joules, 0.9 * spread.body->joules);
  EXPECT_LT(aware.report.tpot.mean.value(),
            1.6 * spread.report.tpot.mean.value());  // the knee, at 1.5
}

TEST(PowerRouter, FillsABoxUpToTheKneeThenTheEmptiestAndWatchesHeat) {
  Router router(RouterPolicy::PowerAware, 3, 0, 4);
  std::vector<BoxView> boxes(3);
  EXPECT_EQ(router.choose({}, boxes), 0U);
  boxes[2].requests = 3;
  EXPECT_EQ(router.choose({}, boxes), 2U);
  boxes[2].requests = 4;
  EXPECT_EQ(router.choose({}, boxes), 0U);
  boxes[0].to_slowdown = 2;
  EXPECT_EQ(router.choose({}, boxes), 1U);
  for (BoxView& box : boxes) box.requests = 9;
  boxes[1].speed = 0.5;
  EXPECT_EQ(router.choose({}, boxes), 2U);
  boxes[2].answers = false;
  boxes[0].speed = 0.9;  // and warm
  EXPECT_EQ(router.choose({}, boxes), 1U);
}

TEST(PowerRouter, NeedsBodiesToLookAt) {
  SimulateOptions options = fleet(1, RouterPolicy::PowerAware);
  options.body.reset();
  try {
    simulate(warm_twin(), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--body"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tinderbox
