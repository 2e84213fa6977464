#include "box/agreement.h"

#include <gtest/gtest.h>

#include "box/test_rows.h"

namespace tinderbox {
namespace {

using namespace testing;

RowText row_of(const std::string& publisher, const std::string& value, const RowText& changes = {}) {
  return with(decode_row({{"group", publisher + ".dgx-spark.n1"}, {"value", value}, {"kv_norm", "f16"}}),
              changes);
}

Agreement of(const std::vector<RowText>& rows, RowKind kind = RowKind::Decode) {
  const Csv csv = csv_of(rows);
  const TwinCatalogues resources = known().resources();
  const Validation v{.files = {{.name = "test.csv", .rows = csv}},
                     .rows = published_rows(0, csv, validate(csv, resources), resources.models)};
  return agreement(v, kind);
}

TEST(Agreement, IsOneMeasurementTakenForAnother) {
  // 80 for 100 and 100 for 80: 20 % and 25 % off; of a publisher's rows the median counts.
  const Agreement a = of({row_of("x", "100"), row_of("y", "70"), row_of("y", "80"), row_of("y", "999"),
                          row_of("z", "5", {{"base", "qwen3-32b"}})});
  EXPECT_EQ(a.configurations, 1);
  EXPECT_EQ(a.publishers, 2);
  EXPECT_NEAR(a.median_ape, 0.225, 1e-12);
  EXPECT_NEAR(a.p90_ape, 0.225, 1e-12);
}

TEST(Agreement, OtherLoadsAndOneselfDoNotCount) {
  EXPECT_EQ(of({}).configurations, 0);
  EXPECT_EQ(of({row_of("x", "100"), row_of("x", "80")}).configurations, 0);
  for (const RowText& other :
       {RowText{{"concurrency", "4"}}, RowText{{"depth", "9000"}}, RowText{{"nodes", "2"}},
        RowText{{"kv_norm", "q8_0"}}, RowText{{"concurrency", "many"}}, RowText{{"spec", "mtp"}}}) {
    EXPECT_EQ(of({row_of("x", "100"), row_of("y", "80", other)}).configurations, 0)
        << other.begin()->first;
  }
}

// Prompts to the nearest power of two; decode does not look at them.
TEST(Agreement, PromptsOfPrefillAreAlike) {
  const auto prefill = [](const char* publisher, const char* prompt) {
    return row_of(publisher, "9", {{"test", "prefill"}, {"prompt_tokens", prompt}});
  };
  EXPECT_EQ(of({prefill("x", "512"), prefill("y", "600")}, RowKind::Prefill).configurations, 1);
  EXPECT_EQ(of({prefill("x", "512"), prefill("y", "2048")}, RowKind::Prefill).configurations, 0);
  EXPECT_EQ(of({row_of("x", "1", {{"prompt_tokens", "9"}}), row_of("y", "1")}).configurations, 1);
}

// It depends neither on the order of rows nor on their unit.
TEST(Agreement, IsOfRatios) {
  const Agreement a = of({row_of("x", "3"), row_of("y", "2"), row_of("z", "5")});
  const Agreement b = of({row_of("z", "500"), row_of("x", "300"), row_of("y", "200")});
  EXPECT_DOUBLE_EQ(a.median_ape, b.median_ape);
  EXPECT_EQ(a.publishers, 3);
}

}  // namespace
}  // namespace tinderbox
