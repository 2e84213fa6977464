#include "box/calibrate.h"

#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

using namespace testing;

const Catalogues& known() {
  static const Catalogues catalogues;
  return catalogues;
}

// Configurations of llama.cpp on one box, each its own group: what a row of measurements says of them
// is made by the twin itself.
std::vector<RowText> configurations() {
  struct Model {
    const char* base;
    const char* weights;
  };
  std::vector<RowText> rows;
  int n = 0;
  for (const Model& model : {Model{"llama-3.1-8b", "q8_0"}, Model{"llama-3.1-8b", "q4_k_m"},
                             Model{"qwen3-30b-a3b", "q4_k_m"}, Model{"qwen3-32b", "q8_0"}}) {
    const auto add = [&](RowText row) {
      row["base"] = model.base;
      row["weights_norm"] = model.weights;
      row["id"] = row["group"] = format("c{}", n++);
      rows.push_back(row);
    };
    for (const char* depth : {"0", "8192", "32768"}) {
      add(decode_row({{"ctx_start", depth}}));
      add(prefill_row({{"depth", depth}, {"prompt_tokens", "512"}, {"ubatch", "512"}}));
    }
    for (const char* prompt : {"16", "64", "2048"}) add(prefill_row({{"prompt_tokens", prompt}}));
    for (const char* streams : {"4", "16"}) add(decode_row({{"concurrency", streams}}));
  }
  return rows;
}

// The stack with its priors for numbers, times factors: whatever the file was last fitted to.
Stack with_truth(Stack stack, const std::map<std::string, double>& factors) {
  for (const StackParameter& p : parameters(stack)) {
    const auto factor = factors.find(p.key);
    *p.value = std::ranges::find(stack.facts, p.key, &Fact::key)->fit->prior *
               (factor == factors.end() ? 1 : factor->second);
  }
  return stack;
}

// Values of the rows by such a stack, times noise.
Csv measured_with(std::vector<RowText> rows, const std::map<std::string, double>& factors,
                  const std::function<double(std::size_t)>& noise = {}) {
  const TwinCatalogues resources = known().resources();
  Questioner questioner(resources);
  const Stack truth = with_truth(questioner.stack("llama.cpp"), factors);
  const Csv csv = csv_of(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Question q = questioner.question(Cells(csv, i));
    const BuiltTwin built = questioner.build(*q.measured);
    const StepModel model =
        built.model->with_stack(with_path(truth, q.measured->kernel_path, q.measured->version));
    const double value = read_off(predict(model, q.measured->point), *q.measured, truth);
    rows[i]["value"] = format("{}", value * q.measured->scale * (noise ? noise(i) : 1));
  }
  return csv_of(rows);
}

Calibration fit(const Csv& rows, LeaveOut leave_out = LeaveOut::Nothing, int n_threads = 2) {
  return calibrate(rows, known().resources(), {.leave_out = leave_out, .n_threads = n_threads});
}

const FittedParameter& parameter(const Calibration& calibration, const std::string& key) {
  const auto& list = calibration.stacks.at(0).parameters;
  const auto found = std::ranges::find(list, key, &FittedParameter::key);
  EXPECT_NE(found, list.end()) << key;
  return *found;
}

// Away from the priors, so that the fit has something to find.
const std::map<std::string, double> kTruth = {
    {"kernels.q8.memory_share", 0.93},    {"kernels.q8.compute_share", 1.4},
    {"kernels.k.memory_share", 1.06},     {"kernels.k.compute_share", 0.7},
    {"price.expert_memory_ratio", 0.85},  {"price.expert_compute_ratio", 1.3},
    {"price.attention_memory_share", 1.4}, {"price.graph_kernel_time", 1.5}};

// The twin's own numbers come back: within three of the errors that the fit states, and where rows
// speak clearly, close in themselves.
TEST(Calibrate, RecoversWhatTheRowsWereMadeWith) {
  const Csv rows = measured_with(configurations(), kTruth);
  const Calibration calibration = fit(rows);
  ASSERT_EQ(calibration.stacks.size(), 1U);
  const FittedStack& stack = calibration.stacks[0];
  EXPECT_EQ(stack.id, "llama.cpp");
  EXPECT_EQ(stack.n_rows, std::ssize(configurations()));
  EXPECT_EQ(stack.n_groups, stack.n_rows);
  EXPECT_LT(stack.median_ape, 0.01);
  int clear = 0;
  for (const FittedParameter& p : stack.parameters) {
    const auto factor = kTruth.find(p.key);
    const double truth = p.prior * (factor == kTruth.end() ? 1 : factor->second);
    const double off = std::abs(std::log(p.value / truth));
    EXPECT_LE(off, 3 * p.error) << p.key << " is " << p.value << ", not " << truth;
    if (p.error < p.spread / 4) {
      ++clear;
      EXPECT_LT(off, 0.1) << p.key << " is " << p.value << ", not " << truth;
    }
  }
  EXPECT_GE(clear, 3);
  for (const CalibratedRow& row : calibration.rows) {
    const double value = *parse_double(rows.at(row.index, "value"));
    // The priors pull a row by half of the noise that the fit allows for, at most.
    EXPECT_NEAR(row.fitted / value, 1, 0.03) << rows.at(row.index, "id");
    EXPECT_FALSE(row.left_out);
  }
}

// More rows of the same noise leave smaller errors; the noise itself never makes them vanish.
TEST(Calibrate, ErrorsShrinkWithRows) {
  const auto noisy = [](std::size_t i) {
    return std::exp(0.05 * Random(41, Stream::Test, static_cast<std::uint32_t>(i)).normal());
  };
  std::vector<RowText> twice = configurations();
  for (RowText row : configurations()) {
    row["id"] = row["group"] = row["id"] + "b";
    twice.push_back(row);
  }
  const Calibration one = fit(measured_with(configurations(), {}, noisy));
  const Calibration two = fit(measured_with(twice, {}, noisy));
  for (const FittedParameter& p : one.stacks[0].parameters) {
    const FittedParameter& q = parameter(two, p.key);
    EXPECT_LE(q.error, p.error * 1.02) << p.key;
    EXPECT_LE(p.error, p.spread * 1.0001) << p.key;
    EXPECT_GT(q.error, 0) << p.key;
  }
  const char* clear = "kernels.q8.memory_share";
  EXPECT_LT(parameter(two, clear).error, 0.85 * parameter(one, clear).error);
}

// Many rows of a group are one voice.
TEST(Calibrate, AGroupCountsOnce) {
  std::vector<RowText> repeated = configurations();
  const RowText first = repeated[0];
  for (int i = 0; i < 30; ++i) {
    repeated.push_back(with(first, {{"id", format("again{}", i)}}));
  }
  const Calibration one = fit(measured_with(configurations(), kTruth));
  const Calibration many = fit(measured_with(repeated, kTruth));
  EXPECT_EQ(many.stacks[0].n_groups, one.stacks[0].n_groups);
  for (const FittedParameter& p : one.stacks[0].parameters) {
    EXPECT_NEAR(parameter(many, p.key).value / p.value, 1, 1e-6) << p.key;
    EXPECT_NEAR(parameter(many, p.key).error, p.error, 1e-6) << p.key;
  }
}

TEST(Calibrate, OutliersDoNotMoveIt) {
  const auto wrong = [](std::size_t i) { return i % 11 == 0 ? 5.0 : 1.0; };
  const Calibration clean = fit(measured_with(configurations(), kTruth));
  const Calibration dirty = fit(measured_with(configurations(), kTruth, wrong));
  for (const FittedParameter& p : clean.stacks[0].parameters) {
    EXPECT_LT(std::abs(std::log(parameter(dirty, p.key).value / p.value)), 0.6 * p.error + 1e-6)
        << p.key;
  }
}

TEST(Calibrate, ThePriorHoldsWhereNoRowSpeaks) {
  const Calibration calibration = fit(measured_with(configurations(), kTruth));
  for (const char* key : {"kernels.q4.memory_share", "kernels.iq.compute_share",
                          "kernels.mxfp4.memory_share", "price.scan_memory_share",
                          "price.scan_compute_share", "price.request_time"}) {
    const FittedParameter& p = parameter(calibration, key);
    EXPECT_NEAR(p.value / p.prior, 1, 1e-9) << key;
    EXPECT_NEAR(p.error / p.spread, 1, 1e-9) << key;
    EXPECT_EQ(p.n_rows, 0) << key;
  }
  EXPECT_GT(parameter(calibration, "kernels.q8.memory_share").n_rows, 0);
}

TEST(Calibrate, IsTheSameForAnyNumberOfThreads) {
  const Csv rows = measured_with(configurations(), kTruth, [](std::size_t i) {
    return std::exp(0.05 * Random(42, Stream::Test, static_cast<std::uint32_t>(i)).normal());
  });
  const std::string toml = known().stacks.text("llama.cpp");
  const auto text = [&](int n_threads) {
    return with_fitted(toml, fit(rows, LeaveOut::Model, n_threads).stacks.at(0));
  };
  const std::string one = text(1);
  EXPECT_NE(one, toml);
  EXPECT_EQ(text(2), one);
  EXPECT_EQ(text(3), one);
}

TEST(Calibrate, LeavesOutOpenLoopsAndWhatCannotBePredicted) {
  std::vector<RowText> rows = configurations();
  const std::size_t n = rows.size();
  rows.push_back(prefill_row({{"id", "deep"}, {"depth", "200000"}}));
  rows.push_back(prefill_row({{"id", "two"}, {"nodes", "2"}, {"parallel", "tp4"}}));
  rows.push_back(prefill_row({{"id", "wild"}, {"weights_norm", "fp8"}}));
  rows.push_back(prefill_row({{"id", "open"},
                              {"test", "serve"},
                              {"metric", "tpot_ms"},
                              {"gen_tokens", "20"},
                              {"arrival_req_per_s", "1"},
                              {"num_requests", "9"}}));
  const Calibration calibration = fit(csv_of(rows));
  EXPECT_EQ(calibration.stacks.at(0).n_rows, static_cast<std::int64_t>(n));
  ASSERT_EQ(calibration.rows.size(), n);
  for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(calibration.rows[i].index, i);
  EXPECT_TRUE(fit(csv_of({})).stacks.empty());
  EXPECT_TRUE(fit(csv_of({decode_row({{"depth", "?"}}), decode_row({{"value", "fast"}})})).stacks.empty());
}

// Every row has an answer of a fit that has not seen its key: changing the values under one key
// changes the answers of the others alone.
TEST(Calibrate, LeftOutRowsAreUnseen) {
  const std::string key = "qwen3-32b";
  const std::vector<RowText> rows = configurations();
  const Csv plain = measured_with(rows, kTruth);
  const Csv moved = measured_with(rows, kTruth, [&](std::size_t i) {
    return rows[i].at("base") == key ? 1.08 : 1;
  });
  const Calibration a = fit(plain, LeaveOut::Model), b = fit(moved, LeaveOut::Model);
  bool others_moved = false;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE(a.rows[i].left_out && b.rows[i].left_out);
    const double change = std::abs(std::log(*b.rows[i].left_out / *a.rows[i].left_out));
    if (rows[i].at("base") == key) {
      // The two steps from the full fit leave a trace of it, well below the change of 8 %.
      EXPECT_LT(change, 0.01) << rows[i].at("id");
    } else {
      others_moved = others_moved || change > 0.01;
    }
  }
  EXPECT_TRUE(others_moved);
}

// A stack whose numbers cannot move but one that no row speaks of: what it predicts of a row left out
// is then known, and so is by how much it misses.
struct Rigid {
  Catalogues files;
  Rigid() {
    std::string toml = files.stacks.text("llama.cpp");
    toml = std::regex_replace(toml, std::regex("spread = [0-9.]+"), "spread = 0");
    const std::size_t at = toml.find("spread = 0", toml.find("scan_compute_share"));
    toml.replace(at, 10, "spread = 1");
    files.stacks = Catalogue("stack");
    files.stacks.add("llama.cpp", toml);
  }
  // Intervals after rows of decode, each its own group, that miss by these ratios.
  std::array<Interval, kMetrics> intervals(const std::vector<double>& ratios, bool as_time = false) {
    const RowText row = decode_row(as_time ? RowText{{"metric", "tpot_ms"}} : RowText{});
    const Csv plain = csv_of({row});
    const TwinCatalogues resources = files.resources();
    Questioner questioner(resources);
    const Measured m = *questioner.question(Cells(plain, 0)).measured;
    // Left out, its numbers are the priors.
    Stack stack = questioner.stack("llama.cpp");
    for (const StackParameter& p : parameters(stack)) {
      *p.value = std::ranges::find(stack.facts, p.key, &Fact::key)->fit->prior;
    }
    const StepModel model = questioner.build(m).model->with_stack(stack);
    const double value = m.scale * read_off(predict(model, m.point), m, stack);
    std::vector<RowText> rows;
    for (const double ratio : ratios) {
      rows.push_back(with(row, {{"id", format("i{}", rows.size())},
                                {"group", format("g{}", rows.size())},
                                {"value", format("{}", value * (as_time ? 1 / ratio : ratio))}}));
    }
    return calibrate(csv_of(rows), resources, {.leave_out = LeaveOut::Model, .n_threads = 1})
        .stacks.at(0)
        .intervals;
  }
};

std::vector<double> ramp(int n) {
  std::vector<double> ratios;
  for (int i = 0; i < n; ++i) ratios.push_back(std::exp(0.02 * (i - n / 2)));
  return ratios;
}

// Of 100 groups the tails hold 4.5 each: the fifth from either end. Of 40 they hold 1.5: the second.
// With few groups the ends themselves.
TEST(CalibrateIntervals, AreKnownForKnownMisses) {
  Rigid rigid;
  for (const auto& [n, skipped] : std::vector<std::pair<int, int>>{{100, 4}, {40, 1}, {12, 0}}) {
    const std::vector<double> ratios = ramp(n);
    const Interval interval = rigid.intervals(ratios)[static_cast<std::size_t>(Metric::Decode)];
    EXPECT_NEAR(interval.low, ratios[static_cast<std::size_t>(skipped)], 1e-6) << n;
    EXPECT_NEAR(interval.high, ratios[static_cast<std::size_t>(n - 1 - skipped)], 1e-6) << n;
    // Rates behind times miss the other way; the interval is of the rate.
    const Interval of_time =
        rigid.intervals(ratios, true)[static_cast<std::size_t>(Metric::Decode)];
    EXPECT_NEAR(of_time.low, interval.low, 1e-6);
    EXPECT_NEAR(of_time.high, interval.high, 1e-6);
  }
}

TEST(CalibrateIntervals, HoldOneAndSayNothingOfFewGroups) {
  Rigid rigid;
  const auto at = static_cast<std::size_t>(Metric::Decode);
  // All too high: the low end stays at what was predicted.
  std::vector<double> high = ramp(30);
  for (double& r : high) r = 1.5 * r / ramp(30)[0];
  EXPECT_EQ(rigid.intervals(high)[at].low, 1);
  EXPECT_GT(rigid.intervals(high)[at].high, 1.5);
  const auto few = rigid.intervals(ramp(11));
  for (const Interval& interval : few) {
    EXPECT_EQ(interval.low, 1);
    EXPECT_EQ(interval.high, 1);
  }
  const auto many = rigid.intervals(ramp(30));
  EXPECT_LT(many[at].low, 1);
  EXPECT_EQ(many[static_cast<std::size_t>(Metric::Serve)].high, 1);  // nothing was measured of it
}

// Nine in ten groups lie within, and are needed for it.
TEST(CalibrateIntervals, HoldNineInTen) {
  Rigid rigid;
  for (std::uint32_t seed = 0; seed < 5; ++seed) {
    Random random(43, Stream::Test, seed);
    std::vector<double> ratios;
    for (int i = 0; i < 60; ++i) ratios.push_back(std::exp(0.2 * random.normal()));
    const Interval interval = rigid.intervals(ratios)[static_cast<std::size_t>(Metric::Decode)];
    const auto within = std::ranges::count_if(ratios, [&](double r) {
      return r >= interval.low * (1 - 1e-9) && r <= interval.high * (1 + 1e-9);
    });
    EXPECT_GE(within, 54);
    EXPECT_LE(within, 58);
  }
}

std::string without_fit(const std::string& line) {
  return std::regex_replace(line, std::regex("(value|prior|error|rows) = (\"[^\"]*\"|[^,} ]+) ?"), "");
}

TEST(WithFitted, ChangesWhatIsFittedAlone) {
  const std::string toml = known().stacks.text("llama.cpp");
  FittedStack fitted =
      fit(measured_with(configurations(), kTruth), LeaveOut::Model).stacks.at(0);
  fitted.intervals[static_cast<std::size_t>(Metric::Serve)] = {.low = 0.5, .high = 2.25};
  fitted.intervals[static_cast<std::size_t>(Metric::Ttft)] = {};  // nothing to go by
  const std::string after = with_fitted(toml, fitted);
  const std::vector<std::string> old_lines = split(toml, '\n'), new_lines = split(after, '\n');
  ASSERT_EQ(new_lines.size(), old_lines.size());
  int changed = 0;
  for (std::size_t i = 0; i < old_lines.size(); ++i) {
    changed += new_lines[i] == old_lines[i] ? 0 : 1;
    const bool interval = old_lines[i].find("_ratio = { value") != std::string::npos &&
                          !old_lines[i].starts_with("ttft_");
    const bool may_change = interval || old_lines[i].find("kind = \"fitted\"") != std::string::npos;
    if (may_change) {
      EXPECT_EQ(without_fit(new_lines[i]), without_fit(old_lines[i]));
    } else {
      EXPECT_EQ(new_lines[i], old_lines[i]);
    }
  }
  EXPECT_GT(changed, 10);
  EXPECT_EQ(with_fitted(after, fitted), after);

  Stack stack = parse_stack(after, "after");
  std::set<std::string> keys;
  for (const StackParameter& p : parameters(stack)) {
    const auto found = std::ranges::find(fitted.parameters, p.key, &FittedParameter::key);
    ASSERT_NE(found, fitted.parameters.end()) << p.key;
    EXPECT_NEAR(*p.value / found->value, 1, 1e-3) << p.key;
    const Fact& fact = *std::ranges::find(stack.facts, p.key, &Fact::key);
    EXPECT_NEAR(fact.fit->error, found->error, 5.1e-4) << p.key;
    EXPECT_EQ(fact.fit->n_rows, found->n_rows) << p.key;
    EXPECT_NEAR(fact.fit->prior / found->prior, 1, 1e-3) << p.key;
    EXPECT_EQ(fact.fit->spread, found->spread) << p.key;
  }
  EXPECT_EQ(stack.intervals[static_cast<std::size_t>(Metric::Serve)].low, 0.5);
  EXPECT_EQ(stack.intervals[static_cast<std::size_t>(Metric::Serve)].high, 2.25);
}

// Fitting again on the same rows from the written file gives the same numbers: priors, not values, are
// where a fit begins.
TEST(WithFitted, AFitDoesNotDependOnTheValuesInTheFile) {
  const Csv rows = measured_with(configurations(), kTruth);
  const FittedStack first = fit(rows).stacks.at(0);
  Catalogues again;
  again.stacks = Catalogue("stack");
  again.stacks.add("llama.cpp", with_fitted(known().stacks.text("llama.cpp"), first));
  const Calibration second =
      calibrate(rows, again.resources(), {.leave_out = LeaveOut::Nothing, .n_threads = 1});
  for (const FittedParameter& p : first.parameters) {
    EXPECT_EQ(parameter(second, p.key).value, p.value) << p.key;
  }
}

// Rows of another machine do not move the stacks: they tell what that machine reaches of its own numbers.
TEST(Calibrate, OtherMachinesAreFittedBesideTheStacks) {
  const std::vector<RowText> spark = configurations();
  std::vector<RowText> card = configurations();
  for (RowText& row : card) {
    row["machine"] = "rtx-pro-6000";
    row["id"] = row["group"] = row["id"] + "x";
  }
  const TwinCatalogues resources = known().resources();
  Questioner questioner(resources);
  const Stack stack = with_truth(questioner.stack("llama.cpp"), kTruth);
  Machine truth = questioner.machine("rtx-pro-6000");
  const std::map<std::string, double> ratios = {
      {"reach.memory_ratio", 0.9}, {"reach.compute_ratio", 1.3}, {"reach.kernel_ratio", 1.4}};
  for (const StackParameter& p : parameters(truth)) *p.value = ratios.at(p.key);
  const Csv made = measured_with(spark, kTruth);
  std::vector<RowText> rows = spark;
  for (std::size_t i = 0; i < spark.size(); ++i) {
    rows[i]["value"] = made.at(i, "value");
    const Csv one = csv_of({card[i]});
    const Measured m = *questioner.question(Cells(one, 0)).measured;
    const StepModel model = questioner.build(m).model->with_stack(stack).with_machine(truth);
    card[i]["value"] = format("{}", m.scale * read_off(predict(model, m.point), m, stack));
  }
  const Calibration alone = fit(csv_of(rows));
  EXPECT_TRUE(alone.machines.empty());
  rows.insert(rows.end(), card.begin(), card.end());
  const Calibration both = fit(csv_of(rows));
  for (const FittedParameter& p : alone.stacks[0].parameters) {
    EXPECT_EQ(parameter(both, p.key).value, p.value) << p.key;
  }
  ASSERT_EQ(both.machines.size(), 1U);
  const FittedMachine& machine = both.machines[0];
  EXPECT_EQ(machine.id, "rtx-pro-6000");
  EXPECT_EQ(machine.n_rows, std::ssize(card));
  ASSERT_EQ(machine.parameters.size(), ratios.size());
  for (const FittedParameter& p : machine.parameters) {
    EXPECT_NEAR(p.value / ratios.at(p.key), 1, 0.1) << p.key;
    EXPECT_GT(p.n_rows, 0) << p.key;
  }
  const std::string toml = known().machines.text("rtx-pro-6000");
  Machine written = parse_machine(with_fitted(toml, machine), "written");
  for (const StackParameter& p : parameters(written)) {
    EXPECT_NEAR(*p.value / ratios.at(p.key), 1, 0.1) << p.key;
  }
  EXPECT_EQ(split(with_fitted(toml, machine), '\n').size(), split(toml, '\n').size());
}

// A stack that runs another's kernels begins where that one's fit ends: by key, and written as its prior.
TEST(Calibrate, AStackLikeAnotherBelievesItsFit) {
  std::vector<RowText> rows = configurations();
  const std::size_t n = rows.size();
  rows.push_back(decode_row({{"id", "o"}, {"group", "o"}, {"stack_norm", "ollama"}}));
  const Stack ollama = parse_stack(known().stacks.text("ollama"), "ollama");
  ASSERT_EQ(ollama.like, "llama.cpp");
  const Csv made = measured_with(configurations(), kTruth);
  for (std::size_t i = 0; i < n; ++i) rows[i]["value"] = made.at(i, "value");
  const Calibration both = fit(csv_of(rows));
  ASSERT_EQ(both.stacks.size(), 2U);
  EXPECT_EQ(both.stacks[1].id, "ollama");
  int shared = 0;
  for (const FittedParameter& p : both.stacks[1].parameters) {
    const auto& of_llama = both.stacks[0].parameters;
    const auto same = std::ranges::find(of_llama, p.key, &FittedParameter::key);
    if (same == of_llama.end()) continue;
    ++shared;
    EXPECT_NEAR(p.prior / same->value, 1, 1e-12) << p.key;
  }
  EXPECT_GT(shared, 20);
  // Its rows do not speak back.
  const Calibration alone = fit(made);
  for (const FittedParameter& p : both.stacks[0].parameters) {
    EXPECT_EQ(p.value, parameter(alone, p.key).value) << p.key;
  }
}

TEST(WithFitted, NamesAKeyThatHasNoLine) {
  const std::string toml = known().stacks.text("llama.cpp");
  const auto refusal = [&](const FittedParameter& p, const std::string& text) -> std::string {
    try {
      with_fitted(text, FittedStack{.id = "llama.cpp", .parameters = {p}});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Error::Code::Invalid);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal({.key = "price.step_time", .value = 1e-3}, toml), "");
  EXPECT_NE(refusal({.key = "price.sponge_time"}, toml).find("price.sponge_time"), std::string::npos);
  EXPECT_NE(refusal({.key = "kernels.none.memory_share"}, toml).find("kernels.none"), std::string::npos);
  // A number that is assumed has nothing to write beside its value.
  EXPECT_NE(refusal({.key = "launches.n_norm"}, toml).find("has no prior"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
