#include "machine/body_facts.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "machine/machine.h"

namespace tinderbox {
namespace {

std::string spark() {
  return read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml");
}

std::string refusal(std::string_view from, std::string_view to) {
  std::string toml = spark();
  const std::size_t at = toml.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  toml.replace(at, from.size(), to);
  try {
    parse_machine(toml, "spark.toml");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(BodyFacts, TheSparkHasOne) {
  const Machine machine = parse_machine(spark(), "spark.toml");
  ASSERT_TRUE(machine.body);
  const BodyFacts& body = *machine.body;
  EXPECT_EQ(body.zones.size(), 7U);
  EXPECT_EQ(body.nodes[static_cast<std::size_t>(body.gpu)].name, "gpu");
  Watts idle{};
  for (const Watts watts : body.idle) idle += watts;
  EXPECT_NEAR(idle.value(), 27.7, 0.1);  // [power.idle_rails] system
  EXPECT_EQ(body.module_limit, machine.power_module_limit);
}

TEST(BodyFacts, WhatCannotBeIsRefusedWithItsPlace) {
  EXPECT_NE(
      refusal("cpu_p = \"cpu\"", "cpu_p = \"cpus\"").find("no node 'cpus' (did you mean 'cpu'?)"),
      std::string::npos)
      << refusal("cpu_p = \"cpu\"", "cpu_p = \"cpus\"");
  const std::string hot = "\"97 °C\" = { value = 0.";  // of the fan; more digits follow
  EXPECT_NE(refusal(hot, "\"97 °C\" = { value = 0.0").find("never fall"), std::string::npos);
  EXPECT_NE(refusal(hot, "\"60 °C\" = { value = 0.").find("grow from line to line"), std::string::npos);
  EXPECT_NE(refusal(hot, "\"97 °C\" = { value = 1.").find("at most 1"), std::string::npos);
  EXPECT_NE(refusal("gpu_spreader = {", "gpu_gpu = {").find("two nodes"), std::string::npos);
  EXPECT_NE(refusal("cpu_spreader =", "cpu_fin =").find("no node 'fin'"), std::string::npos);
  EXPECT_NE(
      refusal("controller_interval = { value = \"1 s\"", "controller_interval = { value = \"0 s\"")
          .find("at least 1 ms"),
      std::string::npos);
  EXPECT_NE(refusal("zone_critical_temperature = { value = \"104 °C\"",
                    "zone_critical_temperature = { value = \"90 °C\"")
                .find("zone_slowdown_temperature"),
            std::string::npos);
}

TEST(PointCurve, IsStraightBetweenAndConstantBeyond) {
  const PointCurve curve{{{1, 10}, {3, 20}}};
  EXPECT_EQ(curve.at(0), 10);
  EXPECT_EQ(curve.at(2), 15);
  EXPECT_EQ(curve.at(9), 20);
}

}  // namespace
}  // namespace tinderbox
