#include "box/body_answers.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "box/test_rows.h"
#include "box/validate.h"

namespace tinderbox {
namespace {

constexpr const char* kHeader =
    "id,machine,nodes,stack,model,weights,base,weights_norm,kv_norm,stack_norm,test,prompt_tokens,"
    "gen_tokens,depth,"
    "concurrency,metric,value,unit,reading,group,parallel,spec,exclude_reason,source,power_cap_or_"
    "clock\n";

std::string row(const std::string& test, const std::string& metric, const std::string& reading,
                const std::string& lengths = "2048,256,,8", const std::string& model = "qwen3-8b") {
  return "r,dgx-spark,1,vLLM,m,bf16," + model + ",bf16,,vllm," + test + "," + lengths + "," +
         metric + ",1,u," + reading + ",g,,,,s,\n";
}

Answer ask(const std::string& rows) {
  const Csv csv = Csv::parse(kHeader + rows, "rows.csv");
  const TwinCatalogues catalogues = testing::known().resources();
  Questioner questioner(catalogues);
  return BodyAnswers(catalogues, questioner).answer(csv, 0);
}

TEST(BodyAnswers, EveryReadingOfALoadedBoxIsInOrder) {
  const double smi = ask(row("power", "power_w", "gpu-smi")).value;
  const double peak = ask(row("power", "power_w", "gpu-smi-peak")).value;
  const double rail = ask(row("power", "power_w", "gpu-rail-peak")).value;
  const double wall = ask(row("power", "power_w", "wall")).value;
  EXPECT_GT(smi, 20);
  EXPECT_GE(peak, smi);
  EXPECT_GT(rail, peak);  // nvidia-smi reads low
  EXPECT_GT(wall, smi + 40);
  const double gpu = ask(row("temperature", "temperature_c", "gpu")).value;
  EXPECT_GE(ask(row("temperature", "temperature_c", "gpu-max")).value, gpu);
  EXPECT_GT(ask(row("temperature", "temperature_c", "zone")).value, gpu);
  EXPECT_LT(ask(row("temperature", "temperature_c", "nvme")).value, gpu);
}

TEST(BodyAnswers, EnergyIsPowerOverRate) {
  const Answer energy = ask(row("power", "energy_j_per_tok", ""));
  const double smi = ask(row("power", "power_w", "gpu-smi")).value;
  const Csv csv = Csv::parse(kHeader + row("serve", "tok_per_s", ""), "rows.csv");
  const ValidationReport report = validate(csv, testing::known().resources());
  EXPECT_NEAR(energy.value, smi / report.rows.at(0).predicted.value(), 0.05 * energy.value);
  EXPECT_LT(energy.low, energy.value);
  EXPECT_GT(energy.high, energy.value);
}

TEST(BodyAnswers, IdleNeedsNoLoad) {
  const double wall = ask(row("power", "power_w", "wall-idle", ",,,", "")).value;
  EXPECT_GT(wall, 20);
  EXPECT_LT(wall, 45);
  EXPECT_LT(ask(row("power", "power_w", "gpu-smi-idle", ",,,", "")).value, 12);
}

TEST(BodyAnswers, WhatIsNotStatedIsRefusedInFewTexts) {
  EXPECT_STREQ(ask(row("power", "power_w", "gpu-smi", ",,,", "")).refused, "load not stated");
  EXPECT_STREQ(ask(row("power", "power_w", "gpu-smi", "2048,256,,8", "no-such-model")).refused,
               "load not stated");
  EXPECT_STREQ(ask(row("power", "power_w", "soup")).refused, "reading");
  EXPECT_STREQ(ask(row("power", "power_w", "idle", ",,,", "")).refused, "reading");
  EXPECT_STREQ(ask(row("temperature", "temperature_c", "soup")).refused, "reading");
  EXPECT_STREQ(ask(row("power", "energy_j_per_tok", "", ",,,8")).refused, "missing column");
  EXPECT_STREQ(ask(row("power", "power_w", "gpu-smi-peak", ",,,8")).refused, "missing column");
}

TEST(BodyAnswers, PublishedRowsAreValidated) {
  const Csv csv = Csv::load(std::filesystem::path(TINDERBOX_SOURCE_DIR) /
                            "data/measurements/power-thermal.csv");
  const ValidationReport report =
      validate(csv, testing::known().resources(), {"test", "metric", "reading"});
  for (const ValidationSlice& slice : report.slices) {
    if (slice.key == std::vector<std::string>{"power", "power_w", "gpu-smi"}) {
      EXPECT_LT(slice.score.median_ape, 0.08);
    }
    if (slice.key.at(1) == "energy_j_per_tok") {
      EXPECT_LT(slice.score.median_ape, 0.10);
    }
  }
  EXPECT_GT(report.predicted, 80);
}

}  // namespace
}  // namespace tinderbox
