// Distinct experts of a step (twin/price.h), against routing drawn.
#include <algorithm>
#include <cmath>
#include <set>

#include "twin/price.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

OpAttributes experts(int n_experts, int n_used) {
  OpAttributes at;
  at.n_experts = n_experts;
  at.n_used = n_used;
  return at;
}

// Experts that are all alike: the mean over drawn routings agrees within four
// standard errors.
TEST(ExpertsTouched, AgreesWithRoutingDrawn) {
  constexpr int kRuns = 2000;
  const Stack stack = round_stack();
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    Random random(22, Stream::Test, seed);
    const int n_experts = static_cast<int>(random.range(4, 64));
    const int n_used = static_cast<int>(random.range(1, std::min(n_experts, 8)));
    const int n_tokens = static_cast<int>(random.range(1, 30));
    double sum = 0, squares = 0;
    for (int run = 0; run < kRuns; ++run) {
      std::set<std::int64_t> touched;
      for (int t = 0; t < n_tokens; ++t) {
        std::set<std::int64_t> chosen;
        while (std::ssize(chosen) < n_used) chosen.insert(random.range(0, n_experts - 1));
        touched.insert(chosen.begin(), chosen.end());
      }
      const auto n = static_cast<double>(touched.size());
      sum += n;
      squares += n * n;
    }
    const double mean = sum / kRuns, variance = squares / kRuns - mean * mean;
    EXPECT_NEAR(experts_touched(experts(n_experts, n_used), n_tokens, stack), mean,
                4 * std::sqrt(std::max(variance, 0.0) / kRuns) + 1e-9)
        << n_experts << " experts, " << n_used << " used, " << n_tokens << " tokens";
  }
}

// Popularities drawn from the distribution, then experts by them.
TEST(ExpertsTouched, AgreesWithPopularityDrawn) {
  constexpr int kRuns = 4000, kExperts = 32, kUsed = 4;
  for (const double evenness : {0.5, 1.0, 3.0}) {
    Stack stack = round_stack();
    stack.price.routing_evenness = evenness;
    for (const int n_tokens : {1, 2, 7, 40}) {
      Random random(23, Stream::Test, static_cast<std::uint32_t>(n_tokens));
      double sum = 0, squares = 0;
      for (int run = 0; run < kRuns; ++run) {
        int touched = 0;
        for (int e = 0; e < kExperts; ++e) {
          const double x = random.gamma(evenness, 1), y = random.gamma(evenness * (kExperts / kUsed - 1), 1);
          touched += random.uniform() < 1 - std::pow(y / (x + y), n_tokens) ? 1 : 0;
        }
        sum += touched;
        squares += touched * touched;
      }
      const double mean = sum / kRuns, variance = squares / kRuns - mean * mean;
      EXPECT_NEAR(experts_touched(experts(kExperts, kUsed), n_tokens, stack), mean, 4 * std::sqrt(variance / kRuns))
          << evenness << ", " << n_tokens << " tokens";
    }
  }
}

TEST(ExpertsTouched, LessEvenIsFewer) {
  Stack stack = round_stack();
  const OpAttributes at = experts(64, 4);
  double before[8] = {};
  for (const double evenness : {0.1, 0.3, 1.0, 3.0, 30.0, 1e4, 1e9}) {
    stack.price.routing_evenness = evenness;
    EXPECT_DOUBLE_EQ(experts_touched(at, 1, stack), 4);
    EXPECT_DOUBLE_EQ(experts_touched(experts(8, 8), 5, stack), 8);
    int i = 0;
    for (const double n : {1.5, 2.0, 5.0, 30.0, 200.0, 8192.0}) {
      const double touched = experts_touched(at, n, stack);
      EXPECT_GT(touched, before[i] - (touched > 63.99 ? 1e-9 : 0));  // all are touched in the end
      EXPECT_LE(touched, expected_experts(64, 4, n) * (1 + 1e-9));
      EXPECT_LT(touched, experts_touched(at, n + 1, stack) + 1e-9);
      before[i++] = touched;
    }
  }
}

}  // namespace
}  // namespace tinderbox
