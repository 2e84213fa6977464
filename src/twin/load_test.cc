#include "twin/load.h"

#include <gtest/gtest.h>

#include "twin/test_models.h"

namespace tinderbox {
namespace {

TEST(Load, IsWhatThePredictionSays) {
  const StepModel model(testing::round_twin());
  const Point point{.prompt = 2048, .gen = 128};
  const Prediction prediction = predict(model, point, true);
  const PhaseLoads phases = phase_loads(model, point, prediction);
  EXPECT_NEAR(phases.prefill_share + phases.decode_share, 1, 1e-12);
  EXPECT_GT(phases.decode.memory_share, phases.decode.compute_share);
  EXPECT_GT(phases.prefill.compute_share, phases.prefill.memory_share);
  for (const Load& load : {phases.prefill, phases.decode}) {
    EXPECT_GE(load.gpu_busy, 0);
    EXPECT_LE(load.gpu_busy, 1);
    EXPECT_LE(load.compute_share + load.memory_share, 1 + 1e-12);
    EXPECT_LE(load.memory_bytes, model.twin().machine.memory_read_bandwidth.value());
    EXPECT_TRUE(load.awake);
  }
  double prefill = 0, decode = 0;
  for (std::size_t i = 0; i < kMathTypes; ++i) {
    prefill += phases.prefill.flops[i];
    decode += phases.decode.flops[i];
  }
  EXPECT_GT(prefill, 2 * decode);
}

TEST(Load, MixingKeepsTotals) {
  const StepModel model(testing::round_twin());
  const Point point{.prompt = 512, .gen = 64};
  const PhaseLoads phases = phase_loads(model, point, predict(model, point, true));
  const Load both = mixed(phases);
  EXPECT_NEAR(both.memory_bytes,
              phases.prefill.memory_bytes * phases.prefill_share +
                  phases.decode.memory_bytes * phases.decode_share,
              1e-6 * both.memory_bytes);
}

}  // namespace
}  // namespace tinderbox
