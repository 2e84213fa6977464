// As many streams as a box holds.
#include "twin/concurrency.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

Fit fit_of(const StepModel& model, const Point& point, std::int64_t n) {
  const MemoryDemand demand{.context = point.depth + point.prompt + point.gen, .concurrency = n};
  return plan_memory(model.twin(), model.footprint(), demand).fit;
}

TwinModel pooled(double share) {
  TwinModel twin = round_twin();
  twin.stack.memory.pool = PoolRule::OfTotal;
  twin.stack.memory.share = share;
  return twin;
}

// The law: so many fit and one more does not, unless the stack admits no more.
TEST(Concurrency, IsTheLargestThatFits) {
  for (const bool pool : {false, true}) {
    const StepModel model(pool ? pooled(0.7) : round_twin());
    std::int64_t before = 1 << 20;
    int n_capped = 0, n_full = 0;
    for (const std::int64_t prompt : {100, 2000, 8000, 20'000, 60'000, 120'000}) {
      const Point point{.prompt = prompt, .gen = 500};
      const std::int64_t n = concurrency_max(model, point);
      ASSERT_GE(n, 1);
      EXPECT_LE(n, before) << "longer streams, and more of them fit";
      EXPECT_EQ(fit_of(model, point, n), Fit::Fits) << prompt;
      if (n == model.twin().stack.sequences_max) {
        ++n_capped;
      } else {
        ++n_full;
        EXPECT_NE(fit_of(model, point, n + 1), Fit::Fits) << prompt;
      }
      EXPECT_EQ(saturated(model, point).concurrency, n);
      before = n;
    }
    EXPECT_GT(n_capped, 0);
    EXPECT_GT(n_full, 0);
  }
}

TEST(Concurrency, ThePointsSequencesComeBeforeTheStacks) {
  const StepModel model(round_twin());
  const Point point{.prompt = 100, .gen = 100, .sequences = 7};
  EXPECT_EQ(concurrency_max(model, point), 7);
}

TEST(Concurrency, ReplicasHoldTheirOwn) {
  TwinModel two = round_twin();
  two.parallel.dp = 2;
  Link peer;
  peer.name = "peer";
  peer.bandwidth = BytesPerSecond(50e9);
  two.machine.links.push_back(peer);
  two.link = "peer";
  const Point point{.prompt = 20'000, .gen = 500};
  EXPECT_EQ(concurrency_max(StepModel(two), point),
            2 * concurrency_max(StepModel(round_twin()), point));
}

TEST(Concurrency, NoneFitsWhatIsTooLarge) {
  TwinModel small = round_twin();
  small.machine.memory_safe = Bytes(17e9);  // the weights are 16 GB, the stack takes one more
  const StepModel model(small);
  const Point point{.prompt = 1000, .gen = 10};
  EXPECT_EQ(concurrency_max(model, point), 0);
  try {
    saturated(model, point);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::TooLarge);
    EXPECT_NE(std::string(error.what()).find("1010 tokens"), std::string::npos) << error.what();
  }
}

// More streams than the pool holds wait; fewer run as they are asked for.
TEST(Concurrency, APoolBoundsTheStreamsThatRun) {
  const StepModel model(pooled(0.25));
  const auto running = [&](std::int64_t streams) {
    const Point point{.prompt = 8000, .gen = 1000, .concurrency = streams, .sequences = streams};
    return within_pool(model, point).sequences;
  };
  const MemoryPlan plan =
      plan_memory(model.twin(), model.footprint(), {.context = 8500, .share = 0.25});
  const std::int64_t held = plan.kv_tokens_max / 8500;
  ASSERT_GT(held, 2);
  EXPECT_EQ(running(2), 2);
  EXPECT_EQ(running(held), held);
  EXPECT_EQ(running(10 * held), held);
  // A stack without a pool, one stream, and a pool that holds not even one, whose share was
  // another.
  const Point many{.prompt = 8000, .gen = 1000, .concurrency = 500, .sequences = 500};
  EXPECT_EQ(within_pool(StepModel(round_twin()), many).sequences, 500);
  EXPECT_EQ(within_pool(StepModel(pooled(0.14)), many).sequences, 500);
  EXPECT_EQ(running(1), 1);
}

}  // namespace
}  // namespace tinderbox
