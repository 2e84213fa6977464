#include "box/calibrate_body.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "twin/test_body.h"

namespace tinderbox {
namespace {

const std::string& spark() {
  static const std::string toml(
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml"));
  return toml;
}

// What a box with these facts would log under watts that rise and fall.
TelemetryRun log_of(BodyFacts facts, const std::string& name, double room, unsigned seed) {
  Body body(facts, {.room = Celsius(room)});
  TelemetryRun run{.name = name, .source = name.substr(0, 1)};
  for (int i = 0; i < 240; ++i) {
    const double watts = i / 40 % 2 == 0 ? 38 + (seed + static_cast<unsigned>(i)) % 5 : 85;
    if (i > 0) {
      body.advance(std::chrono::seconds(5));
      body.set_logged(Watts(watts));
      body.advance(std::chrono::seconds(5));
    } else {
      body.set_logged(Watts(watts));
      body.begin_at(Celsius(58));
    }
    TelemetrySample s{.seconds = 10.0 * i, .gpu = body.temperature(facts.gpu)};
    s.smi = Watts(watts);
    run.samples.push_back(s);
  }
  return run;
}

const FittedParameter& parameter(const BodyCalibration& c, std::string_view key) {
  return *std::ranges::find(c.machine.parameters, key, &FittedParameter::key);
}

TEST(CalibrateBody, FindsTheResistanceThatALogWasMadeWith) {
  BodyFacts facts = spark_body();
  for (HeatPath& path : facts.paths) {
    const auto name = [&](int i) { return facts.nodes[static_cast<std::size_t>(i)].name; };
    if (name(path.a) == "gpu" && name(path.b) == "spreader") path.conductance *= 0.6;
  }
  std::vector<TelemetryRun> runs;
  for (unsigned i = 0; i < 4; ++i)
    runs.push_back(
        log_of(facts, std::string(1, static_cast<char>('a' + i % 2)) + "-run", 22 + i, i));
  const BodyCalibration one =
      calibrate_heat(spark(), "dgx-spark", runs, {.leave_out_sources = true, .n_threads = 1});
  const BodyFacts before = spark_body();
  const double was =
      fitted_numbers(parse_machine(spark(), "x"), {"body.path_resistance.gpu_spreader"})
          .at(0)
          .value;
  EXPECT_NEAR(parameter(one, "body.path_resistance.gpu_spreader").value, was / 0.6,
              0.15 * was / 0.6);
  EXPECT_LT(one.median_rmse, 0.5);
  EXPECT_LT(one.left_out_rmse, 1.0);
  ASSERT_EQ(one.runs.size(), 4U);
  // Whatever the number of threads, the same bytes.
  const BodyCalibration two =
      calibrate_heat(spark(), "dgx-spark", runs, {.leave_out_sources = true, .n_threads = 2});
  for (std::size_t i = 0; i < one.machine.parameters.size(); ++i) {
    EXPECT_EQ(one.machine.parameters[i].value, two.machine.parameters[i].value);
  }
  // The file takes the numbers and still loads.
  const Machine machine = parse_machine(with_fitted(spark(), one.machine), "fitted");
  const double now = fitted_numbers(machine, {"body.path_resistance.gpu_spreader"}).at(0).value;
  EXPECT_NEAR(now, parameter(one, "body.path_resistance.gpu_spreader").value, 1e-3 * now);
}

TEST(CalibrateBody, NeedsABodyAndPower) {
  TelemetryRun cold{.name = "a-run", .source = "a"};
  cold.samples = {{.seconds = 0, .gpu = Celsius(40)}, {.seconds = 10, .gpu = Celsius(41)}};
  EXPECT_THROW(calibrate_heat(spark(), "dgx-spark", {cold}, {}), Error);
  const std::string other(
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/rtx-5090.toml"));
  EXPECT_THROW(calibrate_heat(other, "rtx-5090", {log_of(spark_body(), "a-run", 25, 1)}, {}),
               Error);
}

}  // namespace
}  // namespace tinderbox
