#include "box/sweep.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

const std::vector<std::string> kKeys = {"model", "rate",  "requests", "slo-ttft",
                                        "seed",  "fault", "fair",     "policy"};

Sweep parsed(std::string_view toml) { return parse_sweep(toml, "s.toml", kKeys); }

std::string message(std::string_view toml) {
  try {
    parsed(toml);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_refused(std::string_view toml, std::vector<std::string> words) {
  const std::string said = message(toml);
  for (const std::string& word : words)
    EXPECT_NE(said.find(word), std::string::npos) << toml << "\nsaid: " << said;
}

std::map<std::string, std::string> at(const Sweep& sweep, std::int64_t point) {
  std::map<std::string, std::string> out;
  for (const SweepSetting& s : settings_of(sweep, point))
    out[s.key] = format("{}", fmt::join(s.value, "+"));
  return out;
}

TEST(Sweep, GridCountsInFileOrderTheLastKeyFastest) {
  const Sweep sweep = parsed(R"(
    [grid]
    rate = [1, 2.5]
    model = ["a", "b", "c"]
    [base]
    requests = 10
    slo_ttft = 0.5
  )");
  ASSERT_EQ(n_points(sweep), 6);
  EXPECT_EQ(varied_keys(sweep), (std::vector<std::string>{"rate", "model"}));
  EXPECT_EQ(all_keys(sweep), (std::vector<std::string>{"requests", "slo-ttft", "rate", "model"}));
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"1", "a"}, {"1", "b"}, {"1", "c"}, {"2.5", "a"}, {"2.5", "b"}, {"2.5", "c"}};
  for (std::int64_t i = 0; i < 6; ++i) {
    const auto point = at(sweep, i);
    EXPECT_EQ(std::pair(point.at("rate"), point.at("model")),
              expected[static_cast<std::size_t>(i)]);
    EXPECT_EQ(point.at("requests"), "10");
    EXPECT_EQ(point.at("slo-ttft"), "0.5");
  }
}

TEST(Sweep, EveryCellMeetsTheSameDrawsAndSeeds) {
  const Sweep sweep = parsed(R"(
    [base]
    seed = 40
    [grid]
    model = ["a", "b"]
    [random]
    points = 50
    seed = 3
    rate = { low = 0.5, high = 8.0, log = true }
    requests = { low = 1, high = 4 }
    policy = ["x", "y"]
    [design]
    seeds = 2
  )");
  ASSERT_EQ(n_points(sweep), 200);
  std::set<std::string> requests, policies;
  int below = 0;
  for (std::int64_t i = 0; i < 100; ++i) {
    auto a = at(sweep, i), b = at(sweep, i + 100);
    EXPECT_EQ(a.at("model"), "a");
    EXPECT_EQ(b.at("model"), "b");
    b["model"] = "a";
    EXPECT_EQ(a, b) << i;
    EXPECT_EQ(a.at("seed"), i % 2 == 0 ? "40" : "41");
    if (i % 2 == 1) {
      EXPECT_EQ(a.at("rate"), at(sweep, i - 1).at("rate"));
    }
    const double rate = parse_double(a.at("rate")).value();
    EXPECT_TRUE(rate >= 0.5 && rate <= 8) << rate;
    below += rate < 2 ? 1 : 0;  // the middle of the logarithm
    requests.insert(a.at("requests"));
    policies.insert(a.at("policy"));
  }
  EXPECT_EQ(requests, (std::set<std::string>{"1", "2", "3", "4"}));
  EXPECT_EQ(policies, (std::set<std::string>{"x", "y"}));
  // 50 draws, each twice: binomial, within four standard deviations.
  EXPECT_NEAR(below / 2, 25, 4 * std::sqrt(50 * 0.25));
}

TEST(Sweep, MoreDrawsKeepTheFirst) {
  const auto text = [](int n) {
    return format(
        "[random]\npoints = {}\nrate = {{ low = 1.0, high = 2.0 }}\nrequests = {{ low = 1, high = "
        "1000000, log = true }}\n",
        n);
  };
  const Sweep few = parsed(text(5)), many = parsed(text(50));
  std::set<std::string> rates;
  for (std::int64_t i = 0; i < 5; ++i) EXPECT_EQ(at(few, i), at(many, i));
  for (std::int64_t i = 0; i < 50; ++i) {
    rates.insert(at(many, i).at("rate"));
    const std::int64_t n = parse_int(at(many, i).at("requests")).value();
    EXPECT_TRUE(n >= 1 && n <= 1'000'000);
  }
  EXPECT_GT(rates.size(), 45u);
}

TEST(Sweep, ValuesMayBeSwitchesAndRepeatedOptions) {
  const Sweep sweep = parsed(R"(
    [grid]
    fair = [true, false]
    fault = [[], "a@1s", ["a@1s", "b@2s"]]
  )");
  ASSERT_EQ(n_points(sweep), 6);
  EXPECT_EQ(at(sweep, 0), (std::map<std::string, std::string>{{"fair", "true"}, {"fault", ""}}));
  EXPECT_EQ(at(sweep, 5),
            (std::map<std::string, std::string>{{"fair", "false"}, {"fault", "a@1s+b@2s"}}));
}

TEST(Sweep, TheDesignIsWhatDecidesThePoints) {
  const std::string one = design_of(parsed("[grid]\nrate = [1, 2]  # per second\n"));
  EXPECT_EQ(one, design_of(parsed("\n\n[grid]\nrate = [\n 1,\n 2\n]\n[design]\nseeds = 1\n")));
  const std::vector<std::string> others = {"[grid]\nrate = [2, 1]",
                                           "[grid]\nrate = [1, 2, 3]",
                                           "[grid]\nrate = [\"1, 2\"]",
                                           "[grid]\nrate = [[1, 2]]",
                                           "[grid]\nrequests = [1, 2]",
                                           "[grid]\nrate = [1, 2]\n[base]\nmodel = \"a\"",
                                           "[grid]\nrate = [1, 2]\n[design]\nseeds = 2"};
  std::set<std::string> designs = {one};
  for (const std::string& other : others) designs.insert(design_of(parsed(other)));
  EXPECT_EQ(designs.size(), others.size() + 1);
}

TEST(Sweep, WhatIsWrongIsSaidWithItsLine) {
  expect_refused("[grid]\n\nratte = [1]", {"s.toml:3", "ratte", "did you mean 'rate'"});
  expect_refused("[base]\nslo_tft = 1", {"s.toml:2", "slo_tft", "slo-ttft"});
  expect_refused("[grids]\nrate = [1]", {"s.toml:1", "grids", "did you mean 'grid'"});
  expect_refused("rate = 1", {"s.toml:1", "section"});
  expect_refused("grid = 1", {"s.toml:1", "[grid]"});
  expect_refused("[grid]\nrate = []", {"s.toml:2", "at least one value"});
  expect_refused("[grid]\nrate = 1", {"s.toml:2", "list"});
  expect_refused("[grid]\nrate = [1979-05-27]", {"s.toml:2", "number"});
  expect_refused("[grid]\nrate = [{a = 1}]", {"s.toml:2", "number"});
  expect_refused("[grid]\nmodel = [\"\"]", {"s.toml:2", "not empty"});
  expect_refused("[grid]\nmodel = [\"a\\u0000b\"]", {"s.toml:2", "zero byte"});
  expect_refused("[base]\nrate = 1\n[grid]\nrate = [1, 2]", {"s.toml:4", "line 2 already"});
  expect_refused("[base]\nslo_ttft = 1\nslo-ttft = 2\n[grid]\nrate = [1]",
                 {"s.toml:3", "line 2 already"});
  expect_refused("[base]\nrate = 1", {"nothing varies"});
  expect_refused("", {"nothing varies"});
  expect_refused("[grid]\nrate = [1", {"s.toml:", "not valid TOML"});
  expect_refused("[design]\nseed = 3", {"s.toml:2", "'seed'", "did you mean 'seeds'"});
}

TEST(Sweep, AbsurdDesignsAreRefused) {
  expect_refused("[design]\nseeds = 0", {"s.toml:2", "from 1"});
  expect_refused("[design]\nseeds = 2.5", {"s.toml:2", "whole number"});
  expect_refused("[design]\nseeds = 99999999999", {"s.toml:2"});
  expect_refused("[grid]\nrate = [1, 2]\nseed = [1, 2]\n[design]\nseeds = 3",
                 {"s.toml:3", "leave one out"});
  expect_refused("[base]\nseed = -1\n[design]\nseeds = 3", {"s.toml:2", "seed"});
  expect_refused("[random]\npoints = 5", {"s.toml:1", "what is drawn"});
  expect_refused("[random]\nrate = { low = 1, high = 2 }", {"s.toml:1", "points"});
  expect_refused("[random]\npoints = 2\nrate = { low = 2, high = 1 }",
                 {"s.toml:3", "low at most high"});
  expect_refused("[random]\npoints = 2\nrate = { low = 1, hihg = 1 }", {"s.toml:3", "hihg"});
  expect_refused("[random]\npoints = 2\nrate = { low = \"1\", high = 1 }",
                 {"s.toml:3", "two numbers"});
  expect_refused("[random]\npoints = 2\nrate = { low = nan, high = 1.0 }",
                 {"s.toml:3", "two numbers"});
  expect_refused("[random]\npoints = 2\nrate = { low = 0, high = 1, log = true }",
                 {"s.toml:3", "above 0"});
  expect_refused("[random]\npoints = 2\nrate = { low = 1, high = 2, log = 1 }",
                 {"s.toml:3", "true or false"});
  expect_refused("[random]\npoints = 2\nrequests = { low = 1, high = 9000000000000000 }",
                 {"s.toml:3", "1e15"});
  expect_refused("[random]\npoints = 2\nrate = 3", {"s.toml:3", "low"});
  std::string values = "1";
  for (int i = 0; i < 1000; ++i) values += ",1";
  const std::string grid = format("[grid]\nrate = [{0}]\nrequests = [{0}]\n", values);
  expect_refused(grid, {"more than 1000000 points"});
  expect_refused(grid + "[random]\npoints = 1000000\nslo_ttft = { low = 1, high = 2 }",
                 {"more than 1000000 points"});
  expect_refused(std::string(600 * 1024, '#'), {"bytes"});
  expect_refused("[grid]\nrate = " + std::string(1000, '['), {"s.toml:2"});
}

TEST(Sweep, ShardsPartTheReachOfPoints) {
  std::vector<int> taken(101);
  for (int i = 1; i <= 7; ++i) {
    const Shard shard = parse_shard(format("{}/7", i), "--shard");
    for (std::int64_t p = 0; p < 101; ++p)
      taken[static_cast<std::size_t>(p)] += shard.has(p) ? 1 : 0;
  }
  EXPECT_TRUE(std::ranges::all_of(taken, [](int n) { return n == 1; }));
  for (const char* bad : {"", "1", "0/7", "8/7", "1/0", "a/7", "1/7/2", "-1/7", "1/99999999"}) {
    EXPECT_THROW(parse_shard(bad, "--shard"), Error) << bad;
  }
}

}  // namespace
}  // namespace tinderbox
