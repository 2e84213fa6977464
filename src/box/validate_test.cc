#include "box/validate.h"

#include <cmath>
#include <set>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

using namespace testing;

std::string reason_of(const RowText& row) {
  return validate(csv_of({row}), Catalogues().resources()).rows.at(0).reason;
}
double predicted(const RowText& row) {
  const ValidationReport report = validate(csv_of({row}), Catalogues().resources());
  EXPECT_TRUE(report.rows.at(0).predicted.has_value()) << report.rows.at(0).reason;
  return report.rows[0].predicted.value_or(0);
}

constexpr const char* kWeights = "weights format that the stack cannot run";

TEST(Validate, SeveralBoxesAreSplitAsStatedOrAsTheStackDoes) {
  const double one = predicted(decode_row());
  const double layers = predicted(decode_row({{"nodes", "2"}}));  // llama.cpp deals layers out
  EXPECT_LT(layers, one);
  EXPECT_EQ(layers, predicted(decode_row({{"nodes", "2"}, {"parallel", "pp2"}})));
  EXPECT_GT(predicted(decode_row({{"nodes", "2"}, {"stack_norm", "vllm"}, {"weights_norm", "bf16"}})),
            1.2 * predicted(decode_row({{"stack_norm", "vllm"}, {"weights_norm", "bf16"}})));
  const RowText run{{"test", "serve"}, {"metric", "total_tok_per_s"}, {"stack_norm", "vllm"},
                  {"weights_norm", "bf16"}, {"nodes", "2"}, {"prompt_tokens", "512"}};
  RowText each = run;
  each["metric"] = "total_tok_per_s_per_gpu";
  EXPECT_DOUBLE_EQ(predicted(decode_row(run)), 2 * predicted(decode_row(each)));
}

TEST(Validate, RefusesWithAReason) {
  EXPECT_EQ(reason_of(decode_row()), "");
  EXPECT_EQ(reason_of(decode_row({{"machine", "abacus"}})), "unknown machine");
  EXPECT_EQ(reason_of(decode_row({{"stack_norm", "megakernel"}})), "unknown stack");
  EXPECT_EQ(reason_of(decode_row({{"base", "gpt-9"}})), "unknown model");
  Catalogues strange;
  strange.models.add("abacus-1b", R"({"model_type": "abacus", "hidden_size": 64})");
  EXPECT_EQ(validate(csv_of({decode_row({{"base", "abacus-1b"}})}), strange.resources()).rows[0].reason,
            "unsupported model family");
  EXPECT_EQ(reason_of(decode_row({{"weights_norm", "fp9"}})), kWeights);
  EXPECT_EQ(reason_of(decode_row({{"weights_norm", "fp8"}})), kWeights);  // not as GGUF
  EXPECT_EQ(reason_of(decode_row({{"stack_norm", "vllm"}, {"weights_norm", "q4_k_m"}})), kWeights);
  EXPECT_EQ(reason_of(decode_row({{"weights_norm", ""}})), "missing column");
  EXPECT_EQ(reason_of(decode_row({{"kv_norm", "turbo9"}})), "unknown kv format");
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
  EXPECT_EQ(reason_of(decode_row({{"machine", "rtx-4090"}, {"base", "llama-3.1-70b"}})),
            "weights beyond the memory");
  EXPECT_EQ(reason_of(decode_row({{"gen_tokens", "0"}})), "missing column");
  EXPECT_EQ(reason_of(prefill_row({{"prompt_tokens", ""}})), "missing column");
  EXPECT_EQ(reason_of(decode_row({{"ctx_start", "200000"}})), "context exceeded");
  EXPECT_EQ(reason_of(prefill_row({{"test", "serve"}, {"arrival_req_per_s", "1"}})),
            "missing column");
}

// A cell that is no number where one must be refuses its row, names it, and leaves the others as they are.
TEST(Validate, BadCellsRefuseTheirRowAlone) {
  const RowText good = decode_row({{"id", "good"}, {"group", "h"}});
  const ValidationReport alone = validate(csv_of({good}), Catalogues().resources());
  for (const auto& [column, cell] : std::vector<std::pair<std::string, std::string>>{
           {"value", "fast"},     {"value", "-1"},          {"value", "0"},
           {"value", ""},         {"value", "nan"},         {"value", "1e999"},
           {"gen_tokens", "few"}, {"gen_tokens", "100-50"}, {"depth", "-3"},
           {"depth", "1e12"},     {"concurrency", "1e12"},  {"concurrency", "0"},
           {"nodes", "two"},      {"ubatch", "0"},          {"range_ratio", "2"},
           {"burstiness", "0"},   {"arrival_req_per_s", "-1"}}) {
    SCOPED_TRACE(column + " = " + cell);
    const ValidationReport report =
        validate(csv_of({good, decode_row({{"id", "bad, row"}, {column, cell}}), good}),
                 Catalogues().resources());
    EXPECT_EQ(report.refused, (std::map<std::string, std::int64_t>{{"bad cell", 1}}));
    ASSERT_EQ(report.bad.size(), 1U);
    for (const std::string& word :
         {std::string("test.csv:3:"), std::string("'bad, row'"), "column " + column, "'" + cell + "'"}) {
      EXPECT_NE(report.bad[0].find(word), std::string::npos) << word << " in " << report.bad[0];
    }
    EXPECT_EQ(report.rows[1].reason, "bad cell");
    EXPECT_FALSE(report.rows[1].predicted);
    EXPECT_EQ(report.rows[0].predicted, alone.rows[0].predicted);
    EXPECT_EQ(report.rows[2].predicted, alone.rows[0].predicted);
    EXPECT_EQ(report.macro.median_ape, alone.macro.median_ape);
    EXPECT_EQ(report.macro.groups, 1);
  }
}

TEST(Validate, BadRowsAreListedInEveryForm) {
  std::vector<RowText> rows{decode_row()};
  for (int i = 0; i < 30; ++i) rows.push_back(decode_row({{"id", format("b{}", i)}, {"depth", "?"}}));
  const ValidationReport report = validate(csv_of(rows), Catalogues().resources());
  const auto json = nlohmann::json::parse(validation_json(report));
  EXPECT_EQ(json["bad_rows"].size(), 30U);
  EXPECT_EQ(json["bad_rows"][4], report.bad[4]);
  EXPECT_EQ(json["refused"]["bad cell"], 30);
  const std::string table = validation_table(report);
  EXPECT_NE(table.find(report.bad[0]), std::string::npos);
  EXPECT_EQ(table.find("'b29'"), std::string::npos);
  EXPECT_NE(table.find("and 10 more"), std::string::npos);
  EXPECT_NE(validation_csv(report).find("b29,,,,,bad cell"), std::string::npos);
  const ValidationReport clean = validate(csv_of({decode_row()}), Catalogues().resources());
  EXPECT_TRUE(nlohmann::json::parse(validation_json(clean))["bad_rows"].empty());
  EXPECT_EQ(validation_table(clean).find("bad rows"), std::string::npos);
}

TEST(Validate, AMissingColumnIsAnError) {
  for (const char* header : {"id,value", "group,value", "id,group"}) {
    const std::string text = format("{},test,metric,stack_norm\nr,1,a,b,c\n", header);
    EXPECT_THROW(validate(Csv::parse(text, "x.csv"), Catalogues().resources()), Error) << header;
  }
  EXPECT_THROW(validate(csv_of({decode_row()}), Catalogues().resources(), {"colour"}), Error);
}

// One configuration read off through different metrics gives consistent answers.
TEST(Validate, MetricsOfOneConfigurationAgree) {
  const double rate = predicted(decode_row());
  EXPECT_NEAR(predicted(decode_row({{"metric", "tpot_ms"}})), 1e3 / rate, 1e-9);
  EXPECT_NEAR(predicted(decode_row({{"metric", "tok_per_s_per_stream"}})), rate, 1e-9);
  const double prefill = predicted(prefill_row());
  // A client's first token comes after the prompt and what the request itself takes.
  const Catalogues known;
  const double request_ms =
      1e3 * parse_stack(known.stacks.text("llama.cpp"), "llama.cpp").price.request_time;
  EXPECT_NEAR(predicted(prefill_row({{"metric", "ttft_ms"}, {"gen_tokens", "2"}})),
              1e3 * 2048 / prefill + request_ms, 1e-6);
  // Longer steps read the experts fewer times.
  const RowText moe = prefill_row({{"base", "gpt-oss-120b"}, {"weights_norm", "mxfp4"}});
  RowText wide = moe;
  wide["ubatch"] = "2048";
  EXPECT_GT(predicted(wide), predicted(moe));
  EXPECT_LT(predicted(decode_row({{"depth", "32768"}, {"ctx_start", "32768"}})), rate);
  EXPECT_GT(predicted(decode_row({{"concurrency", "4"}})), rate);
  const RowText serve = prefill_row({{"test", "serve"},
                                   {"gen_tokens", "128"},
                                   {"stack_norm", "vllm"},
                                   {"weights_norm", "fp8"},
                                   {"concurrency", "8"}});
  const auto metric = [&](const char* name) {
    RowText row = serve;
    row["metric"] = name;
    return predicted(row);
  };
  EXPECT_NEAR(metric("tok_per_s"), 128 * metric("req_per_s"), 1e-6);
  EXPECT_NEAR(metric("total_tok_per_s"), (128 + 2048) * metric("req_per_s"), 1e-6);
  EXPECT_NEAR(metric("tok_per_s"), 8 * metric("tok_per_s_per_stream"), 1e-6);
}

// Nine in ten values lie within; here by construction the share that does is known.
TEST(Validate, CountsRowsWithinTheirInterval) {
  const ValidationReport one = validate(csv_of({decode_row()}), Catalogues().resources());
  const ValidationRow& row = one.rows.at(0);
  EXPECT_LT(row.low, *row.predicted);
  EXPECT_GT(row.high, *row.predicted);
  const auto valued = [&](double value) { return decode_row({{"value", format("{}", value)}}); };
  const ValidationReport report =
      validate(csv_of({valued(row.low * 1.001), valued(row.high * 0.999), valued(*row.predicted),
                       valued(row.low * 0.999), valued(row.high * 1.001)}),
               Catalogues().resources());
  EXPECT_DOUBLE_EQ(report.macro.interval_coverage, 0.6);
}

TEST(Validate, OpenLoopRowsAreSimulated) {
  const RowText row = prefill_row({{"test", "serve"},
                                 {"gen_tokens", "64"},
                                 {"prompt_tokens", "512"},
                                 {"concurrency", ""},
                                 {"arrival_req_per_s", "0.1"},
                                 {"num_requests", "40"},
                                 {"stack_norm", "vllm"},
                                 {"weights_norm", "fp8"},
                                 {"metric", "req_per_s"}});
  EXPECT_NEAR(predicted(row), 0.1, 0.05);  // far from saturation the box keeps up with its arrivals
  RowText flood = row;
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
  EXPECT_DOUBLE_EQ(json["macro"]["interval_coverage"].get<double>(),
                   report.macro.interval_coverage);
  EXPECT_DOUBLE_EQ(json["macro"]["median_ape"].get<double>(), report.macro.median_ape);
  ASSERT_EQ(json["slices"].size(), 2U);
  EXPECT_EQ(json["slices"][0]["test"], "decode");
  EXPECT_EQ(json["slices"][0]["model"], "llama-3.1-8b");

  const Csv out = Csv::parse(validation_csv(report), "out.csv");
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(parse_double(out.at(0, "predicted")), report.rows[0].predicted);
  EXPECT_DOUBLE_EQ(*parse_double(out.at(0, "ape")), std::abs(*report.rows[0].predicted / 50 - 1));
  EXPECT_NEAR(*parse_double(out.at(0, "low")), report.rows[0].low, 1e-4 * report.rows[0].low);
  EXPECT_NEAR(*parse_double(out.at(0, "high")), report.rows[0].high, 1e-4 * report.rows[0].high);
  EXPECT_EQ(out.at(2, "low"), "");
  EXPECT_EQ(out.at(2, "reason"), "speculation");
  EXPECT_NE(validation_table(report).find("speculation"), std::string::npos);
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
                                            kWeights,
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
