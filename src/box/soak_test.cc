#include "box/soak.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "box/telemetry.h"
#include "twin/test_body.h"

namespace tinderbox {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const Machine& spark() {
  static const Machine machine = parse_machine(
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml"),
      "dgx-spark");
  return machine;
}

Celsius last_gpu(const SoakReport& report) { return report.samples.back().sensors.gpu_temperature; }

TEST(Soak, SamplesFromRestToTheEnd) {
  const SoakReport report =
      soak(spark_body(), {{.lasts = minutes(30), .load = decode_load()}, {.lasts = minutes(10)}},
           {.every = seconds(30)});
  ASSERT_EQ(report.samples.size(), 81U);
  EXPECT_EQ(report.samples.front().limit, ClockLimit::Idle);
  EXPECT_EQ(report.samples.back().time, TimePoint(minutes(40)));
  EXPECT_EQ(report.total, minutes(40));
  EXPECT_GT(report.gpu_max, last_gpu(report) + Kelvins(10));
  EXPECT_NEAR(report.work, 40 * 60, 60);  // an idle box does all that is asked of it
  double mean = 0;
  for (const SoakSample& s : report.samples) mean += dc_power(s.rails).value() / 81;
  EXPECT_NEAR(report.joules, mean * 40 * 60, 0.03 * report.joules);
  EXPECT_GT(report.wall_joules, report.joules);
}

TEST(Soak, WarmerRoomsThinnerAirAndStacksAreHotter) {
  const auto end = [](const Load& load, Surroundings s, int stack) {
    return soak(spark_body(), {{.lasts = hours(1), .load = load}},
                {.surroundings = s, .every = minutes(1), .stack_height = stack});
  };
  const auto hot = [&](Surroundings s, int stack) {
    return last_gpu(end(mixed(PhaseLoads{.prefill = gemm_load(),
                                         .decode = decode_load(),
                                         .prefill_share = 0.3,
                                         .decode_share = 0.7}),
                        s, stack));
  };
  const Celsius at_25 = hot({.room = Celsius(25)}, 1);
  EXPECT_GT(hot({.room = Celsius(35)}, 1), at_25 + Kelvins(3));
  EXPECT_GT(hot({.room = Celsius(25), .altitude = 3000}, 1), at_25 + Kelvins(1));
  EXPECT_GT(hot({.room = Celsius(25)}, 3), at_25 + Kelvins(0.5));
  // Where heat limits it, the box is slower instead.
  const SoakReport cool = end(gemm_load(), {.room = Celsius(25)}, 1), warm = end(gemm_load(), {.room = Celsius(35)}, 1);
  EXPECT_LT(warm.samples.back().speed, cool.samples.back().speed);
}

TEST(Soak, AFaultBeginsAndEndsWhereItIsPlanned) {
  const SoakReport report =
      soak(spark_body(), {{.lasts = minutes(20), .load = decode_load()}},
           {.every = seconds(1),
            .faults = plan_faults({"slow-memory@10min+20s"}, spark(), minutes(20), 1)});
  const auto speed_at = [&](int second) {
    return report.samples[static_cast<std::size_t>(second)].speed;
  };
  EXPECT_GT(speed_at(599), 0.95);
  EXPECT_LT(speed_at(605), 0.4);
  EXPECT_LT(speed_at(619), 0.4);
  EXPECT_GT(speed_at(621), 0.95);
  std::vector<std::string> told;
  for (const SoakEvent& event : report.events) {
    if (event.what.starts_with("fault")) told.push_back(event.what);
  }
  EXPECT_EQ(told, (std::vector<std::string>{"fault slow-memory begins", "fault slow-memory ends"}));
}

TEST(Soak, ItsCsvIsALogThatReplays) {
  const SoakReport report =
      soak(spark_body(), {{.lasts = minutes(30), .load = decode_load()}}, {.every = seconds(10)});
  const auto runs = parse_telemetry(soak_csv(spark_body(), report), "soak-own.csv");
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].samples.size(), report.samples.size());
  EXPECT_TRUE(runs[0].has_power());
}

TEST(Soak, SustainedIsWhereALongSoakEnds) {
  PhaseLoads phases{
      .prefill = gemm_load(), .decode = decode_load(), .prefill_share = 0.3, .decode_share = 0.7};
  const Sustained s = sustained(spark_body(), phases, {.room = Celsius(25)});
  const SoakReport report =
      soak(spark_body(), {{.lasts = hours(3), .load = mixed(phases)}}, {.every = minutes(10)});
  EXPECT_NEAR(s.sensors.gpu_temperature.degrees(), last_gpu(report).degrees(), 0.5);
  EXPECT_LT(s.prefill_speed, 1);
  EXPECT_GT(s.prefill_dc, s.decode_dc);
}

TEST(Soak, WhatCannotBeIsRefused) {
  EXPECT_THROW(soak(spark_body(), {}, {}), Error);
  EXPECT_THROW(soak(spark_body(), {{.lasts = minutes(1)}}, {.every = seconds(0)}), Error);
  EXPECT_THROW(soak(spark_body(), {{.lasts = minutes(1)}}, {.stack_height = 0}), Error);
  EXPECT_THROW(soak(spark_body(), {{.lasts = minutes(1)}}, {.surroundings = {.room = Celsius(99)}}),
               Error);
}

}  // namespace
}  // namespace tinderbox
