#include "twin/thermal.h"

#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "twin/test_body.h"

namespace tinderbox {
namespace {

NodeValues some_watts(const ThermalNetwork& network) {
  NodeValues watts{};
  for (std::size_t i = 0; i < network.air(); ++i) watts[i] = 5 + 7.0 * static_cast<double>(i % 3);
  return watts;
}

double stored(const ThermalNetwork& network, const NodeValues& rise) {
  double sum = 0;
  for (std::size_t i = 0; i < network.size(); ++i) sum += network.capacity(i) * rise[i];
  return sum;
}

TEST(ThermalNetwork, OneNodeFollowsItsExponential) {
  BodyFacts body;
  body.nodes = {{.name = "block", .capacity = 100, .room_conductance = 2}};
  body.full_flow = 1e-3;
  ThermalNetwork network(body);
  NodeValues rise{}, watts{};
  watts[0] = 50;
  network.advance(1, rise, watts, 30);
  EXPECT_NEAR(rise[0], 25 * (1 - std::exp(-30 * 2.0 / 100)), 1e-9);
}

TEST(ThermalNetwork, SettlesWhereSteadySays) {
  ThermalNetwork network(spark_body());
  NodeValues rise{};
  const NodeValues watts = some_watts(network);
  network.advance(0.7, rise, watts, 1e6);
  const NodeValues steady = network.steady(0.7, watts);
  for (std::size_t i = 0; i < network.size(); ++i) EXPECT_NEAR(rise[i], steady[i], 1e-7) << i;
}

RC_GTEST_PROP(ThermalNetworkLaws, EnergyInIsHeatOutAndStored, ()) {
  ThermalNetwork network(spark_body());
  NodeValues rise{};
  double in = 0, out = 0;
  const int n = *rc::gen::inRange(1, 20);
  for (int step = 0; step < n; ++step) {
    NodeValues watts{};
    double sum = 0;
    for (std::size_t i = 0; i < network.air(); ++i) sum += watts[i] = *rc::gen::inRange(0, 100);
    const double flow = 0.03 + 0.01 * *rc::gen::inRange(0, 97);
    const double seconds = *rc::gen::inRange(0, 100000) * 1e-2;
    in += sum * seconds;
    out += network.advance(flow, rise, watts, seconds);
  }
  RC_ASSERT(std::abs(in - out - stored(network, rise)) <= 1e-9 * (in + 1));
}

RC_GTEST_PROP(ThermalNetworkLaws, SlicesOfTimeDoNotMatter, (unsigned seed)) {
  ThermalNetwork network(spark_body());
  const NodeValues watts = some_watts(network);
  NodeValues whole{}, sliced{};
  double left = 0;
  const double seconds = 1 + seed % 5000, first = seconds * (*rc::gen::inRange(1, 99)) * 0.01;
  const double all = network.advance(0.5, whole, watts, seconds);
  left += network.advance(0.5, sliced, watts, first);
  left += network.advance(0.5, sliced, watts, seconds - first);
  for (std::size_t i = 0; i < network.size(); ++i) {
    RC_ASSERT(std::abs(whole[i] - sliced[i]) <= 1e-9 * (1 + whole[i]));
  }
  RC_ASSERT(std::abs(all - left) <= 1e-9 * (1 + all));
}

TEST(ThermalNetwork, MoreAirCoolsEveryNode) {
  const ThermalNetwork network(spark_body());
  const NodeValues watts = some_watts(network);
  NodeValues last = network.steady(0.05, watts);
  for (const double flow : {0.1, 0.3, 0.6, 1.0}) {
    const NodeValues now = network.steady(flow, watts);
    for (std::size_t i = 0; i < network.size(); ++i) EXPECT_LT(now[i], last[i]) << i;
    last = now;
  }
}

// A watt at one node warms another as much as a watt there would warm the first.
TEST(ThermalNetwork, IsReciprocal) {
  const ThermalNetwork network(spark_body());
  for (std::size_t a = 0; a < network.air(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      NodeValues at_a{}, at_b{};
      at_a[a] = at_b[b] = 1;
      EXPECT_NEAR(network.steady(0.5, at_a)[b], network.steady(0.5, at_b)[a], 1e-10);
    }
  }
}

}  // namespace
}  // namespace tinderbox
