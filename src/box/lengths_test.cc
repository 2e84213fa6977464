#include "box/lengths.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "base/error.h"

namespace tinderbox {
namespace {

std::string problem(std::string_view text) {
  try {
    parse_lengths(text, "--prompt");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Lengths, AreWhatTheyAreCalled) {
  Random random(1, Stream::Test);
  EXPECT_EQ(parse_lengths("512", "x").draw(random), 512);
  const Lengths uniform = parse_lengths("uniform:3-5", "x");
  std::map<std::int32_t, int> seen;
  for (int i = 0; i < 3000; ++i) ++seen[uniform.draw(random)];
  EXPECT_EQ(seen.size(), 3u);
  for (const auto& [n, times] : seen) EXPECT_NEAR(times, 1000, 150) << n;
}

// Mean and deviation asked for, before the highest cuts them: five standard errors.
TEST(Lengths, LogNormalHasItsMeanAndSpread) {
  Random random(2, Stream::Test);
  const Lengths lengths = parse_lengths("lognormal:1000,0.8,100000", "x");
  constexpr int n = 40'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = lengths.draw(random);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / n, deviation = std::sqrt(squares / n - mean * mean);
  EXPECT_NEAR(mean, 1000, 5 * 800 / std::sqrt(n));
  EXPECT_NEAR(deviation / mean, 0.8, 0.05);
  const Lengths cut = parse_lengths("lognormal:1000,2", "x");
  std::int32_t highest = 0;
  for (int i = 0; i < n; ++i) highest = std::max(highest, cut.draw(random));
  EXPECT_EQ(highest, 16'000);
}

TEST(Lengths, ComeFromAFile) {
  const std::string path = testing::TempDir() + "lengths.txt";
  std::ofstream(path) << "7\n\n9\r\n9\n";
  const Lengths lengths = parse_lengths("file:" + path, "x");
  EXPECT_EQ(lengths.low, 7);
  EXPECT_EQ(lengths.high, 9);
  EXPECT_EQ(lengths.values.size(), 3u);
  std::ofstream(path) << "7\nseven\n";
  EXPECT_NE(problem("file:" + path).find("lengths.txt:2"), std::string::npos);
  std::ofstream(path) << "\n";
  EXPECT_NE(problem("file:" + path).find("no lengths"), std::string::npos);
  EXPECT_NE(problem("file:/nowhere"), "");
}

TEST(Lengths, RefuseWhatIsNoLength) {
  EXPECT_EQ(problem("lognormal:512,1"), "");
  for (const char* text : {"", "0", "-5", "nan", "1e99", "uniform:5", "uniform:9-3", "uniform:a-b", "lognormal:5",
                           "lognormal:0,1", "lognormal:5,-1", "lognormal:5,1,2,3", "lognormal:5,inf", "normal:5,1"}) {
    EXPECT_EQ(problem(text).find("--prompt"), 0u) << text;
  }
  EXPECT_NE(problem("log-normal:5,1").find("lognormal"), std::string::npos);
}

// The mean of many draws, where none is cut off.
TEST(Lengths, MeanIsThatOfDraws) {
  const Lengths kinds[] = {{.low = 100, .high = 300},
                           {.kind = Lengths::Kind::LogNormal, .low = 1, .high = kLengthMax, .mean = 400, .spread = 0.4},
                           {.kind = Lengths::Kind::Empirical, .low = 1, .high = 9, .values = {1, 3, 9}}};
  Random random(5, Stream::Test);
  for (const Lengths& lengths : kinds) {
    double sum = 0;
    for (int i = 0; i < 20'000; ++i) sum += lengths.draw(random);
    EXPECT_NEAR(sum / 20'000, mean_length(lengths), 0.02 * mean_length(lengths));
  }
}

}  // namespace
}  // namespace tinderbox
