#include "box/contradictions.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

using testing::prefill_row;
using testing::RowText;
using testing::serve_row;

// As they come out of validate_all(): no prediction is needed.
Validation of(const std::vector<RowText>& rows) {
  Validation v;
  v.files.push_back({.name = "inference.csv", .rows = testing::csv_of(rows), .fitted = true});
  const Csv& csv = v.files.front().rows;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    PublishedRow& row = v.rows.emplace_back();
    row.index = i;
    row.group = csv.at(i, "group");
    row.source = csv.at(i, "source");
    row.test = csv.at(i, "test");
    row.metric = csv.at(i, "metric");
    row.kind = row.metric == "ttft_ms" ? RowKind::Ttft : RowKind::Prefill;
    row.measured = *parse_double(csv.at(i, "value"));
  }
  return v;
}

RowText rate(double value, const RowText& more = {}) {
  RowText changes{{"value", format("{}", value)}, {"group", "rates"}, {"stack_norm", "vllm"}, {"weights_norm", "fp8"}};
  changes.insert(more.begin(), more.end());
  return prefill_row(changes);
}
RowText time(double ms, const RowText& more = {}) {
  RowText changes{{"value", format("{}", ms)}, {"group", "times"}, {"concurrency", "1"}, {"prompt_tokens", "2048"}};
  for (const auto& [column, cell] : more) changes[column] = cell;
  return serve_row(changes);
}

TEST(Contradictions, APromptIsNotInBeforeItHasBeenRead) {
  // 2048 tokens at 1024 a second take 2 s.
  EXPECT_TRUE(contradictions(of({rate(1024), time(2000)})).empty());
  EXPECT_TRUE(contradictions(of({rate(1024), time(1800)})).empty());  // rounding, a latency taken off
  const auto found = contradictions(of({rate(1024), time(1200)}));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.front().group, "times");
  EXPECT_EQ(found.front().n, 1);
  EXPECT_DOUBLE_EQ(found.front().low, 0.6);
  const auto two = contradictions(of({rate(1024), time(1200), time(1400)}));
  ASSERT_EQ(two.size(), 1u);
  EXPECT_DOUBLE_EQ(two.front().high, 0.7);
}

TEST(Contradictions, OnlyRowsOfOnePromptReadAloneAreCompared) {
  for (const RowText& other : {RowText{{"source", "t"}}, RowText{{"prompt_tokens", "4096"}}, RowText{{"depth", "512"}},
                               RowText{{"concurrency", "4"}}, RowText{{"kernel_path", "marlin"}},
                               RowText{{"prompt_tokens", ""}}}) {
    EXPECT_TRUE(contradictions(of({rate(1024, {{"kernel_path", ""}}), time(100, other)})).empty());
  }
  EXPECT_TRUE(contradictions(of({rate(1024), time(100, {{"depth", "few"}})})).empty());  // a bad cell
}

TEST(Contradictions, TheSectionCountsWithoutThem) {
  EXPECT_EQ(contradictions_section(of({rate(1024), time(2000)})), "");
  Validation v = of({rate(1024), time(1200), time(2000, {{"group", "others"}, {"prompt_tokens", "512"}})});
  v.rows[2].predicted = v.rows[2].without_model = v.rows[2].without_source = 2200;
  const std::string text = contradictions_section(v);
  EXPECT_NE(text.find("60 to 60 %"), std::string::npos);
  EXPECT_NE(text.find("in sample 10.0 %, model left out 10.0 %, source left out 10.0 %."), std::string::npos) << text;
}

}  // namespace
}  // namespace tinderbox
