#include "box/history.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <rapidcheck.h>

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

constexpr std::int64_t kT0 = 1'700'000'040;  // a multiple of 60

std::vector<std::pair<std::string_view, double>> watts(double w) { return {{"wall_w", w}}; }

TEST(History, GivesBackWhatWasAppendedSecondBySecond) {
  History history;
  for (int i = 0; i < 10; ++i) history.append(kT0 + i + 0.3, watts(i));
  const HistoryColumns columns = history.query(kT0 + 9.9, 5);
  ASSERT_EQ(columns.names, (std::vector<std::string>{"wall_w"}));
  EXPECT_EQ(columns.at_unix, (std::vector<std::int64_t>{kT0 + 5, kT0 + 6, kT0 + 7, kT0 + 8, kT0 + 9}));
  EXPECT_EQ(columns.values[0], (std::vector<double>{5, 6, 7, 8, 9}));
}

TEST(History, SeriesMayComeLateAndValuesMayBeUnknown) {
  History history;
  history.append(kT0, std::vector<std::pair<std::string_view, double>>{{"a", 1.0}});
  history.append(kT0 + 1, std::vector<std::pair<std::string_view, double>>{{"b", 2.0}, {"a", std::nan("")}});
  const HistoryColumns columns = history.query(kT0 + 1, 60);
  ASSERT_EQ(columns.names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(columns.values[0][0], 1);
  EXPECT_TRUE(std::isnan(columns.values[0][1]));
  EXPECT_TRUE(std::isnan(columns.values[1][0]));
  EXPECT_EQ(columns.values[1][1], 2);
}

TEST(History, ADayFitsInBoundedSpaceAndPoints) {
  History history;
  constexpr int kDay = 86'400;
  for (int i = 0; i < kDay + 7200; ++i) history.append(kT0 + i, watts(i));
  const double now = kT0 + kDay + 7199;
  for (const std::int64_t seconds : {60, 2000, 3600, 7200, 21'600, 86'400, 1'000'000}) {
    const HistoryColumns columns = history.query(now, seconds);
    ASSERT_FALSE(columns.at_unix.empty());
    EXPECT_LE(std::ssize(columns.at_unix), kHistoryPointsMax + 2) << seconds;
    EXPECT_GE(std::ssize(columns.at_unix), std::min<std::int64_t>(seconds, 700) - 2) << seconds;
    // A mean of what rises by one a second lies in the middle of its span.
    const std::int64_t step = columns.at_unix[2] - columns.at_unix[1];
    for (std::size_t i = 1; i + 1 < columns.at_unix.size(); ++i) {
      EXPECT_NEAR(columns.values[0][i],
                  static_cast<double>(columns.at_unix[i] - kT0) + 0.5 * static_cast<double>(step - 1), 1e-6);
    }
    EXPECT_GE(columns.at_unix.front(), static_cast<std::int64_t>(now) - std::min<std::int64_t>(seconds, kDay) - step);
  }
}

TEST(History, ATimeWithoutSamplesShowsAsOneRowOfNothing) {
  History history;
  history.append(kT0, watts(1));
  history.append(kT0 + 2, watts(1));  // late by a second: no gap
  history.append(kT0 + 100, watts(2));
  const HistoryColumns columns = history.query(kT0 + 100, 600);
  EXPECT_EQ(columns.at_unix, (std::vector<std::int64_t>{kT0, kT0 + 2, kT0 + 3, kT0 + 100}));
  EXPECT_TRUE(std::isnan(columns.values[0][2]));
}

TEST(History, AClockThatIsSetBackDropsWhatWouldComeAfterIt) {
  History history;
  for (int i = 0; i < 300; ++i) history.append(kT0 + i, watts(1));
  history.append(kT0 + 290, watts(1));  // a little: counted to the last second
  EXPECT_EQ(history.query(kT0 + 299, 300).at_unix.back(), kT0 + 299);
  history.append(kT0 + 100, watts(5));
  const HistoryColumns columns = history.query(kT0 + 100, 600);
  EXPECT_EQ(columns.at_unix.back(), kT0 + 100);
  EXPECT_EQ(columns.values[0].back(), 5);
  EXPECT_TRUE(std::ranges::is_sorted(columns.at_unix));
}

TEST(History, ManySeriesAndTimesThatAreNoneAreIgnored) {
  History history;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "s" + std::to_string(i);
    history.append(kT0, std::vector<std::pair<std::string_view, double>>{{name, 1.0}});
  }
  history.append(std::nan(""), watts(1));
  history.append(1e300, watts(1));
  const HistoryColumns columns = history.query(kT0, 10);
  EXPECT_EQ(columns.names.size(), kHistorySeriesMax);
  EXPECT_EQ(columns.at_unix.size(), 1u);
}

// What keep is told is what there is: a history restored from it, wherever the process ended, tells the same.
TEST(History, RestoresToTheSameFromWhatWasKept) {
  rc::check([] {
    std::map<std::pair<int, std::int64_t>, HistoryRow> kept;
    History history([&](HistoryRow row) { kept[{row.span_s, row.at_unix}] = std::move(row); });
    double at = kT0;
    const int n = *rc::gen::inRange(1, 5000);
    const int pause = *rc::gen::inRange(1, 400);
    for (int i = 0; i < n; ++i) {
      at += i % 997 == 996 ? pause : 1;
      history.append(at, std::vector<std::pair<std::string_view, double>>{{"a", i % 13}, {"b", i}});
    }
    std::vector<HistoryRow> rows;
    for (auto& [key, row] : kept) rows.push_back(row);
    History again;
    again.restore(std::move(rows));
    for (const std::int64_t seconds : {100, 3600, 20'000, 80'000}) {
      const HistoryColumns x = history.query(at, seconds), y = again.query(at, seconds);
      RC_ASSERT(x.at_unix == y.at_unix);
      RC_ASSERT(x.names == y.names);
      for (std::size_t s = 0; s < x.names.size(); ++s) {
        for (std::size_t i = 0; i < x.at_unix.size(); ++i) {
          const double a = x.values[s][i], b = y.values[s][i];
          RC_ASSERT((std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(a)));
        }
      }
    }
  });
}

}  // namespace
}  // namespace tinderbox
