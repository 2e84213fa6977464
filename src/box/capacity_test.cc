#include "box/capacity.h"

#include <cmath>

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

double alone_ttft() {
  SimulateOptions one;
  one.workload = {.requests = 1, .prompt = 100, .gen = 20, .seed = 1};
  return simulate(testing::fp8_twin(), one).report.ttft.mean.value();
}

CapacityOptions within(double times_alone) {
  CapacityOptions options;
  options.simulation.workload = {.requests = 300, .prompt = 100, .gen = 20, .seed = 1};
  options.simulation.slo.ttft = times_alone * alone_ttft();
  options.share = 0.95;
  return options;
}

TEST(Capacity, TheLoadItFindsHoldsAndOneALittleLargerDoesNot) {
  const CapacityOptions options = within(5);
  const Capacity c = capacity(testing::fp8_twin(), options);
  ASSERT_TRUE(c.reachable);
  EXPECT_LE(c.low, c.load);
  EXPECT_LE(c.load, c.high);
  EXPECT_GE(c.curve.back().good_share, options.share);
  SimulateOptions more = options.simulation;
  more.workload.rate = 1.05 * c.curve.back().load;
  const Report r = simulate(testing::fp8_twin(), more).report;
  EXPECT_LT(static_cast<double>(r.good), options.share * static_cast<double>(r.submitted));
  for (std::size_t i = 1; i < c.curve.size(); ++i) EXPECT_GT(c.curve[i].load, c.curve[i - 1].load);
}

TEST(Capacity, APatientPromiseIsHeldAboveSaturationAndSaysSo) {
  CapacityOptions options = within(5);
  options.simulation.workload.requests = 100;
  options.simulation.slo.ttft = 1e6;
  options.seeds = 1;
  const Capacity c = capacity(testing::fp8_twin(), options);
  EXPECT_EQ(c.margin.verdict(), Saturation::Above);
  EXPECT_DOUBLE_EQ(c.margin.load, c.load);
  EXPECT_NE(capacity_table(options, c).find("above saturation"), std::string::npos);
  EXPECT_EQ(capacity_json(options, c)["load_margin"]["verdict"], "above");
}

TEST(Capacity, LooserPromisesAndMoreBoxesHoldMore) {
  const double tight = capacity(testing::fp8_twin(), within(3)).load;
  const double loose = capacity(testing::fp8_twin(), within(10)).load;
  EXPECT_GT(loose, tight);
  CapacityOptions two = within(3);
  two.simulation.boxes = 2;
  two.simulation.routing = RouterPolicy::LeastLoaded;
  const double both = capacity(testing::fp8_twin(), two).load;
  EXPECT_GT(both, 1.7 * tight);
}

TEST(Capacity, UsersAreCounted) {
  CapacityOptions options = within(6);
  options.kind = LoadKind::Users;
  const Capacity c = capacity(testing::fp8_twin(), options);
  ASSERT_TRUE(c.reachable);
  EXPECT_EQ(c.load, std::round(c.load));
  EXPECT_GE(c.load, 1);
}

TEST(Capacity, BoxesNeededHoldWhereOneFewerDoesNot) {
  CapacityOptions options = within(4);
  const double one = capacity(testing::fp8_twin(), options).load;
  options.simulation.workload.rate = 3.5 * one;
  options.simulation.routing = RouterPolicy::LeastLoaded;
  const std::int64_t n = boxes_needed(testing::fp8_twin(), options, 64);
  EXPECT_GE(n, 3);
  EXPECT_LE(n, 5);
  EXPECT_EQ(boxes_needed(testing::fp8_twin(), options, 2), 0);
}

TEST(Capacity, AnImpossiblePromiseIsSaidToBe) {
  const Capacity c = capacity(testing::fp8_twin(), within(0.5));
  EXPECT_FALSE(c.reachable);
  EXPECT_NE(capacity_table(within(0.5), c).find("cannot be kept"), std::string::npos);
  CapacityOptions none = within(1);
  none.simulation.slo = {};
  EXPECT_THROW(capacity(testing::fp8_twin(), none), Error);
  CapacityOptions odd = within(5);
  odd.share = 2;
  EXPECT_THROW(capacity(testing::fp8_twin(), odd), Error);
}

TEST(Capacity, ItsChartHasACurveForEachNumberOfBoxes) {
  const CapacityOptions options = within(5);
  const Capacity c = capacity(testing::fp8_twin(), options);
  Capacity two = c;
  two.boxes = 2;
  const std::string svg = time_chart_svg(capacity_chart(options, {c, two}, "made up"));
  EXPECT_NE(svg.find("2 boxes"), std::string::npos);
  EXPECT_NE(svg.find("requests/s"), std::string::npos);
  EXPECT_EQ(svg.find(" min</text>"), std::string::npos);  // no times on the axis
}

}  // namespace
}  // namespace tinderbox
