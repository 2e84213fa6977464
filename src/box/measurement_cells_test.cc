#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "box/measurement.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

using namespace testing;

TEST(Cells, NumbersWithinTheirLimitsOrAProblem) {
  const auto cells_of = [](const std::string& column, const std::string& cell) {
    return csv_of({decode_row({{column, cell}})});
  };
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"depth", "0"}, {"depth", "16777216"}, {"depth", "12.5"}, {"depth", "1e-3"}, {"range_ratio", "1"},
           {"value", "1e-9"}, {"gen_mean", ""}, {"burstiness", "0.01"}}) {
    const Csv csv = cells_of(column, cell);
    EXPECT_EQ(Cells(csv, 0).problem(), std::nullopt) << column << " " << cell;
    EXPECT_EQ(Cells(csv, 0).number(column), parse_double(cell)) << column;
  }
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"depth", "few"}, {"depth", "-1"}, {"depth", "16777217"}, {"depth", "1 "}, {"depth", "inf"},
           {"range_ratio", "1.1"}, {"value", "0"}, {"value", ""}, {"num_requests", "0"},
           {"concurrency", "1e6"}, {"nodes", "?"}}) {
    const Csv csv = cells_of(column, cell);
    const Cells cells(csv, 0);
    ASSERT_TRUE(cells.problem().has_value()) << column << " " << cell;
    EXPECT_NE(cells.problem()->find("test.csv:2: row 'r': column " + column + " has '" + cell + "'"),
              std::string::npos)
        << *cells.problem();
    try {
      cells.number(column);
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Error::Code::Invalid);
      EXPECT_EQ(error.what(), *cells.problem());
    }
  }
  // A range is its middle.
  for (const auto& [range, middle] : std::vector<std::pair<std::string, double>>{
           {"50-1000", 525}, {"0-1", 0.5}, {"7-7", 7}, {"1e1-2e1", 15}}) {
    const Csv csv = cells_of("prompt_tokens", range);
    EXPECT_EQ(Cells(csv, 0).number("prompt_tokens"), middle) << range;
  }
  for (const char* range : {"100-50", "1-", "-", "1-2-3", "0-99999999"}) {
    const Csv csv = cells_of("prompt_tokens", range);
    EXPECT_TRUE(Cells(csv, 0).problem().has_value()) << range;
  }
  const Csv csv = cells_of("depth", "12.5");
  EXPECT_EQ(Cells(csv, 0).count("depth"), 13);
  EXPECT_EQ(Cells(csv, 0).count("gen_mean"), std::nullopt);  // no such column: not stated
}

// The published rows are clean.
TEST(Cells, PublishedRowsParse) {
  for (const auto& entry : std::filesystem::directory_iterator(kData + "measurements")) {
    if (entry.path().extension() != ".csv") continue;
    const Csv csv = Csv::load(entry.path());
    for (std::size_t i = 0; i < csv.size(); ++i) {
      EXPECT_EQ(Cells(csv, i).problem(), std::nullopt);
    }
  }
}

}  // namespace
}  // namespace tinderbox
