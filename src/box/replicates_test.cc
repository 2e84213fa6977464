#include "box/replicates.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace tinderbox {
namespace {

struct Row {
  const char *publisher, *model;
  double measured;
  const char *concurrency = "1", *depth = "0", *nodes = "1", *kv = "f16";
  bool speculation = false;
};

Agreement of(const std::vector<Row>& list, RowKind kind = RowKind::Decode, const char* prompt = "512") {
  std::string text = "nodes,concurrency,depth,prompt_tokens,kv_norm\n";
  std::vector<PublishedRow> rows;
  for (const Row& row : list) {
    text += format("{},{},{},{},{}\n", row.nodes, row.concurrency, row.depth, prompt, row.kv);
    PublishedRow& out = rows.emplace_back();
    out.index = rows.size() - 1;
    out.group = format("{}.dgx-spark.n1", row.publisher);
    out.model = row.model;
    out.kind = kind;
    out.speculation = row.speculation;
    out.measured = row.measured;
  }
  const Csv csv = Csv::parse(text, "rows.csv");
  return agreement(rows, kind, {&csv});
}

TEST(Agreement, IsOneMeasurementTakenForAnother) {
  // 80 for 100 and 100 for 80: 20 % and 25 % off; of a publisher's rows the median counts.
  const Agreement a = of({{"x", "m", 100}, {"y", "m", 70}, {"y", "m", 80}, {"y", "m", 999}, {"z", "other", 5}});
  EXPECT_EQ(a.configurations, 1);
  EXPECT_EQ(a.publishers, 2);
  EXPECT_NEAR(a.median_ape, 0.225, 1e-12);
  EXPECT_NEAR(a.p90_ape, 0.225, 1e-12);
}

TEST(Agreement, OthersLoadsAndOneselfDoNotCount) {
  EXPECT_EQ(of({}).configurations, 0);
  EXPECT_EQ(of({{"x", "m", 100}, {"x", "m", 80}}).configurations, 0);
  for (const Row& other : {Row{"y", "m", 80, "4"}, Row{"y", "m", 80, "1", "9000"}, Row{"y", "m", 80, "1", "0", "2"},
                           Row{"y", "m", 80, "1", "0", "1", "q8_0"}, Row{"y", "m", 80, "many"}, Row{"y", "m", 0},
                           Row{"y", "m", 80, "1", "0", "1", "f16", true}}) {
    EXPECT_EQ(of({{"x", "m", 100}, other}).configurations, 0) << other.measured << other.kv;
  }
}

// It neither depends on the order of rows nor on their unit.
TEST(Agreement, IsOfRatios) {
  const Agreement a = of({{"x", "m", 3}, {"y", "m", 2}, {"z", "m", 5}});
  const Agreement b = of({{"z", "m", 500}, {"x", "m", 300}, {"y", "m", 200}});
  EXPECT_DOUBLE_EQ(a.median_ape, b.median_ape);
  EXPECT_EQ(a.publishers, 3);
}

}  // namespace
}  // namespace tinderbox
