#include "twin/steady.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

// Of one stream alone, each answer waits for one other prompt: its own successor's.
TEST(Steady, IsTheStepAndThePromptsBetween) {
  const StepModel model = dense_twin();
  const Point point{.prompt = 100, .gen = 41, .concurrency = 3, .step_tokens = 4096};
  const Segment one{.n_past = 120, .n_new = 1, .samples = true};
  const std::vector<Segment> decoding(3, one);
  std::vector<Segment> reading = decoding;
  reading.push_back({.n_past = 0, .n_new = 100, .samples = true});
  const Seconds step = model.price(decoding).time, added = model.price(reading).time - step;
  EXPECT_NEAR(steady_tpot(model, point).value(), (step + added * (3.0 / 40)).value(), 1e-12);
}

TEST(Steady, MoreStreamsAndLongerPromptsSlowEveryone) {
  for (const StepModel& model : {dense_twin(), windowed_moe_twin()}) {
    Seconds before{};
    for (const std::int64_t n : {1, 2, 8, 32}) {
      const Seconds now = steady_tpot(model, {.prompt = 300, .gen = 50, .concurrency = n});
      EXPECT_GT(now, before);
      EXPECT_GT(steady_tpot(model, {.prompt = 900, .gen = 50, .concurrency = n}), now);
      before = now;
    }
  }
}

TEST(Steady, RefusesWhatExceedsTheContext) {
  const StepModel model = dense_twin();
  EXPECT_THROW(steady_tpot(model, {.prompt = 1 << 28, .gen = 2, .concurrency = 1}), Error);
}

}  // namespace
}  // namespace tinderbox
