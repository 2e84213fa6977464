// The intervals that calibration leaves, against misses that are known.
#include <algorithm>
#include <cmath>
#include <regex>

#include <gtest/gtest.h>

#include "base/random.h"
#include "box/calibrate.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

using namespace testing;

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

}  // namespace
}  // namespace tinderbox
