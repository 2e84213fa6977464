#include "box/gauges.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "twin/test_body.h"

namespace tinderbox {
namespace {

Machine machine_file(const std::string& id) {
  const auto path = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines" / (id + ".toml");
  return parse_machine(read_file(path), id);
}

Sensors warm_sensors() {
  Body body(spark_body());
  body.set_load(gemm_load());
  body.advance(std::chrono::minutes(5));
  return read_sensors(body);
}

std::set<std::string> names_of(const std::vector<GaugeReading>& readings) {
  std::set<std::string> names;
  for (const GaugeReading& r : readings) names.insert(r.name);
  return names;
}

double value_of(const std::vector<GaugeReading>& readings, const std::string& name, const std::string& label = {}) {
  for (const GaugeReading& r : readings) {
    if (r.name == name && (label.empty() || r.labels.at(0).second == label)) return r.value;
  }
  ADD_FAILURE() << name << " " << label;
  return -1;
}

// No name and labels twice, one kind and help a name, counters named as such: what Prometheus asks for.
void expect_well_formed(const std::vector<GaugeReading>& readings) {
  std::set<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>> seen;
  for (const GaugeReading& r : readings) {
    EXPECT_TRUE(seen.emplace(r.name, r.labels).second) << r.name << " twice";
    for (const GaugeReading& other : readings) {
      if (other.name != r.name) continue;
      EXPECT_EQ(other.kind, r.kind) << r.name;
      EXPECT_EQ(other.help, r.help) << r.name;
    }
    if (r.name.starts_with("tinderbox_")) {
      EXPECT_EQ(r.name.ends_with("_total"), r.kind == GaugeReading::Kind::Counter) << r.name;
    }
  }
}

TEST(Gauges, AGb10ShowsWhatDcgmGetsFromOne) {
  const Machine spark = machine_file("dgx-spark");
  const Sensors sensors = warm_sensors();
  const MemoryOwners memory = {{"weights", Bytes(1e9)}, {"free", Bytes(2e9)}};
  const auto readings = dcgm_readings(spark, gpu_labels(spark, "spark-1"), &sensors, &memory);
  expect_well_formed(readings);
  EXPECT_EQ(names_of(readings),
            (std::set<std::string>{"DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE",
                                   "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_GPU_UTIL",
                                   "DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_MEMORY_TEMP"}));
  EXPECT_EQ(value_of(readings, "DCGM_FI_DEV_MEMORY_TEMP"), 0);
  EXPECT_EQ(value_of(readings, "DCGM_FI_DEV_GPU_TEMP"), std::round(sensors.gpu_temperature.degrees()));
  EXPECT_EQ(value_of(readings, "DCGM_FI_DEV_GPU_UTIL"), 100);
  EXPECT_EQ(value_of(readings, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"), std::round(sensors.gpu_energy.value() * 1000));
  std::string order;
  for (const auto& [name, value] : readings.front().labels) order += name + " ";
  EXPECT_EQ(order, "gpu UUID pci_bus_id device modelName Hostname DCGM_FI_DRIVER_VERSION ");
  EXPECT_EQ(readings.front().labels[4].second, "NVIDIA GB10");
  EXPECT_EQ(readings.front().labels[2].second, "0000000F:01:00.0");
}

TEST(Gauges, ACardShowsItsMemory) {
  const Machine card = machine_file("rtx-5090");
  ASSERT_TRUE(card.memory_dedicated);
  const MemoryOwners memory = {{"weights", Bytes(3 * 1048576.0)},
                               {"kv", Bytes(1048576.0)},
                               {"free", Bytes(7 * 1048576.0)}};
  const auto readings = dcgm_readings(card, gpu_labels(card, "h"), nullptr, &memory);
  expect_well_formed(readings);
  EXPECT_EQ(value_of(readings, "DCGM_FI_DEV_FB_USED"), 4);
  EXPECT_EQ(value_of(readings, "DCGM_FI_DEV_FB_FREE"), 7);
  EXPECT_GE(value_of(readings, "DCGM_FI_DEV_FB_RESERVED"), 0);
  EXPECT_FALSE(names_of(readings).contains("DCGM_FI_DEV_GPU_TEMP")) << "its heat is not modelled";
  EXPECT_TRUE(dcgm_readings(card, gpu_labels(card, "h"), nullptr, nullptr).empty());
}

TEST(Gauges, UuidsHaveTheirFormAndStay) {
  const Machine spark = machine_file("dgx-spark");
  const std::string uuid = gpu_labels(spark, "a").uuid;
  EXPECT_EQ(uuid.size(), 40U) << uuid;
  EXPECT_TRUE(uuid.starts_with("GPU-"));
  EXPECT_EQ(uuid, gpu_labels(spark, "a").uuid);
  EXPECT_NE(uuid, gpu_labels(spark, "b").uuid);
}

TEST(Gauges, TheBodyIsToldWhole) {
  const Sensors s = warm_sensors();
  const auto readings = body_readings(s);
  expect_well_formed(readings);
  double rails = 0, limits = 0;
  for (const GaugeReading& r : readings) {
    rails += r.name == "tinderbox_rail_watts" ? r.value : 0;
    limits += r.name == "tinderbox_clock_limit" ? r.value : 0;
  }
  EXPECT_NEAR(rails, s.wall.value() * spark_body().adapter_share, 1e-9) << "the rails are all that arrives";
  EXPECT_EQ(limits, 1) << "one limit at a time";
  EXPECT_EQ(value_of(readings, "tinderbox_clock_limit", "power"), 1);
  EXPECT_EQ(value_of(readings, "tinderbox_node_celsius", "gpu"), s.gpu_temperature.degrees());
  EXPECT_EQ(value_of(readings, "tinderbox_zone_celsius", "0"), s.zones[0].degrees());
  EXPECT_NEAR(value_of(readings, "tinderbox_clock_limited_seconds_total", "power"), 300, 1);
}

TEST(Gauges, MemoryByOwner) {
  const auto readings = memory_readings({{"weights", Bytes(5)}, {"free", Bytes(7)}});
  expect_well_formed(readings);
  EXPECT_EQ(value_of(readings, "tinderbox_memory_bytes", "free"), 7);
}

TEST(Gauges, ThisProcessIsMeasured) {
  const auto use = read_process_use();
  ASSERT_TRUE(use.has_value());
  EXPECT_GT(use->resident_bytes, 1e6);
  EXPECT_GT(use->virtual_bytes, use->resident_bytes);
  EXPECT_GE(use->open_files, 3);
  EXPECT_GE(use->open_files_max, use->open_files);
  EXPECT_GE(use->cpu_s, 0);
  EXPECT_GT(use->start_unix_s, 1.6e9);
  expect_well_formed(process_readings(*use));
}

}  // namespace
}  // namespace tinderbox
