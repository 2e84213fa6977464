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

// With the exponent 1 tokens are routed at random: the mean over drawn routings agrees within four
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

// T tokens touch as many as T^x routed at random.
TEST(ExpertsTouched, ExponentStandsForAlikeTokens) {
  Stack stack = round_stack();
  const OpAttributes at = experts(64, 4);
  stack.price.routing_exponent = 0.5;
  EXPECT_DOUBLE_EQ(experts_touched(at, 16, stack), expected_experts(64, 4, 4));
  EXPECT_DOUBLE_EQ(experts_touched(at, 1, stack), 4);
  for (const double x : {0.3, 0.8, 1.0, 1.2}) {
    stack.price.routing_exponent = x;
    EXPECT_DOUBLE_EQ(experts_touched(at, 1, stack), 4);
    for (double n = 1; n < 1000; n *= 2) {
      EXPECT_LT(experts_touched(at, n, stack), experts_touched(at, n + 1, stack) + 1e-9);
      EXPECT_LE(experts_touched(at, n, stack), 64);
    }
  }
}

}  // namespace
}  // namespace tinderbox
