#include <atomic>
#include <cmath>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "base/catalogue.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/quantile.h"
#include "base/random.h"
#include "base/siphash.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "base/units.h"

namespace tinderbox {
namespace {

TEST(Units, DimensionsMultiplyAndCancel) {
  const Seconds t = Bytes(546e9) / BytesPerSecond(273e9);
  EXPECT_DOUBLE_EQ(t.value(), 2.0);
  const Joules e = Watts(140) * Seconds(10);
  EXPECT_DOUBLE_EQ(e.value(), 1400.0);
  const double ratio = Bytes(1) / Bytes(4);
  EXPECT_DOUBLE_EQ(ratio, 0.25);
  EXPECT_DOUBLE_EQ((Celsius(30) - Celsius(25)).value(), 5.0);
  EXPECT_DOUBLE_EQ((Celsius(25) + Kelvins(5)).degrees(), 30.0);
}

TEST(Clock, DurationRoundsUpAndSaturates) {
  EXPECT_EQ(to_duration(Seconds(1e-9)).count(), 1);
  EXPECT_EQ(to_duration(Seconds(1.2e-9)).count(), 2);
  EXPECT_GT(to_duration(Seconds(1e300)).count(), 0);
  EXPECT_GT(to_duration(Seconds(std::nan(""))).count(), 0);
}

TEST(Clock, VirtualTimeNeverGoesBack) {
  VirtualClock clock;
  clock.wait_until(TimePoint(Duration(50)));
  clock.wait_until(TimePoint(Duration(20)));
  EXPECT_EQ(clock.now().time_since_epoch().count(), 50);
}

TEST(Clock, WallWaitsAtLeastAsLongAsAsked) {
  WallClock clock;
  const TimePoint goal = clock.now() + std::chrono::microseconds(300);
  clock.wait_until(goal);
  EXPECT_GE(clock.now(), goal);
}

TEST(Clock, LeapingTimeIsThereAtOnce) {
  LeapingClock clock;
  const TimePoint far = clock.now() + std::chrono::hours(24 * 365);
  clock.wait_until(far);
  const TimePoint there = clock.now();
  EXPECT_GE(there, far);
  EXPECT_LT(there - far, std::chrono::hours(1)) << "it leaps no further, and goes on by itself";
  clock.wait_until(TimePoint{});
  EXPECT_GE(clock.now(), there);
}

// Hyndman and Fan's type 7, as NumPy's default: linear between order statistics.
TEST(Quantile, KnownSamples) {
  EXPECT_DOUBLE_EQ(quantile({7}, 0), 7);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.5), 7);
  EXPECT_DOUBLE_EQ(quantile({7}, 1), 7);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(quantile({10, 20, 30, 40, 50}, 0.9), 46);
  EXPECT_DOUBLE_EQ(quantile({5, 5, 5}, 0.3), 5);
}

TEST(Quantile, IsMonotoneWithinTheSampleAndSymmetric) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    Random random(3, Stream::Test, seed);
    std::vector<double> sample(static_cast<std::size_t>(random.range(1, 20))), negated;
    for (double& x : sample) x = random.normal();
    for (const double x : sample) negated.push_back(-x);
    double before = *std::min_element(sample.begin(), sample.end());
    EXPECT_EQ(quantile(sample, 0), before);
    for (int i = 0; i <= 20; ++i) {
      const double share = i / 20.0, q = quantile(sample, share);
      EXPECT_GE(q, before);
      EXPECT_NEAR(q, -quantile(negated, 1 - share), 1e-12);
      before = q;
    }
    EXPECT_EQ(before, *std::max_element(sample.begin(), sample.end()));
  }
}

TEST(QuantileDeathTest, NothingHasNoQuantile) {
  EXPECT_DEATH(quantile({}, 0.5), "values");
  EXPECT_DEATH(quantile({1}, 1.01), "share");
}

// Known-answer vector of Philox4x32-10 from the Random123 distribution: all-zero counter and key.
TEST(Random, PhiloxKnownAnswer) {
  const auto out = philox(0, static_cast<Stream>(0), 0, 0);
  EXPECT_EQ(out[0], 0x6627e8d5u);
  EXPECT_EQ(out[1], 0xe169c58du);
  EXPECT_EQ(out[2], 0xbc57ac4cu);
  EXPECT_EQ(out[3], 0x9b00dbd8u);
}

TEST(Random, StreamsAreIndependentAndReplay) {
  Random a(7, Stream::Arrivals), b(7, Stream::Arrivals), c(7, Stream::GenLength), d(8, Stream::Arrivals);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t x = a.bits();
    EXPECT_EQ(x, b.bits());
    seen.insert(x);
    seen.insert(c.bits());
    seen.insert(d.bits());
  }
  EXPECT_EQ(seen.size(), 300u);
}

TEST(Random, MomentsOfDistributions) {
  Random r(1, Stream::Test);
  const int n = 200000;
  double u = 0, e = 0, g = 0, g2 = 0, z = 0, z2 = 0;
  for (int i = 0; i < n; ++i) {
    u += r.uniform();
    e += r.exponential(3.0);
    const double x = r.gamma(0.5, 2.0);
    g += x;
    g2 += x * x;
    const double y = r.normal();
    z += y;
    z2 += y * y;
  }
  // Five standard errors of each mean.
  EXPECT_NEAR(u / n, 0.5, 5 * 0.289 / std::sqrt(n));
  EXPECT_NEAR(e / n, 3.0, 5 * 3.0 / std::sqrt(n));
  EXPECT_NEAR(g / n, 1.0, 5 * 1.414 / std::sqrt(n));
  EXPECT_NEAR(g2 / n - (g / n) * (g / n), 2.0, 0.15);
  EXPECT_NEAR(z / n, 0.0, 5 / std::sqrt(n));
  EXPECT_NEAR(z2 / n, 1.0, 5 * 1.414 / std::sqrt(n));
}

TEST(Random, RangeCoversBothEnds) {
  Random r(3, Stream::Test);
  std::set<std::int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(r.range(-1, 2));
  EXPECT_EQ(seen, (std::set<std::int64_t>{-1, 0, 1, 2}));
}

TEST(Text, QuantitiesNeedTheirUnit) {
  EXPECT_DOUBLE_EQ(parse_bytes_per_second("273 GB/s", "x").value(), 273e9);
  EXPECT_DOUBLE_EQ(parse_bytes_per_second("200 Gb/s", "x").value(), 25e9);
  EXPECT_DOUBLE_EQ(parse_bytes("4GiB", "x").value(), 4 * kGiB);
  EXPECT_DOUBLE_EQ(parse_celsius("25 °C", "x").degrees(), 25);
  try {
    parse_bytes_per_second("273", "spark.toml:7: memory.bandwidth");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("spark.toml:7: memory.bandwidth"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("unit is missing"), std::string::npos);
  }
  EXPECT_THROW(parse_bytes("3 parsec", "x"), Error);
  EXPECT_THROW(parse_seconds("nan s", "x"), Error);
}

TEST(Text, HumanForms) {
  EXPECT_EQ(human(Bytes(59.6e9)), "59.6 GB");
  EXPECT_EQ(human(Seconds(0.00121)), "1.21 ms");
  EXPECT_EQ(human(Seconds(90)), "90.0 s");
  EXPECT_EQ(human_number(1234.56), "1235");
  EXPECT_EQ(human_number(0), "0");
}

TEST(Text, TableAligns) {
  Table t({"model", "tok/s"});
  t.add({"a", "1.5"});
  t.add({"long-name", "100.25"});
  EXPECT_EQ(t.str(), "model       tok/s\na             1.5\nlong-name  100.25\n");
}

TEST(Text, SuggestsNearNames) {
  const std::vector<std::string> known = {"llama-3.1-8b", "qwen3-8b", "gpt-oss-120b"};
  EXPECT_EQ(did_you_mean("lama-3.1-8b", known), " (did you mean 'llama-3.1-8b'?)");
  EXPECT_EQ(did_you_mean("zzzzzz", known), "");
}

TEST(Text, Utf8PrefixHoldsBackOnlyOpenSequences) {
  const std::string euro = "\xE2\x82\xAC";
  EXPECT_EQ(complete_utf8_prefix("ab" + euro), 5u);
  EXPECT_EQ(complete_utf8_prefix("ab" + euro.substr(0, 2)), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab" + euro.substr(0, 1)), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab\xFF"), 3u);  // never becomes valid: do not wait for it
  EXPECT_EQ(to_valid_utf8("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80").find('\xA0'), std::string::npos);  // surrogate
  EXPECT_EQ(to_valid_utf8(euro), euro);
}

// Law: cutting well-formed text anywhere and holding back the open tail never changes the text.
TEST(Text, Utf8PrefixLaw) {
  const std::string text = "aé€😀\xE2\x82\xACz";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string_view head = std::string_view(text).substr(0, cut);
    const std::size_t safe = complete_utf8_prefix(head);
    EXPECT_EQ(to_valid_utf8(head.substr(0, safe)), head.substr(0, safe)) << cut;
    EXPECT_LT(cut - safe, 4u);
  }
}

TEST(Csv, AppendsFilesOfTheSameColumns) {
  Csv csv = Csv::parse("a,b\n1,2\n", "t.csv");
  csv.append(Csv::parse("a,b\n3,4\n5,6\n", "u.csv"));
  ASSERT_EQ(csv.size(), 3U);
  EXPECT_EQ(csv.at(2, "b"), "6");
  EXPECT_THROW(csv.append(Csv::parse("a,c\n", "v.csv")), Error);
}

TEST(Csv, QuotesAndErrors) {
  const Csv csv = Csv::parse("a,b\n1,\"x, \"\"y\"\"\nz\"\r\n2,\n", "t.csv");
  ASSERT_EQ(csv.size(), 2u);
  EXPECT_EQ(csv.at(0, "b"), "x, \"y\"\nz");
  EXPECT_EQ(csv.at(1, "b"), "");
  EXPECT_THROW(static_cast<void>(csv.at(0, "c")), Error);
  EXPECT_THROW(Csv::parse("a,b\n1\n", "t.csv"), Error);
  EXPECT_THROW(Csv::parse("a\n\"1\n", "t.csv"), Error);
  EXPECT_EQ(Csv::parse("h\n" + csv_field("x, \"y\"\nz") + "\n", "t").at(0, "h"), "x, \"y\"\nz");
}

TEST(Csv, AppendsFilesOfOneKind) {
  Csv csv = Csv::parse("a,b\n1,2\n", "t.csv");
  csv.append(Csv::parse("a,b\n3,4\n5,6\n", "u.csv"));
  ASSERT_EQ(csv.size(), 3u);
  EXPECT_EQ(csv.at(2, "b"), "6");
  EXPECT_THROW(csv.append(Csv::parse("b,a\n3,4\n", "v.csv")), Error);
}

TEST(ThreadPool, EveryIndexOnceForAnyThreadCount) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (const std::size_t n : {0u, 1u, 2u, 7u, 64u, 1000u}) {
      std::vector<std::atomic<int>> hits(n);
      pool.parallel_for(n, 3, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) hits[i].fetch_add(1);
      });
      for (const auto& h : hits) ASSERT_EQ(h.load(), 1);
    }
  }
}

TEST(ThreadPool, ManyShortRegions) {
  ThreadPool pool(2);
  std::vector<int> data(16, 0);
  for (int round = 0; round < 20000; ++round) {
    pool.parallel_for(data.size(), 1, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) ++data[i];
    });
  }
  EXPECT_EQ(std::accumulate(data.begin(), data.end(), 0), 16 * 20000);
}

// vectors_sip128 of the reference code; the second and third also by OpenSSL's SIPHASH with size 16.
TEST(SipHash, IsTheReferences) {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::vector<std::byte> bytes;
  const auto next = [&] { bytes.push_back(static_cast<std::byte>(bytes.size())); };
  EXPECT_EQ(siphash128(key, bytes), (SipHash128{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  next();
  EXPECT_EQ(siphash128(key, bytes), (SipHash128{0x44af996bd8c187da, 0x45fc229b11597634}));
  while (bytes.size() < 64) next();
  EXPECT_EQ(siphash128(key, bytes), (SipHash128{0x3fcdd4c07d07af1e, 0x4ba75836384dad8c}));
}

TEST(MappedFile, MissingFileNamesThePath) {
  try {
    MappedFile file("/nonexistent/x.gguf");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Error::Code::NotFound);
    EXPECT_NE(std::string(e.what()).find("/nonexistent/x.gguf"), std::string::npos);
  }
  EXPECT_THROW(MappedFile("/tmp"), Error);
}

TEST(Catalogue, UnknownNameSuggests) {
  Catalogue c("machine");
  c.add("dgx-spark", "");
  try {
    static_cast<void>(c.text("dgx-sparc"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean 'dgx-spark'"), std::string::npos);
  }
}

TEST(CheckDeathTest, SaysWhereAndWhat) { EXPECT_DEATH(CHECK(1 + 1 == 3), "base_test.cc:.*1 \\+ 1 == 3"); }

}  // namespace
}  // namespace tinderbox
