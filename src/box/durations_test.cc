#include "box/durations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace tinderbox {
namespace {

TEST(Durations, PercentilesInterpolate) {
  Durations d;
  for (const int ns : {40, 10, 30, 20}) d.add(Duration(ns));
  const Distribution x = d.distribution();
  EXPECT_EQ(x.n, 4);
  EXPECT_DOUBLE_EQ(x.mean.value(), 25e-9);
  EXPECT_DOUBLE_EQ(x.p50.value(), 25e-9);
  EXPECT_DOUBLE_EQ(x.p90.value(), 37e-9);
  EXPECT_EQ(Durations().distribution().n, 0);
  EXPECT_EQ(Durations().distribution().p99.value(), 0);
}

// Runs of equal values change nothing.
TEST(Durations, EqualTheSortedSample) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed, Stream::Test);
    Durations d;
    std::vector<double> sample;
    for (std::int64_t i = random.range(1, 300); i > 0; --i) {
      const std::int64_t value = random.range(0, 9), n = random.range(1, 4);
      for (std::int64_t k = 0; k < n; ++k) {
        d.add(Duration(value));
        sample.push_back(static_cast<double>(value) * 1e-9);
      }
    }
    std::ranges::sort(sample);
    const auto percentile = [&](double p) {
      const double rank = p * static_cast<double>(sample.size() - 1);
      const auto low = static_cast<std::size_t>(rank);
      const std::size_t high = std::min(low + 1, sample.size() - 1);
      return sample[low] + (sample[high] - sample[low]) * (rank - std::floor(rank));
    };
    const Distribution x = d.distribution();
    EXPECT_EQ(x.n, std::ssize(sample));
    EXPECT_NEAR(x.p50.value(), percentile(0.50), 1e-15) << seed;
    EXPECT_NEAR(x.p95.value(), percentile(0.95), 1e-15) << seed;
    EXPECT_NEAR(x.p99.value(), percentile(0.99), 1e-15) << seed;
  }
}

// Against the sorted sample, of any scale: the stated error, and no order or partition that matters.
TEST(Durations, LargeSamplesKeepTheirErrorAndMerge) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed, Stream::Test);
    Durations whole, part, other;
    std::vector<double> sample;
    const double spread = static_cast<double>(seed) / 4;
    while (std::ssize(sample) < 3 * kExactMax) {
      const auto value = static_cast<std::int64_t>(1e6 * std::exp(spread * random.normal()));
      const std::int64_t n = random.range(1, 5);
      whole.add(Duration(value), n);
      (random.range(0, 9) == 0 ? part : other).add(Duration(value), n);
      for (std::int64_t i = 0; i < n; ++i) sample.push_back(static_cast<double>(value) * 1e-9);
    }
    std::ranges::sort(sample);
    double sum = 0;
    for (const double x : sample) sum += x;
    EXPECT_NEAR(whole.mean().value(), sum / static_cast<double>(sample.size()), 1e-9 * sum);
    for (const double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
      const double rank = percent / 100 * static_cast<double>(sample.size() - 1);
      const auto low = static_cast<std::size_t>(rank);
      const double high = sample[std::min(low + 1, sample.size() - 1)];
      const double exact = sample[low] + (high - sample[low]) * (rank - std::floor(rank));
      EXPECT_NEAR(whole.percentile(percent).value(), exact, (kDurationError + 1e-9) * exact) << percent;
    }
    part.merge(other);
    EXPECT_EQ(part.n(), whole.n());
    EXPECT_EQ(part.mean(), whole.mean());
    EXPECT_EQ(part.distribution().p99, whole.distribution().p99);
    EXPECT_EQ(part.distribution().p50, whole.distribution().p50);
  }
}

TEST(Durations, SmallPartsMergeToALargeWhole) {
  Durations a, b, whole;
  for (int i = 0; i < 8000; ++i) {
    a.add(Duration(1000 + i));
    b.add(Duration(500'000 - i));
    whole.add(Duration(500'000 - i));
  }
  for (int i = 0; i < 8000; ++i) whole.add(Duration(1000 + i));
  a.merge(b);
  EXPECT_EQ(a.distribution().p90, whole.distribution().p90);
  EXPECT_EQ(a.mean(), whole.mean());
}

TEST(Durations, SpanTheWholeRange) {
  Durations d;
  d.add(Duration(0), kExactMax);
  d.add(Duration::max() / 4, kExactMax);
  EXPECT_EQ(d.percentile(0).value(), 0);
  const double longest = to_seconds(Duration::max() / 4).value();
  EXPECT_NEAR(d.percentile(100).value(), longest, kDurationError * longest);
  EXPECT_DEATH(d.add(Duration(-1)), "CHECK failed");
}

// Parts that keep few samples come to the sum of parts that keep many, if that has too many to keep.
TEST(Durations, PartsMayKeepFewerSamples) {
  Random random(5, Stream::Test);
  Durations few_sum, many_sum, exact;
  for (int part = 0; part < 30; ++part) {
    Durations few(10), many;
    for (int i = 0; i < 500; ++i) {
      const Duration sample(random.range(0, 1'000'000'000));
      few.add(sample);
      many.add(sample);
      if (part == 0) exact.add(sample);
    }
    if (part == 0) {
      EXPECT_EQ(many.percentile(90).value(), exact.percentile(90).value());
      EXPECT_NEAR(few.percentile(90).value(), exact.percentile(90).value(), 2 * kDurationError);
    }
    few_sum.merge(few);
    many_sum.merge(many);
  }
  for (const double percent : {0.0, 1.0, 50.0, 99.0, 100.0}) {
    EXPECT_EQ(few_sum.percentile(percent).value(), many_sum.percentile(percent).value()) << percent;
  }
  EXPECT_EQ(few_sum.mean().value(), many_sum.mean().value());
}

}  // namespace
}  // namespace tinderbox
