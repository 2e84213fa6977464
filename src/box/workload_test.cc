#include "box/workload.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace tinderbox {
namespace {

std::vector<Request> all(const WorkloadOptions& options) {
  RequestGenerator generator(options);
  std::vector<Request> requests;
  while (auto request = generator.next()) requests.push_back(*request);
  return requests;
}

// Mean and squared coefficient of variation of the gaps.
std::pair<double, double> gaps(const std::vector<Request>& requests) {
  double sum = 0, squares = 0;
  TimePoint last{};
  for (const Request& r : requests) {
    const double gap = to_seconds(r.arrival - last).value();
    sum += gap;
    squares += gap * gap;
    last = r.arrival;
  }
  const double n = static_cast<double>(requests.size()), mean = sum / n;
  return {mean, (squares / n - mean * mean) / (mean * mean)};
}

TEST(Workload, GapsHaveTheMeanAndTheSpreadAskedFor) {
  constexpr std::int64_t n = 20'000;
  // The mean of n gaps is off by more than five standard errors once in two million seeds; this
  // seed is fixed.
  for (const double burstiness : {1.0, 0.5, 4.0}) {
    const auto [mean, spread] =
        gaps(all({.requests = n, .rate = 4, .burstiness = burstiness, .seed = 3}));
    EXPECT_NEAR(mean, 0.25, 5 * 0.25 / std::sqrt(burstiness * n)) << burstiness;
    EXPECT_NEAR(spread, 1 / burstiness, 0.15 / burstiness) << burstiness;
  }
  const auto [mean, spread] =
      gaps(all({.requests = n, .rate = 4, .burstiness = std::numeric_limits<double>::infinity()}));
  EXPECT_NEAR(mean, 0.25, 1e-9);
  EXPECT_NEAR(spread, 0, 1e-9);
}

TEST(Workload, LengthsStayInTheirRangeAndReachItsEnds) {
  std::int32_t low = 1 << 30, high = 0;
  for (const Request& r : all({.requests = 5000, .prompt = 20, .gen = 8, .range_ratio = 0.5})) {
    low = std::min(low, r.n_prompt);
    high = std::max(high, r.n_prompt);
    EXPECT_GE(r.n_gen_max, 4);
    EXPECT_LE(r.n_gen_max, 12);
  }
  EXPECT_EQ(low, 10);
  EXPECT_EQ(high, 30);
  EXPECT_EQ(length_range(1, 1).low, 1);
}

TEST(Workload, DependsOnTheSeedAndNothingElse) {
  const auto arrivals = [](std::uint64_t seed, double range_ratio) {
    std::vector<TimePoint> times;
    for (const Request& r : all({.requests = 50, .range_ratio = range_ratio, .seed = seed}))
      times.push_back(r.arrival);
    return times;
  };
  EXPECT_EQ(arrivals(1, 0), arrivals(1, 0));
  EXPECT_NE(arrivals(1, 0), arrivals(2, 0));
  EXPECT_EQ(arrivals(1, 0), arrivals(1, 0.5)) << "drawing lengths must not shift arrivals";
}

TEST(Workload, RefusesWhatIsOutOfRangeAndNamesIt) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](const WorkloadOptions& options) -> std::string {
    try {
      verify(options);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message({.requests = 0}).find("requests"), std::string::npos);
  EXPECT_NE(message({.requests = kRequestsMax + 1}).find("requests"), std::string::npos);
  EXPECT_NE(message({.rate = 0}).find("rate"), std::string::npos);
  EXPECT_NE(message({.rate = nan}).find("rate"), std::string::npos);
  EXPECT_NE(message({.burstiness = -1}).find("burstiness"), std::string::npos);
  EXPECT_NE(message({.prompt = 0}).find("prompt"), std::string::npos);
  EXPECT_NE(message({.gen = std::int64_t{1} << 40}).find("gen"), std::string::npos);
  EXPECT_NE(message({.range_ratio = 1.5}).find("range ratio"), std::string::npos);
}

// A day's rate swings by its share, and brings as many requests as a steady one.
TEST(Workload, TheRateOfADaySwingsAndKeepsItsMean) {
  const std::vector<Request> requests =
      all({.requests = 50'000, .rate = 50, .seed = 5, .diurnal = 0.8, .day = 100});
  std::array<int, 10> n{};  // by tenth of a day
  for (const Request& r : requests) {
    const double day = since_start(r.arrival).value() / 100;
    ++n[static_cast<std::size_t>((day - std::floor(day)) * 10)];
  }
  EXPECT_NEAR(since_start(requests.back().arrival).value(), 1000, 5 * std::sqrt(50'000) / 50);
  const auto expected = [](double tenth) {  // of ten days, by the integral of the rate
    const double from = tenth / 10, to = from + 0.1, turn = 2 * std::numbers::pi;
    return 50'000 * (0.1 - 0.8 * (std::sin(turn * to) - std::sin(turn * from)) / turn);
  };
  for (std::size_t i = 0; i < n.size(); ++i) {
    EXPECT_NEAR(n[i], expected(static_cast<double>(i)), 5 * std::sqrt(expected(static_cast<double>(i)))) << i;
  }
}

TEST(Workload, SendsATraceAsItStands) {
  Trace trace;
  trace.requests.resize(3);
  for (int i = 0; i < 3; ++i) {
    Request& r = trace.requests[static_cast<std::size_t>(i)];
    r.n_prompt = 10 + i;
    r.n_gen_max = 2;
    r.arrival = TimePoint(Duration(100 * i));
  }
  WorkloadOptions options{.rate = 1, .trace = std::make_shared<Trace>(trace)};
  EXPECT_EQ(n_requests(options), 3);
  EXPECT_EQ(longest_request(options), 14);
  EXPECT_EQ(all(options)[2].arrival, TimePoint(Duration(200)));
  EXPECT_EQ(all(options)[2].n_prompt, 12);
  trace.timed = false;
  options.trace = std::make_shared<Trace>(trace);
  EXPECT_GT(all(options)[0].arrival, TimePoint(Duration(1000)));  // spaced out by the rate
  options.turns = 2;
  EXPECT_THROW(verify(options), Error);
}

TEST(TraceArrivals, ServesInOrderOfArrival) {
  Request late, early;
  late.id = 1;
  late.arrival = TimePoint(Duration(50));
  early.id = 2;
  early.arrival = TimePoint(Duration(20));
  TraceArrivals trace({late, early});
  VirtualClock clock;
  EXPECT_TRUE(trace.take(clock.now()).empty());
  ASSERT_TRUE(trace.wait(clock));
  EXPECT_EQ(clock.now(), early.arrival);
  ASSERT_EQ(trace.take(clock.now()).size(), 1u);
  ASSERT_TRUE(trace.wait(clock));
  const auto commands = trace.take(clock.now());
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(std::get<Request>(commands[0]).id, 1);
  EXPECT_FALSE(trace.wait(clock));
}

}  // namespace
}  // namespace tinderbox
