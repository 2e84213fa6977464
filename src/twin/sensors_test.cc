#include "twin/sensors.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "twin/test_body.h"

namespace tinderbox {
namespace {

Watts channel(const Sensors& sensors, std::string_view name) {
  return std::ranges::find(sensors.channels, name, &std::pair<std::string_view, Watts>::first)
      ->second;
}

TEST(Sensors, ShowWhatToolsOnTheBoxShow) {
  Body body(spark_body());
  body.set_load(gemm_load());
  body.advance(std::chrono::minutes(20));
  const Sensors s = read_sensors(body);
  EXPECT_LT(s.gpu_power, channel(s, "gpu") * 0.9);  // under-reads under load
  EXPECT_LE(channel(s, "pl1"), Watts(140));
  EXPECT_GT(channel(s, "sys_total"), channel(s, "soc_pkg") + Watts(20));
  EXPECT_GT(s.wall, channel(s, "sys_total"));
  ASSERT_EQ(s.zones.size(), 7U);
  EXPECT_GT(*std::ranges::max_element(s.zones), s.gpu_temperature);
  EXPECT_EQ(s.gpu_utilisation, 1);
  EXPECT_FALSE(s.heat_slowed);
}

TEST(Sensors, AnIdleBoxReadsWhatOwnersRead) {
  const Sensors s = read_sensors(Body(spark_body()));
  EXPECT_NEAR(channel(s, "sys_total").value(), 27.7, 1);
  EXPECT_NEAR(s.gpu_power.value(), 4.85, 0.5);
  EXPECT_EQ(s.sm_clock, spark_body().clock_idle);
  EXPECT_EQ(s.gpu_utilisation, 0);
}

TEST(Sensors, EnergiesAreTheIntegralsOfPowers) {
  Body body(spark_body());
  body.set_load(gemm_load());
  double gpu = 0, wall = 0;
  Rails rails{};
  for (int i = 0; i < 600; ++i) {
    const Sensors before = read_sensors(body);
    body.advance(std::chrono::milliseconds(100));
    const Sensors after = read_sensors(body);
    gpu += 0.05 * (before.gpu_power + after.gpu_power).value();
    wall += 0.05 * (before.wall + after.wall).value();
    for (std::size_t r = 0; r < kRails; ++r) rails[r] += (before.rails[r] + after.rails[r]) * 0.05;
  }
  const Sensors s = read_sensors(body);
  EXPECT_NEAR(s.gpu_energy.value(), gpu, 0.01 * gpu);
  EXPECT_NEAR(s.wall_energy.value(), wall, 0.01 * wall);
  double sum = 0;
  for (std::size_t r = 0; r < kRails; ++r) {
    EXPECT_NEAR(s.rail_energy[r].value(), rails[r].value(), 0.01 * rails[r].value() + 0.01);
    sum += s.rail_energy[r].value();
  }
  EXPECT_NEAR(sum, body.state().joules_in, 1e-6 * sum);
  EXPECT_LT(s.gpu_energy, s.rail_energy[index_of(Rail::Gpu)]) << "nvidia-smi under-reads";
}

TEST(Sensors, NodesAreThoseOfTheFile) {
  Body body(spark_body());
  const Sensors s = read_sensors(body);
  ASSERT_EQ(s.nodes.size(), spark_body().nodes.size());
  EXPECT_EQ(s.nodes[static_cast<std::size_t>(spark_body().gpu)].second, s.gpu_temperature);
  EXPECT_LT(s.room, s.air);
}

TEST(Sensors, MemoryIsNotAvailableAsOnTheMachine) {
  const auto fields = fields_not_available();
  EXPECT_NE(std::ranges::find(fields, "memory.used"), fields.end());
}

}  // namespace
}  // namespace tinderbox
