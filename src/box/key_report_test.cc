#include "box/key_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/simulate.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

TEST(KeyTimes, RowsByHandAndInAnyParts) {
  KeyTimes all(3), a(3), b(3);
  for (int i = 0; i < 9; ++i) {
    const auto key = static_cast<std::uint64_t>(i % 2);
    const Duration ttft = std::chrono::seconds(i);
    all.finished(key, 10 + i, ttft);
    (i < 4 ? a : b).finished(key, 10 + i, ttft);
  }
  b.merge(a);
  EXPECT_EQ(key_json(all.rows()), key_json(b.rows()));
  const std::vector<KeyRow> rows = all.rows();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].key, 0u);
  EXPECT_EQ(rows[0].finished, 5);
  EXPECT_EQ(rows[0].output_tokens, 10 + 12 + 14 + 16 + 18);
  EXPECT_DOUBLE_EQ(rows[0].share, 70 / 126.0);
  EXPECT_EQ(rows[0].ttft.p50.value(), 4);
  EXPECT_EQ(rows[2].finished, 0);  // and yet it has a row: it got nothing
}

TEST(KeyTimes, OneKeyHasNoRows) {
  KeyTimes one(1);
  one.finished(0, 5, Duration(1));
  EXPECT_TRUE(one.rows().empty());
  EXPECT_EQ(key_table({}), "");
}

TEST(KeyTimes, OfManyTheEndsAreShown) {
  KeyTimes many(100);
  for (std::uint64_t key = 0; key < 100; ++key)
    many.finished(key, static_cast<std::int64_t>(1 + key), Duration(1));
  const nlohmann::ordered_json json = key_json(many.rows());
  ASSERT_EQ(json.size(), 2 * kKeysShown);
  EXPECT_EQ(json[0]["key"], 99);
  EXPECT_EQ(json[19]["key"], 0);
  EXPECT_NE(key_table(many.rows()).find("80 keys between them are not shown"), std::string::npos);
}

// Whatever the number of boxes and threads, the rows of all keys are the report's requests and
// tokens.
TEST(KeyTimes, SumsAreTheReports) {
  const StepModel& model = testing::fp8_twin();
  SimulateOptions options{
      .workload = {.requests = 300, .rate = 2, .prompt = 100, .gen = 30, .range_ratio = 0.5}};
  options.workload.keys = 7;
  for (const std::int64_t boxes : {1, 3}) {
    options.boxes = boxes;
    const Report r = simulate(model, options).report;
    std::int64_t finished = 0, tokens = 0, n_ttft = 0;
    double share = 0;
    for (const KeyRow& row : r.keys) {
      finished += row.finished;
      tokens += row.output_tokens;
      share += row.share;
      n_ttft += row.ttft.n;
    }
    EXPECT_EQ(r.keys.size(), 7u);
    EXPECT_EQ(finished, r.finished);
    EXPECT_EQ(tokens, r.output_tokens);
    EXPECT_EQ(n_ttft, r.ttft.n);
    EXPECT_NEAR(share, 1, 1e-12);
    EXPECT_EQ(report_json(r)["keys"].size(), 7u);
  }
  options.workload.keys = 1;
  EXPECT_FALSE(report_json(simulate(model, options).report).contains("keys"));
}

}  // namespace
}  // namespace tinderbox
