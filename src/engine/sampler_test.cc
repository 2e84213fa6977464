#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/random.h"
#include "engine/engine.h"
#include "engine/test_weights.h"

namespace tinderbox {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p;
  double total = 0;
  for (const float x : logits) total += p.emplace_back(std::exp((x - top) / temperature));
  for (double& x : p) x /= total;
  return p;
}

std::map<TokenId, int> draw(const std::vector<float>& logits, SamplingParams params, int n,
                            std::span<const TokenId> history = {}) {
  std::map<TokenId, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sample(logits, params, history, i)];
  return counts;
}

TEST(Sample, DrawsFollowTheSoftmax) {
  Random random(1, Stream::Test);
  for (const double temperature : {0.5, 1.0, 1.7}) {
    const std::vector<float> logits = test::random_floats(8, 1.0, random);
    const std::vector<double> p = softmax(logits, temperature);
    constexpr int kDraws = 20000;
    auto counts = draw(logits, {.temperature = temperature, .seed = 42}, kDraws);
    double chi2 = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double expected = p[i] * kDraws, off = counts[static_cast<TokenId>(i)] - expected;
      chi2 += off * off / expected;
    }
    EXPECT_LT(chi2, 24.3);  // 7 degrees of freedom, 0.1 %; the seed is fixed
  }
}

TEST(Sample, GreedyIsTopKOneIsTopPZeroIsMinPOne) {
  Random random(2, Stream::Test);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> logits = test::random_floats(50, 2.0, random);
    const auto best =
        static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    EXPECT_EQ(sample(logits, {.temperature = 0}, {}, i), best);
    EXPECT_EQ(sample(logits, {.top_k = 1}, {}, i), best);
    EXPECT_EQ(sample(logits, {.top_p = 0}, {}, i), best);
    EXPECT_EQ(sample(logits, {.min_p = 1}, {}, i), best);
    EXPECT_EQ(sample(logits, {.temperature = 1e-300}, {}, i), best);
  }
}

TEST(Sample, GreedyTiesGoToTheLowestId) {
  EXPECT_EQ(sample(std::vector<float>{1, 3, 3, 3}, {.temperature = 0}, {}, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{0, 0}, {.temperature = 0}, {}, 0), 0);
}

TEST(Sample, TopKTopPAndMinPCutWhereTheySay) {
  const std::vector<float> logits = {0.0f, std::log(4.0f), std::log(3.0f),
                                     std::log(2.0f)};  // 0.1 0.4 0.3 0.2
  const auto support = [&](SamplingParams params) {
    std::vector<TokenId> ids;
    for (const auto& [id, n] : draw(logits, params, 2000)) ids.push_back(id);
    return ids;
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(support({}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(support({.top_k = 2}), (Ids{1, 2}));
  EXPECT_EQ(support({.top_p = 0.69}), (Ids{1, 2}));
  EXPECT_EQ(support({.top_p = 0.71}), (Ids{1, 2, 3}));
  EXPECT_EQ(support({.min_p = 0.45}), (Ids{1, 2, 3}));
  EXPECT_EQ(support({.min_p = 0.55}), (Ids{1, 2}));
  // top-p counts within what top-k kept: 0.4 / 0.7 is over 0.55.
  EXPECT_EQ(support({.top_k = 2, .top_p = 0.55}), (Ids{1}));
  EXPECT_EQ(support({.top_k = 3, .top_p = 0.55}), (Ids{1, 2}));
  // The temperature comes before top-p: at 0.25 the first has 0.73.
  EXPECT_EQ(support({.temperature = 0.25, .top_p = 0.7}), (Ids{1}));
  // ... and the penalty before the temperature.
  const TokenId seen[] = {1};
  const auto counts = draw(logits, {.temperature = 0, .repetition_penalty = 2.0}, 5, seen);
  EXPECT_EQ(counts.begin()->first, 2);
}

TEST(Sample, NucleusOfALargeVocabulary) {
  Random random(3, Stream::Test);
  const std::vector<float> logits = test::random_floats(5000, 1.0, random);
  const std::vector<double> p = softmax(logits, 1.0);
  std::vector<std::size_t> order(p.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
  double sum = 0;
  std::vector<bool> inside(p.size(), false);
  for (const std::size_t i : order) {
    inside[i] = true;
    sum += p[i];
    if (sum >= 0.8) break;
  }
  for (const auto& [id, n] : draw(logits, {.top_p = 0.8}, 200))
    EXPECT_TRUE(inside[static_cast<std::size_t>(id)]);
}

TEST(Sample, PenaltyCountsEachTokenOnceAndWorksOnBothSigns) {
  const std::vector<float> logits = {2.0f, 1.5f, -1.0f, -1.5f};
  const TokenId twice[] = {0, 0, 0};
  EXPECT_EQ(sample(logits, {.temperature = 0, .repetition_penalty = 1.2}, twice, 0),
            0);  // 1.67, not 1.16
  EXPECT_EQ(sample(logits, {.temperature = 0, .repetition_penalty = 1.5}, twice, 0), 1);
  const TokenId all[] = {0, 1, 2};
  EXPECT_EQ(sample(std::vector<float>{-9, -9, -1, -1.5},
                   {.temperature = 0, .repetition_penalty = 2}, all, 0),
            3);
}

TEST(Sample, DependsOnSeedAndPositionOnly) {
  Random random(4, Stream::Test);
  const std::vector<float> logits = test::random_floats(1000, 0.1, random);
  int same = 0;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(sample(logits, {.seed = 7}, {}, i), sample(logits, {.seed = 7}, {}, i));
    same += sample(logits, {.seed = 7}, {}, i) == sample(logits, {.seed = 8}, {}, i) ? 1 : 0;
    same += sample(logits, {.seed = 7}, {}, i) == sample(logits, {.seed = 7}, {}, i + 1) ? 1 : 0;
  }
  EXPECT_LT(same, 5);
}

TEST(Sample, AnyLogitsAndParametersGiveAToken) {
  EXPECT_EQ(sample(std::vector<float>{kNan, -kInf, 1, kNan}, {}, {}, 0), 2);
  EXPECT_EQ(sample(std::vector<float>{kNan, kNan}, {}, {}, 0), 0);
  EXPECT_EQ(sample(std::vector<float>{-kInf, -kInf}, {}, {}, 0), 0);
  EXPECT_EQ(sample(std::vector<float>{0, kInf, kInf}, {.temperature = 0}, {}, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{0, kInf, 5}, {}, {}, 0), 1);
  const double odd[] = {-1.0,   0.0,   0.5,      1.0,       2.0,
                        1e-310, 1e308, HUGE_VAL, -HUGE_VAL, static_cast<double>(kNan)};
  const float values[] = {0, 1, -1, 1e38f, -1e38f, kInf, -kInf, kNan};
  const TokenId history[] = {-5, 0, 2, 1 << 30};
  Random random(5, Stream::Test);
  const auto pick = [&](const auto& list) {
    return list[static_cast<std::size_t>(
        random.range(0, static_cast<std::int64_t>(std::size(list)) - 1))];
  };
  for (int i = 0; i < 20000; ++i) {
    std::vector<float> logits;
    for (std::int64_t n = random.range(1, 5); n > 0; --n) logits.push_back(pick(values));
    const SamplingParams params{.temperature = pick(odd),
                                .top_k = static_cast<std::int32_t>(random.range(-2, 7)),
                                .top_p = pick(odd),
                                .min_p = pick(odd),
                                .repetition_penalty = pick(odd)};
    const TokenId id = sample(logits, params, history, i);
    ASSERT_GE(id, 0);
    ASSERT_LT(static_cast<std::size_t>(id), logits.size());
  }
}

}  // namespace
}  // namespace tinderbox
