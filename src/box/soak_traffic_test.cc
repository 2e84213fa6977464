#include "box/soak_traffic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const StepModel& model() {
  static const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  return model;
}

// Ten minutes of requests, then rest.
SimulateOptions ten_minutes() {
  SimulateOptions options;
  options.workload = {.requests = 600, .rate = 1, .burstiness = INFINITY, .prompt = 64, .gen = 16, .seed = 3};
  options.body = BodyOptions{};
  return options;
}

TEST(SoakTraffic, ServesWhatASimulationServesAndThenRests) {
  const TrafficSoak soak = soak_traffic(model(), ten_minutes(), minutes(30), seconds(10));
  const SimulationResult simulated = simulate(model(), ten_minutes());
  EXPECT_EQ(soak.traffic.finished, 600);
  EXPECT_EQ(soak.unanswered, 0);
  EXPECT_EQ(soak.traffic.output_tokens, simulated.report.output_tokens);
  EXPECT_EQ(soak.traffic.ttft.p99, simulated.report.ttft.p99);
  EXPECT_EQ(soak.traffic.tpot.p50, simulated.report.tpot.p50);
  EXPECT_EQ(soak.soak.total, Duration(minutes(30)));
  ASSERT_EQ(soak.soak.samples.size(), 181u);
  const auto gpu_at = [&](std::size_t i) { return soak.soak.samples[i].sensors.gpu_temperature; };
  EXPECT_GT(gpu_at(60), gpu_at(0) + Kelvins(0.5)) << "warm from its work";
  EXPECT_LT(gpu_at(180), gpu_at(60)) << "it rests since ten minutes";
  EXPECT_GT(soak.soak.joules, simulated.body->joules);
  SimulateOptions idle = ten_minutes();
  idle.workload.requests = 1;
  const TrafficSoak rest = soak_traffic(model(), idle, minutes(30), seconds(10));
  EXPECT_GT(soak.soak.joules, rest.soak.joules);
  // Rest is the same whenever it is: the rest of both differ by the heat that is left.
  EXPECT_NEAR(soak.soak.samples[180].sensors.wall.value(), rest.soak.samples[180].sensors.wall.value(), 1.0);
}

TEST(SoakTraffic, WhatComesLaterIsLeftOut) {
  SimulateOptions options = ten_minutes();
  options.workload.requests = 60;
  options.workload.rate = 0.1;
  const TrafficSoak soak = soak_traffic(model(), options, minutes(5), seconds(1));
  EXPECT_NEAR(static_cast<double>(soak.traffic.submitted), 30, 1);
  EXPECT_LE(soak.unanswered, 2);
  EXPECT_EQ(soak.traffic.finished + soak.unanswered, soak.traffic.submitted);
  EXPECT_EQ(soak.soak.samples.size(), 301u);
}

TEST(SoakTraffic, AFaultIsToldAndFelt) {
  SimulateOptions options = ten_minutes();
  Fault fault;
  fault.name = "half";
  fault.handicap.memory = 0.5;
  options.body->faults = {{TimePoint(minutes(2)), TimePoint(minutes(4)), fault}};
  const TrafficSoak soak = soak_traffic(model(), options, minutes(10), seconds(10));
  ASSERT_EQ(soak.soak.events.size(), 2u);
  EXPECT_EQ(soak.soak.events[0].what, "fault half begins");
  EXPECT_EQ(soak.soak.events[1].time, TimePoint(minutes(4)));
  const TrafficSoak healthy = soak_traffic(model(), ten_minutes(), minutes(10), seconds(10));
  EXPECT_GT(soak.traffic.tpot.p99, healthy.traffic.tpot.p99);
}

TEST(SoakTraffic, NoTimeAndClosedLoopsAreRefused) {
  EXPECT_THROW(soak_traffic(model(), ten_minutes(), std::chrono::milliseconds(10), seconds(1)), Error);
  EXPECT_THROW(soak_traffic(model(), ten_minutes(), minutes(1), Duration(0)), Error);
  SimulateOptions users = ten_minutes();
  users.users = 4;
  EXPECT_THROW(soak_traffic(model(), users, minutes(1), seconds(1)), Error);
}

}  // namespace
}  // namespace tinderbox
