#include "box/compare.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

#include "base/error.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

constexpr Point kPoint{.prompt = 1000, .gen = 101};

Machine priced_machine() {
  Machine m = round_machine();
  m.power_idle = Watts(20);
  m.power_load = Watts(200);
  m.price_usd = 3000;
  return m;
}

TwinModel twin_on(const Machine& machine) {
  return {machine, round_stack(), dense_model(), all_in(DType::F16), DType::F16};
}

Comparison on(const Machine& machine, const Tariff& tariff = {}) {
  return compare(twin_on(machine), kPoint, tariff);
}

TEST(Compare, SpeedsAreThoseOfPredict) {
  const Machine machine = priced_machine();
  const Comparison row = on(machine);
  const Prediction p = predict(StepModel(twin_on(machine)), kPoint);
  ASSERT_TRUE(row.prediction);
  EXPECT_EQ(row.machine, "round");
  EXPECT_EQ(row.weights, "uniform");
  EXPECT_EQ(row.prediction->decode_tok_per_s, p.decode_tok_per_s);
  EXPECT_EQ(row.prediction->ttft, p.ttft);
  EXPECT_EQ(row.memory.total, p.memory.total);
}

// 200 W for the request's time, 0.30 a kWh; 3000 over 3 x 365 days and 16 h at 20 W each of them.
TEST(Compare, CostsAreWhatTheTariffSays) {
  const Tariff tariff{.electricity_per_kwh = 0.30, .price_per_usd = 0.5, .hours_per_day = 8,
                      .years = 3};
  const Comparison row = on(priced_machine(), tariff);
  const double seconds = row.prediction->total.value();
  EXPECT_NEAR(*row.tokens_per_joule, 101 / (200 * seconds), 1e-12);
  const double electricity = 200 * seconds / 3.6e6 * 0.30 / 101 * 1e6;
  EXPECT_NEAR(*row.electricity_per_mtok, electricity, 1e-9 * electricity);
  const double tokens_a_day = 101 / seconds * 8 * 3600;
  const double rest_a_day = 3000 * 0.5 / (3 * 365) + 16 * 20 / 1000.0 * 0.30;
  const double all = electricity + rest_a_day / tokens_a_day * 1e6;
  EXPECT_NEAR(*row.total_per_mtok, all, 1e-9 * all);
}

TEST(Compare, MoreHoursACheaperTokenAndNeverBelowItsElectricity) {
  double last = std::numeric_limits<double>::infinity();
  for (const double hours : {0.5, 1.0, 8.0, 23.0, 24.0}) {
    const Comparison row = on(priced_machine(), {.hours_per_day = hours});
    EXPECT_LT(*row.total_per_mtok, last);
    EXPECT_GT(*row.total_per_mtok, *row.electricity_per_mtok);
    last = *row.total_per_mtok;
  }
}

TEST(Compare, NoPriceNoTotal) {
  Machine machine = priced_machine();
  machine.price_usd = 0;
  const Comparison row = on(machine);
  EXPECT_TRUE(row.electricity_per_mtok);
  EXPECT_FALSE(row.total_per_mtok);
}

// A better machine is never worse in what it is better at.
TEST(Compare, TwiceTheMachineIsNotSlower) {
  constexpr double kRounding = 1 - 1e-12;
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    Random random(11, Stream::Test, seed);
    Machine machine = priced_machine();
    machine.memory_bandwidth = BytesPerSecond(std::pow(10, 9 + 3 * random.uniform()));
    machine.clock_light = Hertz(std::pow(10, 8 + 2 * random.uniform()));
    machine.clock_heavy = machine.clock_light * 0.8;
    Machine wider = machine, faster = machine, frugal = machine;
    wider.memory_bandwidth *= 2;
    faster.clock_light *= 2;
    faster.clock_heavy *= 2;
    frugal.power_load *= 0.5;
    const Comparison base = on(machine);
    for (const Machine& better : {wider, faster}) {
      const Comparison row = on(better);
      EXPECT_GE(row.prediction->decode_tok_per_s, base.prediction->decode_tok_per_s * kRounding);
      EXPECT_GE(row.prediction->prefill_tok_per_s, base.prediction->prefill_tok_per_s * kRounding);
      EXPECT_LE(*row.electricity_per_mtok * kRounding, *base.electricity_per_mtok);
      EXPECT_EQ(row.context_max, base.context_max);
    }
    EXPECT_DOUBLE_EQ(*on(frugal).tokens_per_joule, 2 * *base.tokens_per_joule);
  }
}

TEST(Compare, LargestContextIsTheLastThatStaysSafe) {
  for (const double safe_gb : {18.0, 20.0, 24.0, 30.0, 60.0}) {
    Machine machine = priced_machine();
    machine.memory_safe = Bytes(safe_gb * 1e9);
    const TwinModel twin = twin_on(machine);
    const Comparison row = on(machine);
    const auto within = [&](std::int64_t context) {
      return plan_memory(twin, context, 1).total <= machine.memory_safe;
    };
    ASSERT_GE(row.context_max, 0);
    EXPECT_TRUE(row.context_max == 0 || within(row.context_max)) << safe_gb;
    EXPECT_TRUE(row.context_max == twin.model.n_ctx || !within(row.context_max + 16)) << safe_gb;
  }
  EXPECT_EQ(on(priced_machine()).context_max, dense_model().n_ctx);
}

TEST(Compare, WhatDoesNotFitIsARowWithAReason) {
  Machine machine = priced_machine();
  machine.memory_safe = Bytes(8e9);
  machine.memory_freeze = Bytes(9e9);
  const Comparison row = on(machine);
  EXPECT_FALSE(row.prediction);
  EXPECT_FALSE(row.tokens_per_joule);
  EXPECT_FALSE(row.total_per_mtok);
  EXPECT_EQ(row.memory.fit, Fit::Freezes);
  EXPECT_EQ(row.context_max, 0);
  EXPECT_NE(row.reason.find("of 8.00 GB"), std::string::npos) << row.reason;
}

TEST(Compare, RefusesATariffThatIsNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Tariff& tariff : std::vector<Tariff>{{.electricity_per_kwh = -1},
                                                  {.electricity_per_kwh = nan},
                                                  {.price_per_usd = -1},
                                                  {.hours_per_day = 0},
                                                  {.hours_per_day = 25},
                                                  {.hours_per_day = nan},
                                                  {.years = 0}}) {
    EXPECT_THROW(on(priced_machine(), tariff), Error);
  }
  EXPECT_THROW(compare(twin_on(priced_machine()), {.prompt = 200000}, {}), Error);
}

TEST(Compare, UsualStackIsTheFirstThatReadsTheFormat) {
  const Catalogue stacks = Catalogue::from_folder(
      "stack", std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/stacks", ".toml");
  Machine machine = priced_machine();
  machine.stacks = {"no-such-stack", "vllm", "llama.cpp"};
  EXPECT_EQ(usual_stack(machine, stacks, "")->id, "vllm");
  EXPECT_EQ(usual_stack(machine, stacks, "bf16")->id, "vllm");
  EXPECT_EQ(usual_stack(machine, stacks, "mxfp4")->id, "vllm");
  EXPECT_EQ(usual_stack(machine, stacks, "nvfp4")->id, "vllm");
  EXPECT_EQ(usual_stack(machine, stacks, "q4_k_m")->id, "llama.cpp");
  machine.stacks = {"llama.cpp"};
  EXPECT_EQ(usual_stack(machine, stacks, "f16")->id, "llama.cpp");
  EXPECT_FALSE(usual_stack(machine, stacks, "fp8"));
  machine.stacks = {};
  EXPECT_FALSE(usual_stack(machine, stacks, ""));
}

}  // namespace
}  // namespace tinderbox
