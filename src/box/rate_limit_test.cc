#include "box/rate_limit.h"

#include <rapidcheck.h>

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

TimePoint at(double seconds) { return TimePoint(to_duration(Seconds(seconds))); }

TEST(RateLimit, LetsAMinutesWorthInAndThenAtItsRate) {
  RateLimit limit(60);
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(limit.wait(1, at(0)), Duration{});
    EXPECT_EQ(limit.remaining(at(0)), 60 - i);
    limit.take(1, at(0));
  }
  EXPECT_EQ(limit.remaining(at(0)), 0);
  EXPECT_NEAR(to_seconds(limit.wait(1, at(0))).value(), 1, 1e-6);
  EXPECT_NEAR(to_seconds(limit.until_full(at(0))).value(), 60, 1e-6);
  EXPECT_EQ(limit.wait(1, at(1)), Duration{});
  EXPECT_EQ(limit.remaining(at(30)), 30);
  EXPECT_EQ(limit.remaining(at(1000)), 60);
}

TEST(RateLimit, WhatIsTakenAfterwardsIsOwed) {
  RateLimit limit(600);
  limit.take(1200, at(0));
  EXPECT_EQ(limit.remaining(at(0)), 0);
  EXPECT_NEAR(to_seconds(limit.wait(1, at(0))).value(), 60.1, 1e-6);
  EXPECT_EQ(limit.wait(1, at(60.2)), Duration{});
}

TEST(RateLimit, WithoutOneNobodyWaits) {
  RateLimit limit;
  limit.take(1'000'000'000, at(0));
  EXPECT_EQ(limit.wait(1, at(0)), Duration{});
  EXPECT_EQ(limit.per_min(), std::nullopt);
}

TEST(RateLimit, AChangedLimitForgivesNothing) {
  RateLimit limit(60);
  limit.take(60, at(0));
  limit.set(120);
  EXPECT_EQ(limit.remaining(at(0)), 60);
}

// Over any time, no more come in than a minute's worth and what the rate gives.
TEST(RateLimit, HoldsOverAnyTime) {
  rc::check([] {
    const std::int64_t per_min = *rc::gen::inRange(1, 1000);
    RateLimit limit(per_min);
    double now = 0;
    int n = 0;
    for (const int gap : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 2000))) {
      now += gap / 1000.0;
      if (limit.wait(1, at(now)) != Duration{}) continue;
      limit.take(1, at(now));
      ++n;
    }
    RC_ASSERT(n <= static_cast<double>(per_min) * (1 + now / 60) + 1e-3);
  });
}

}  // namespace
}  // namespace tinderbox
