#include "box/calibrate_speculation.h"

#include <array>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "box/validate.h"

namespace tinderbox {
namespace {

using Row = std::map<std::string, std::string>;

const std::array kColumns = {"id", "machine", "nodes", "stack_norm", "stack_version", "base", "weights_norm",
                             "weights_note", "kv_norm", "test", "metric", "value", "prompt_tokens", "gen_tokens",
                             "gen_mean", "depth", "concurrency", "prompt_mean", "ctx_start", "arrival_req_per_s",
                             "ubatch", "max_batched_tokens", "max_num_seqs", "parallel", "spec", "spec_accept",
                             "kernel_path", "power_cap_or_clock", "group", "source", "quality"};

struct Data {
  std::string data = std::string(TINDERBOX_SOURCE_DIR) + "/data/";
  Catalogue machines = Catalogue::from_folder("machine", data + "machines", ".toml");
  Catalogue stacks = Catalogue::from_folder("stack", data + "stacks", ".toml");
  Catalogue models = Catalogue::from_folder("model", data + "models", ".json");
  Catalogue methods = Catalogue::from_folder("speculation", data + "speculation", ".toml");
  TwinCatalogues all() const { return {machines, stacks, models, nullptr, &methods}; }
};

Row row_of(const Row& changes) {
  Row row{{"id", "r"}, {"machine", "dgx-spark"}, {"nodes", "1"}, {"stack_norm", "vllm"}, {"base", "qwen3-8b"},
          {"weights_norm", "bf16"}, {"test", "decode"}, {"metric", "tok_per_s"}, {"value", "30"},
          {"gen_tokens", "128"}, {"ctx_start", "1000"}, {"concurrency", "1"}, {"spec", "mtp"}, {"group", "g"}};
  for (const auto& [column, cell] : changes) row[column] = cell;
  return row;
}

Csv csv_of(const std::vector<Row>& rows) {
  std::string text = format("{}\n", fmt::join(kColumns, ","));
  for (const Row& row : rows) {
    std::vector<std::string> cells;
    for (const std::string column : kColumns) cells.push_back(row.contains(column) ? row.at(column) : "");
    text += format("{}\n", fmt::join(cells, ","));
  }
  return Csv::parse(text, "test.csv");
}

double predicted(const Data& data, const Row& row) {
  const ValidationReport report = validate(csv_of({row}), data.all());
  EXPECT_TRUE(report.rows.at(0).predicted.has_value()) << report.rows.at(0).reason;
  return report.rows[0].predicted.value_or(0);
}

TEST(SpeculatingRows, AreHonouredAndScoredApart) {
  const Data data;
  const double none = predicted(data, row_of({{"spec", "none"}}));
  EXPECT_GT(predicted(data, row_of({})), 1.3 * none);
  // What a source states counts, also beyond the method's usual number of drafts.
  EXPECT_GT(predicted(data, row_of({{"spec_accept", "1.9"}})), predicted(data, row_of({{"spec_accept", "0.9"}})));
  EXPECT_GT(predicted(data, row_of({{"spec_accept", "3.5"}})), predicted(data, row_of({{"spec_accept", "1.9"}})));
  const ValidationReport report =
      validate(csv_of({row_of({}), row_of({{"id", "s"}, {"spec", "none"}, {"group", "h"}}),
                       row_of({{"id", "t"}, {"spec", "telepathy"}})}), data.all());
  EXPECT_EQ(report.macro.rows, 1);
  EXPECT_EQ(report.speculation.rows, 1);
  EXPECT_EQ(report.rows[2].reason, "unknown method of speculation");
  EXPECT_NE(validation_table(report).find("with speculation"), std::string::npos);
}

// Rows made with so many accepted tokens give them back, as far as the prior lets them; and the same rows
// the same bits.
TEST(CalibrateSpeculation, FindsWhatTheRowsWereMadeWith) {
  const Data data;
  std::vector<Row> rows;
  int i = 0;
  for (const char* base : {"qwen3-8b", "qwen3-4b", "qwen3-14b", "qwen3-32b", "llama-3.1-8b", "qwen3-30b-a3b"}) {
    for (const char* context : {"500", "4000"}) {
      Row row = row_of({{"id", format("r{}", i)}, {"base", base}, {"ctx_start", context}, {"spec_accept", "0.6"}});
      row["value"] = format("{}", predicted(data, row));
      row["spec_accept"] = "";
      row["group"] = format("g{}", i++);
      rows.push_back(row);
    }
  }
  // One row that is simply wrong.
  rows.front()["value"] = "400";
  const std::vector<FittedStack> fitted = calibrate_speculation(csv_of(rows), data.all());
  ASSERT_EQ(fitted.size(), 1U);
  EXPECT_EQ(fitted[0].id, "mtp");
  EXPECT_EQ(fitted[0].n_groups, 12);
  const FittedParameter& p = fitted[0].parameters.at(0);
  EXPECT_EQ(p.key, "draft.accepted_tokens");
  EXPECT_GT(p.value, 0.6);  // the prior is higher
  EXPECT_LT(p.value, 0.75);
  EXPECT_LT(fitted[0].median_ape, 0.08);
  EXPECT_GT(fitted[0].intervals[static_cast<std::size_t>(Metric::Decode)].high, 2);
  EXPECT_EQ(calibrate_speculation(csv_of(rows), data.all())[0].parameters[0].value, p.value);
  const Speculation written =
      parse_speculation(with_fitted(data.methods.text("mtp"), fitted[0]), "mtp.toml");
  EXPECT_NEAR(written.accepted, p.value, 1e-3);
  EXPECT_LT(written.interval.low, written.interval.high);
}

TEST(CalibrateSpeculation, LeavesOutWhatSaysNothing) {
  const Data data;
  const std::vector<Row> rows = {row_of({{"spec", "none"}}), row_of({{"spec_accept", "1"}}),
                                 row_of({{"base", "gpt-9"}}), row_of({{"ctx_start", "200000"}}),
                                 row_of({{"test", "prefill"}, {"prompt_tokens", "512"}})};
  EXPECT_TRUE(calibrate_speculation(csv_of(rows), data.all()).empty());
  EXPECT_THROW(calibrate_speculation(csv_of({row_of({{"value", "fast"}})}), data.all()), Error);
}

}  // namespace
}  // namespace tinderbox
