#include "box/sweep_run.h"

#include <atomic>
#include <numeric>
#include <set>
#include <stdexcept>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

std::vector<std::int64_t> first(std::int64_t n) {
  std::vector<std::int64_t> points(static_cast<std::size_t>(n));
  std::iota(points.begin(), points.end(), 100);
  return points;
}

RunPoint squares() {
  return [](std::int64_t point) {
    return SweepRow{.point = point, .report = format("{}", point * point)};
  };
}

TEST(SweepRun, EveryPointIsKeptOnceWhateverTheThreads) {
  for (const int n_threads : {1, 2, 7}) {
    std::atomic<int> n_runners{0};
    std::set<std::int64_t> seen;
    run_points(
        first(5000), n_threads,
        [&] {
          ++n_runners;
          return squares();
        },
        [&](std::span<const SweepRow> rows) {
          EXPECT_FALSE(rows.empty());
          for (const SweepRow& row : rows) {
            EXPECT_TRUE(seen.insert(row.point).second);
            EXPECT_EQ(row.report, format("{}", row.point * row.point));
          }
        });
    EXPECT_EQ(seen.size(), 5000u);
    EXPECT_EQ(n_runners, n_threads);
  }
}

TEST(SweepRun, NoPointsNoThreads) {
  run_points(
      {}, 4, []() -> RunPoint { throw std::logic_error("made"); },
      [](std::span<const SweepRow>) { FAIL(); });
}

TEST(SweepRun, AKeeperThatFailsEndsItAndHearsNoMore) {
  int n_calls = 0;
  std::atomic<int> n_run{0};
  const auto make = [&]() -> RunPoint {
    return [&](std::int64_t point) {
      ++n_run;
      return SweepRow{.point = point, .error = "none"};
    };
  };
  const auto keep = [&](std::span<const SweepRow>) {
    ++n_calls;
    throw_invalid("the disk is full");
  };
  EXPECT_THROW(run_points(first(1'000'000), 3, make, keep), Error);
  EXPECT_EQ(n_calls, 1);
  EXPECT_LT(n_run, 1'000'000);
}

TEST(SweepRun, APointThatFailsEndsItAndWhatWasFinishedIsKept) {
  std::atomic<std::int64_t> n_run{0};
  std::int64_t n_kept = 0;
  const auto make = [&]() -> RunPoint {
    return [&](std::int64_t point) {
      if (point == 500) throw std::runtime_error("bad luck");
      ++n_run;
      return SweepRow{.point = point, .report = "{}"};
    };
  };
  const auto keep = [&](std::span<const SweepRow> rows) {
    n_kept += static_cast<std::int64_t>(rows.size());
  };
  EXPECT_THROW(run_points(first(1'000'000), 2, make, keep), std::runtime_error);
  EXPECT_EQ(n_kept, n_run);
  EXPECT_GE(n_kept, 399);
  EXPECT_LT(n_kept, 999'999);
  EXPECT_THROW(run_points(
                   first(5), 2, []() -> RunPoint { throw std::runtime_error("made"); }, keep),
               std::runtime_error);
}

}  // namespace
}  // namespace tinderbox
