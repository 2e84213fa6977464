#include "box/calibrate.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "box/test_calibration.h"

namespace tinderbox {
namespace {

using namespace testing;

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

// More rows with the same noise leave smaller errors; the noise itself never makes them vanish.
TEST(Calibrate, ErrorsShrinkWithRows) {
  const std::size_t n = configurations().size();
  const auto noisy = [n](std::size_t i) {
    return std::exp(0.05 * Random(41, Stream::Test, static_cast<std::uint32_t>(i % n)).normal());
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
    EXPECT_LE(q.error, p.error * 1.0001) << p.key;
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

// A run whose requests come when they come: its time per token is fitted at the load that its rate of tokens tells,
// and the run itself simulated. Without that rate it is simulated alone.
TEST(Calibrate, OpenLoopsGiveTheirTimePerTokenAndAreSimulated) {
  const RowText open = serve_row({{"metric", "tpot_ms"},
                                  {"stack_norm", "llama.cpp"},
                                  {"weights_norm", "q4_k_m"},
                                  {"locator", "run 1"},
                                  {"prompt_tokens", "200"},
                                  {"gen_tokens", "20"},
                                  {"concurrency", ""},
                                  {"arrival_req_per_s", "0.02"},
                                  {"num_requests", "30"},
                                  {"value", "60"}});
  std::vector<RowText> rows = configurations();
  const std::size_t n = rows.size();
  rows.push_back(with(open, {{"id", "tpot"}}));
  rows.push_back(with(open, {{"id", "rate"}, {"metric", "tok_per_s"}, {"value", "0.4"}}));
  rows.push_back(with(open, {{"id", "other"}, {"locator", "run 2"}}));
  rows.push_back(with(open, {{"id", "presumed"}, {"num_requests", ""}}));  // calibrates nothing
  const Calibration calibration = fit(csv_of(rows), LeaveOut::Source);
  EXPECT_EQ(calibration.stacks.at(0).n_rows, static_cast<std::int64_t>(n) + 1);
  ASSERT_EQ(calibration.rows.size(), n + 3);  // none twice
  for (std::size_t i = n; i < n + 3; ++i) {
    EXPECT_EQ(calibration.rows[i].index, i);
    ASSERT_TRUE(calibration.rows[i].left_out);
  }
  EXPECT_EQ(calibration.rows[n].fitted, calibration.rows[n + 2].fitted);  // the same run
  EXPECT_NEAR(calibration.rows[n + 1].fitted, 0.4, 0.1);  // tokens come as they are asked for
  EXPECT_NE(calibration.left_out.at("llama.cpp").at("s").at("kernels.k.memory_share"), 0);
}

TEST(Calibrate, LeavesOutWhatCannotBePredicted) {
  std::vector<RowText> rows = configurations();
  const std::size_t n = rows.size();
  rows.push_back(prefill_row({{"id", "deep"}, {"depth", "200000"}}));
  rows.push_back(prefill_row({{"id", "two"}, {"nodes", "2"}, {"parallel", "tp4"}}));
  rows.push_back(prefill_row({{"id", "wild"}, {"weights_norm", "fp8"}}));
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

}  // namespace
}  // namespace tinderbox
