#include "box/validate.h"

#include <cmath>
#include <set>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

const std::string kData = std::string(TINDERBOX_SOURCE_DIR) + "/data/";

struct Catalogues {
  Catalogue machines = Catalogue::from_folder("machine", kData + "machines", ".toml");
  Catalogue stacks = Catalogue::from_folder("stack", kData + "stacks", ".toml");
  Catalogue models = Catalogue::from_folder("model", kData + "models", ".json");
  TwinCatalogues resources() const { return {machines, stacks, models}; }
};

const std::vector<std::string> kColumns = {"id",
                                           "group",
                                           "value",
                                           "machine",
                                           "nodes",
                                           "stack_norm",
                                           "base",
                                           "weights_norm",
                                           "kv_norm",
                                           "test",
                                           "metric",
                                           "prompt_tokens",
                                           "gen_tokens",
                                           "depth",
                                           "ctx_start",
                                           "concurrency",
                                           "spec",
                                           "parallel",
                                           "ubatch",
                                           "num_requests",
                                           "power_cap_or_clock",
                                           "arrival_req_per_s"};

// A row of a decode test that can be predicted, with changes.
using Cells = std::map<std::string, std::string>;
Cells decode_row(const Cells& changes = {}) {
  Cells row{{"id", "r"},
            {"group", "g"},
            {"value", "50"},
            {"machine", "dgx-spark"},
            {"nodes", "1"},
            {"stack_norm", "llama.cpp"},
            {"base", "llama-3.1-8b"},
            {"weights_norm", "q4_k_m"},
            {"test", "decode"},
            {"metric", "tok_per_s"},
            {"gen_tokens", "32"},
            {"depth", "0"},
            {"ctx_start", "0"},
            {"concurrency", "1"},
            {"spec", "none"}};
  for (const auto& [column, cell] : changes) row[column] = cell;
  return row;
}
Cells prefill_row(const Cells& changes = {}) {
  Cells row = decode_row({{"test", "prefill"}, {"prompt_tokens", "2048"}, {"gen_tokens", ""}});
  for (const auto& [column, cell] : changes) row[column] = cell;
  return row;
}

Csv csv_of(const std::vector<Cells>& rows) {
  std::string text = format("{}\n", fmt::join(kColumns, ","));
  for (const Cells& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : kColumns)
      cells.push_back(row.contains(column) ? row.at(column) : "");
    text += format("{}\n", fmt::join(cells, ","));
  }
  return Csv::parse(text, "test.csv");
}

std::string reason_of(const Cells& row) {
  return validate(csv_of({row}), Catalogues().resources()).rows.at(0).reason;
}
double predicted(const Cells& row) {
  const ValidationReport report = validate(csv_of({row}), Catalogues().resources());
  EXPECT_TRUE(report.rows.at(0).predicted.has_value()) << report.rows.at(0).reason;
  return report.rows[0].predicted.value_or(0);
}

TEST(Validate, SeveralBoxesAreSplitAsStatedOrAsTheStackDoes) {
  const double one = predicted(decode_row());
  const double layers = predicted(decode_row({{"nodes", "2"}}));  // llama.cpp deals layers out
  EXPECT_LT(layers, one);
  EXPECT_EQ(layers, predicted(decode_row({{"nodes", "2"}, {"parallel", "pp2"}})));
  EXPECT_GT(predicted(decode_row({{"nodes", "2"}, {"stack_norm", "vllm"}, {"weights_norm", "bf16"}})),
            1.2 * predicted(decode_row({{"stack_norm", "vllm"}, {"weights_norm", "bf16"}})));
  const Cells run{{"test", "serve"}, {"metric", "total_tok_per_s"}, {"stack_norm", "vllm"},
                  {"weights_norm", "bf16"}, {"nodes", "2"}, {"prompt_tokens", "512"}};
  Cells each = run;
  each["metric"] = "total_tok_per_s_per_gpu";
  EXPECT_DOUBLE_EQ(predicted(decode_row(run)), 2 * predicted(decode_row(each)));
}

TEST(Validate, RefusesWithAReason) {
  EXPECT_EQ(reason_of(decode_row()), "");
  EXPECT_EQ(reason_of(decode_row({{"machine", "abacus"}})), "unknown machine");
  EXPECT_EQ(reason_of(decode_row({{"stack_norm", "megakernel"}})), "unknown stack");
  EXPECT_EQ(reason_of(decode_row({{"base", "gpt-9"}})), "unknown model");
  EXPECT_EQ(reason_of(decode_row({{"base", "gpt-j-6b"}})), "unsupported model family");
  EXPECT_EQ(reason_of(decode_row({{"weights_norm", "q1_0"}})), "unknown weights format");
  EXPECT_EQ(reason_of(decode_row({{"weights_norm", ""}})), "missing column");
  EXPECT_EQ(reason_of(decode_row({{"kv_norm", "turbo4"}})), "unknown kv format");
  EXPECT_EQ(reason_of(decode_row({{"spec", "mtp"}})), "speculation");
  EXPECT_EQ(reason_of(decode_row({{"parallel", "tp2"}})), "several boxes or devices");
  EXPECT_EQ(reason_of(decode_row({{"machine", "rtx-4090"}, {"nodes", "2"}})),
            "several boxes or devices");
  const char* split = "way to split the model over boxes";
  EXPECT_EQ(reason_of(decode_row({{"nodes", "9"}})), split);
  EXPECT_EQ(reason_of(decode_row({{"nodes", "2"}, {"parallel", "tp4"}})), split);
  EXPECT_EQ(reason_of(decode_row({{"nodes", "2"}, {"parallel", "sideways"}})), split);
  EXPECT_EQ(reason_of(decode_row({{"nodes", "3"}, {"parallel", "tp3"}})), split);  // 32 heads
  EXPECT_EQ(reason_of(decode_row({{"power_cap_or_clock", "2000"}})), "power or clock cap");
  EXPECT_EQ(reason_of(decode_row({{"test", "gemm"}})), "unsupported test or metric");
  EXPECT_EQ(reason_of(decode_row({{"metric", "power_w"}})), "unsupported test or metric");
  EXPECT_EQ(reason_of(decode_row({{"gen_tokens", "0"}})), "missing column");
  EXPECT_EQ(reason_of(prefill_row({{"prompt_tokens", ""}})), "missing column");
  EXPECT_EQ(reason_of(decode_row({{"ctx_start", "200000"}})), "context exceeded");
  EXPECT_EQ(reason_of(prefill_row({{"test", "serve"}, {"arrival_req_per_s", "1"}})),
            "missing column");
}

TEST(Validate, BrokenRowsAreErrorsThatNameTheRow) {
  for (const Cells& changes : std::vector<Cells>{{{"value", "fast"}},
                                                 {{"value", "-1"}},
                                                 {{"gen_tokens", "few"}},
                                                 {{"depth", "-3"}},
                                                 {{"concurrency", "1e12"}}}) {
    try {
      reason_of(decode_row(changes));
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Error::Code::Invalid);
      EXPECT_NE(std::string(error.what()).find("'r'"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(validate(Csv::parse("id,value\nr,1\n", "x.csv"), Catalogues().resources()), Error);
}

// One configuration read off through different metrics gives consistent answers.
TEST(Validate, MetricsOfOneConfigurationAgree) {
  const double rate = predicted(decode_row());
  EXPECT_NEAR(predicted(decode_row({{"metric", "tpot_ms"}})), 1e3 / rate, 1e-9);
  EXPECT_NEAR(predicted(decode_row({{"metric", "tok_per_s_per_stream"}})), rate, 1e-9);
  const double prefill = predicted(prefill_row());
  EXPECT_NEAR(predicted(prefill_row({{"metric", "ttft_ms"}})), 1e3 * 2048 / prefill, 1e-6);
  // Longer steps read the experts fewer times.
  const Cells moe = prefill_row({{"base", "gpt-oss-120b"}, {"weights_norm", "mxfp4"}});
  Cells wide = moe;
  wide["ubatch"] = "2048";
  EXPECT_GT(predicted(wide), predicted(moe));
  EXPECT_LT(predicted(decode_row({{"depth", "32768"}, {"ctx_start", "32768"}})), rate);
  EXPECT_GT(predicted(decode_row({{"concurrency", "4"}})), rate);
  const Cells serve = prefill_row({{"test", "serve"},
                                   {"gen_tokens", "128"},
                                   {"stack_norm", "vllm"},
                                   {"weights_norm", "fp8"},
                                   {"concurrency", "8"}});
  const auto metric = [&](const char* name) {
    Cells row = serve;
    row["metric"] = name;
    return predicted(row);
  };
  EXPECT_NEAR(metric("tok_per_s"), 128 * metric("req_per_s"), 1e-6);
  EXPECT_NEAR(metric("total_tok_per_s"), (128 + 2048) * metric("req_per_s"), 1e-6);
  EXPECT_NEAR(metric("tok_per_s"), 8 * metric("tok_per_s_per_stream"), 1e-6);
}

TEST(Validate, OpenLoopRowsAreSimulated) {
  const Cells row = prefill_row({{"test", "serve"},
                                 {"gen_tokens", "64"},
                                 {"prompt_tokens", "512"},
                                 {"concurrency", ""},
                                 {"arrival_req_per_s", "0.1"},
                                 {"num_requests", "40"},
                                 {"stack_norm", "vllm"},
                                 {"weights_norm", "fp8"},
                                 {"metric", "req_per_s"}});
  EXPECT_NEAR(predicted(row), 0.1, 0.05);  // far from saturation the box keeps up with its arrivals
  Cells flood = row;
  flood["arrival_req_per_s"] = "1000";
  EXPECT_LT(predicted(flood), 100);
}

// Errors 10, 20, 30 % in one group, 5 % in the other: medians 20 and 5.
TEST(Validate, ScoresGroupsNotRows) {
  const double rate = predicted(decode_row());
  const auto row = [&](const char* id, const char* group, double error) {
    return decode_row({{"id", id}, {"group", group}, {"value", format("{}", rate / (1 + error))}});
  };
  const Csv csv = csv_of({row("a", "one", 0.10), row("b", "one", -0.20), row("c", "one", 0.30),
                          row("d", "two", 0.05),
                          decode_row({{"id", "e"}, {"group", "three"}, {"base", "gpt-9"}})});
  const ValidationReport report = validate(csv, Catalogues().resources());
  EXPECT_EQ(report.predicted, 4);
  EXPECT_DOUBLE_EQ(report.coverage, 0.8);
  EXPECT_EQ(report.refused, (std::map<std::string, std::int64_t>{{"unknown model", 1}}));
  EXPECT_EQ(report.macro.groups, 2);
  EXPECT_NEAR(report.macro.median_ape, 0.125, 1e-9);
  EXPECT_NEAR(report.macro.mean_ape, 0.125, 1e-9);
  EXPECT_NEAR(report.macro.p90_ape, 0.05 + 0.9 * 0.15, 1e-9);
  EXPECT_NEAR(report.macro.within_10pct, 0.5, 1e-9);
  EXPECT_NEAR(report.macro.bias, 0.075, 1e-9);  // of +10 % and +5 %
  ASSERT_EQ(report.slices.size(), 1U);
  EXPECT_EQ(report.slices[0].key, (std::vector<std::string>{"decode", "tok_per_s", "llama.cpp"}));
  EXPECT_EQ(report.slices[0].rows_all, 5);
}

TEST(Validate, FormsSayTheSame) {
  const Csv csv = csv_of({decode_row({{"id", "a"}}), prefill_row({{"id", "b"}, {"group", "h"}}),
                          decode_row({{"id", "c"}, {"spec", "mtp"}})});
  const ValidationReport report = validate(csv, Catalogues().resources(), {"test", "model"});
  const auto json = nlohmann::json::parse(validation_json(report));
  EXPECT_EQ(json["rows"], 3);
  EXPECT_EQ(json["predicted"], 2);
  EXPECT_EQ(json["groups"], 2);
  EXPECT_EQ(json["refused"]["speculation"], 1);
  EXPECT_TRUE(json["macro"]["interval_coverage"].is_null());
  EXPECT_DOUBLE_EQ(json["macro"]["median_ape"].get<double>(), report.macro.median_ape);
  ASSERT_EQ(json["slices"].size(), 2U);
  EXPECT_EQ(json["slices"][0]["test"], "decode");
  EXPECT_EQ(json["slices"][0]["model"], "llama-3.1-8b");

  const Csv out = Csv::parse(validation_csv(report), "out.csv");
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(parse_double(out.at(0, "predicted")), report.rows[0].predicted);
  EXPECT_DOUBLE_EQ(*parse_double(out.at(0, "ape")), std::abs(*report.rows[0].predicted / 50 - 1));
  EXPECT_EQ(out.at(0, "low"), "");
  EXPECT_EQ(out.at(2, "reason"), "speculation");
  EXPECT_NE(validation_table(report).find("speculation"), std::string::npos);
  EXPECT_EQ(
      validation_markdown(report, "x.csv"),
      validation_markdown(validate(csv, Catalogues().resources(), {"test", "model"}), "x.csv"));
}

TEST(Validate, NoRowsIsNoError) {
  const ValidationReport report = validate(csv_of({}), Catalogues().resources());
  EXPECT_EQ(report.predicted, 0);
  EXPECT_EQ(nlohmann::json::parse(validation_json(report))["rows"], 0);
}

// A sample of the published rows: each is predicted, or refused for a known reason.
TEST(Validate, PublishedRows) {
  const Csv all = Csv::load(kData + "measurements/inference.csv");
  const auto line = [&](auto cell) {
    std::vector<std::string> cells;
    for (const std::string& column : all.header()) cells.push_back(csv_field(cell(column)));
    return format("{}\n", fmt::join(cells, ","));
  };
  std::string text = line([](const std::string& column) { return column; });
  for (std::size_t i = 0; i < all.size(); i += 11) {
    text += line([&](const std::string& column) { return all.at(i, column); });
  }
  const ValidationReport report =
      validate(Csv::parse(text, "sample.csv"), Catalogues().resources());
  const std::set<std::string> vocabulary = {"unknown machine",
                                            "unknown stack",
                                            "unknown model",
                                            "unsupported model family",
                                            "unknown weights format",
                                            "unknown kv format",
                                            "speculation",
                                            "several boxes or devices",
                                            "way to split the model over boxes",
                                            "power or clock cap",
                                            "unsupported test or metric",
                                            "missing column",
                                            "context exceeded",
                                            "context or memory exceeded"};
  for (const auto& [reason, n] : report.refused) EXPECT_TRUE(vocabulary.contains(reason)) << reason;
  EXPECT_GT(report.coverage, 0.1);
  EXPECT_LT(report.macro.median_ape, 0.3);  // a roofline with sourced efficiencies is no wild guess
}

}  // namespace
}  // namespace tinderbox
