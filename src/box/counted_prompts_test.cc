#include "box/counted_prompts.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "box/calibration_rows.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

using testing::csv_of;
using testing::known;
using testing::prefill_row;
using testing::RowText;

// A rate and a time of one prompt, of which the source counted `share` and to whose time something is added.
std::vector<RowText> pair(std::int64_t prompt, double share, double latency, const RowText& more = {}) {
  const double rate = 1000, time = static_cast<double>(prompt) * share / rate + latency;
  RowText of_prompt{{"prompt_tokens", format("{}", prompt)}, {"value", format("{}", rate)}};
  for (const auto& [column, cell] : more) of_prompt[column] = cell;
  RowText of_time = of_prompt;
  of_time["metric"] = "ttft_ms";
  of_time["value"] = format("{}", 1e3 * time);
  return {prefill_row(of_prompt), prefill_row(of_time)};
}
std::vector<RowText> source(double share, int n = 3, const RowText& more = {}) {
  std::vector<RowText> rows;
  for (int i = 0; i < n; ++i) {
    for (RowText& row : pair(2000 << i, share, 0.1 / (1 << i), more)) rows.push_back(std::move(row));
  }
  return rows;
}

TEST(CountedPrompts, TheLeastShareIsWhatLatenciesHideLeast) {
  // 8,000 tokens: 0.9 of them take 7.2 s, and 0.025 s beside.
  const auto counted = counted_prompts(csv_of(source(0.9)));
  ASSERT_EQ(counted.size(), 1u);
  EXPECT_NEAR(counted.at("s"), 0.9 + 0.025 / 8, 1e-9);
}

TEST(CountedPrompts, SourcesThatAgreeWithThemselvesOrSayLittleStay) {
  EXPECT_TRUE(counted_prompts(csv_of(source(1))).empty());
  EXPECT_TRUE(counted_prompts(csv_of(source(0.96))).empty());
  EXPECT_TRUE(counted_prompts(csv_of(source(0.9, 2))).empty());
  EXPECT_TRUE(counted_prompts(csv_of(source(0.9, 3, {{"concurrency", "2"}}))).empty());
  EXPECT_TRUE(counted_prompts(csv_of(source(0.9, 3, {{"depth", "few"}}))).empty());
  EXPECT_FALSE(counted_prompts(csv_of(source(0.9, 4))).empty());
}

TEST(CountedPrompts, OnlyWhatTheRowSaysOfItsPromptIsShortened) {
  const auto of = [](const Csv& csv, std::size_t i, Measured m) {
    count_prompt(Cells(csv, i), 0.5, m);
    return m.point;
  };
  const Csv csv = csv_of(source(1, 1));
  Measured m;
  m.point = {.prompt = 2000, .gen = 50, .depth = 300};
  EXPECT_EQ(of(csv, 0, m).prompt, 1000);
  EXPECT_EQ(of(csv, 0, m).depth, 300);
  m.point = {.prompt = 0, .gen = 50, .depth = 2300};  // decode after it
  EXPECT_EQ(of(csv, 0, m).depth, 1300);
  m.point.depth = 100;  // that begins elsewhere
  EXPECT_EQ(of(csv, 0, m).depth, 100);
  m.point = {.prompt = 2000, .gen = 50};
  m.open_loop.emplace();
  EXPECT_EQ(of(csv, 0, m).prompt, 2000);
}

TEST(CountedPrompts, AreFittedAndTheRowIsTestedAsPublished) {
  const Csv csv = csv_of(source(0.5));
  const TwinCatalogues catalogues = known().resources();
  Questioner questioner(catalogues);
  const CalibrationRows rows = calibration_rows(csv, questioner);
  ASSERT_EQ(rows.fitted.size(), 6u);
  ASSERT_EQ(rows.tested.size(), 6u);
  const double share = counted_prompts(csv).at("s");
  for (std::size_t i = 0; i < 6; ++i) {
    const std::int64_t stated = 2000 << (i / 2);
    EXPECT_EQ(rows.tested[i].measured.point.prompt, stated);
    EXPECT_TRUE(rows.tested[i].published);
    EXPECT_NEAR(static_cast<double>(rows.fitted[i].measured.point.prompt), static_cast<double>(stated) * share, 1);
    EXPECT_FALSE(rows.fitted[i].published);
  }
  EXPECT_TRUE(calibration_rows(csv_of(source(1)), questioner).tested.empty());
}

}  // namespace
}  // namespace tinderbox
