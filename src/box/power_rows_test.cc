#include "box/power_rows.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "box/calibrate_body.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

const std::filesystem::path kData = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data";

TEST(PowerRows, PublishedPowersOfServingHaveLoads) {
  const Csv csv = Csv::load(kData / "measurements/power-thermal.csv");
  const PowerRows rows = read_power_rows(csv, testing::known().resources());
  EXPECT_GT(rows.rows.size(), 35U);
  for (const PowerRow& row : rows.rows) {
    EXPECT_GT(row.measured, 20) << row.index;
    EXPECT_NEAR(row.phases.prefill_share + row.phases.decode_share, 1, 1e-9);
  }
  for (const auto& [index, why] : rows.refused) EXPECT_FALSE(why.empty()) << index;
}

TEST(PowerRows, EnergiesExplainPublishedPowersAndFitTheirFile) {
  const std::string toml(read_file(kData / "machines/dgx-spark.toml"));
  Csv csv = Csv::load(kData / "measurements/power-thermal.csv");
  const PowerCalibration c = calibrate_power(toml, "dgx-spark", csv, testing::known().resources(),
                                             {.leave_out_sources = false, .n_threads = 2});
  EXPECT_LT(c.median_ape, 0.10);
  // The file takes the numbers, and a second fit from there finds the same.
  const std::string fitted = with_fitted(toml, c.machine);
  const PowerCalibration again =
      calibrate_power(fitted, "dgx-spark", csv, testing::known().resources(),
                      {.leave_out_sources = false, .n_threads = 1});
  for (std::size_t i = 0; i < c.machine.parameters.size(); ++i) {
    EXPECT_NEAR(again.machine.parameters[i].value / c.machine.parameters[i].value, 1, 0.02)
        << c.machine.parameters[i].key;
  }
}

}  // namespace
}  // namespace tinderbox
