#include "twin/memory_plan.h"

#include <filesystem>

#include "model/random_layers.h"
#include "model/reference.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

TEST(MemoryPlan, WeightsAreEveryValueOnce) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    Random random(7, Stream::Test, seed);
    ModelConfig model = random_model(random);
    if (coin(random)) vary_layers(random, model);
    EXPECT_DOUBLE_EQ(weight_bytes(model, all_in(DType::F32)).value(),
                     4 * count_parameters(model).total);
    EXPECT_DOUBLE_EQ(weight_bytes(model, all_in(DType::F16)).value(),
                     2 * count_parameters(model).total);
  }
}

// What a cache holds after a step is what KvStore wrote, up to the window, and the states.
TEST(MemoryPlan, KvBytesEqualWhatIsWritten) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    Random random(8, Stream::Test, seed);
    ModelConfig model = random_model(random);
    if (coin(random)) vary_layers(random, model);
    const auto context = static_cast<std::int32_t>(random.range(1, 12));
    double kept = 0;
    const Graph graph =
        build_step(model, all_in(DType::F32), DType::F16, {{.n_past = 0, .n_new = context}});
    for (const Op& op : graph.ops) {
      if (op.kind == OpKind::Scan || op.kind == OpKind::Conv) {
        kept += count(graph, op).kv_write.value();
      }
      if (op.kind == OpKind::PoolStore) {  // pooled rows, and inputs for the next
        const int rows = context / op.at.ratio;
        kept += state_bytes(shape_of(graph, op)) + rows * kv_row_bytes(op.at, DType::F16);
      }
      if (op.kind != OpKind::KvStore) continue;
      const int window = op.at.window;
      const double share =
          window > 0 && window < context ? static_cast<double>(window) / context : 1.0;
      kept += count(graph, op).kv_write.value() * share;
    }
    EXPECT_NEAR(kv_bytes(model, DType::F16, context).value(), kept, 1e-9 * kept);
  }
}

// 32 layers, 8 KV heads of 128, f16: 128 KiB a token.
TEST(MemoryPlan, DenseModelByHand) {
  const TwinModel twin = round_twin();
  const MemoryPlan plan = plan_memory(twin, 1024, 4);
  EXPECT_DOUBLE_EQ(plan.kv_per_token.value(), 128 * kKiB);
  EXPECT_DOUBLE_EQ(plan.kv.value(), 4 * 1024 * 128 * kKiB);
  EXPECT_NEAR(plan.weights.value(), 2 * 8.03e9, 0.01e9);
  EXPECT_DOUBLE_EQ(plan.runtime.value(), 1e9);
  // The MLP of 512 tokens: residual, its norm, gate and up, and either the product or what it is
  // made of.
  EXPECT_DOUBLE_EQ(plan.activations.value(), 4.0 * 512 * (2 * 4096 + 2 * 14336 + 14336 - 4096));
  EXPECT_EQ(plan.fit, Fit::Fits);
  EXPECT_EQ(plan.reserved.value(), 0);
}

TEST(MemoryPlan, PartsSumAndVerdictFollowsTheTotal) {
  TwinModel twin = round_twin();
  for (const double fraction : {0.0, 0.5, 0.9}) {
    twin.stack.memory.pool = fraction > 0 ? PoolRule::OfTotal : PoolRule::None;
    const std::optional<double> share =
        fraction > 0 ? std::optional<double>(fraction) : std::nullopt;
    const Footprint parts = footprint(twin.model, twin.weights, twin.kv);
    Bytes previous;
    for (std::int64_t context = 64; context <= (1 << 20); context *= 2) {
      const MemoryPlan plan =
          plan_memory(twin, parts, {.context = context, .concurrency = 1, .share = share});
      EXPECT_DOUBLE_EQ(
          (plan.weights + plan.kv + plan.activations + plan.runtime + plan.reserved).value(),
          plan.total.value());
      EXPECT_GE(plan.total, previous);
      EXPECT_GE(plan.total.value(), fraction * 128e9 * (1 - 1e-12));
      previous = plan.total;
      const Fit fit = plan.total.value() <= 100e9  ? Fit::Fits
                      : plan.total.value() < 120e9 ? Fit::Tight
                                                   : Fit::Freezes;
      EXPECT_EQ(plan.fit, plan.kv > plan.pool ? std::max(fit, Fit::Tight) : fit);
    }
  }
}

// A card's own memory holds no processes of the host and none of their pages; a box's one memory does.
TEST(MemoryPlan, CardsHoldNothingOfTheHost) {
  TwinModel twin = round_twin();
  twin.machine.memory_system = Bytes(3e9);
  twin.stack.memory.host = Bytes(2e9);
  twin.stack.memory.maps_weights = true;
  const MemoryPlan box = plan_memory(twin, 1024, 4);
  EXPECT_DOUBLE_EQ(host_memory(twin.machine, twin.stack.memory).value(), 5e9);
  twin.machine.memory_dedicated = true;
  const MemoryPlan card = plan_memory(twin, 1024, 4);
  EXPECT_DOUBLE_EQ((box.total - card.total).value(), 5e9);
  EXPECT_GT(card.kv_tokens_max, box.kv_tokens_max);
  for (const PhaseMemory& phase : card.phases) EXPECT_EQ((phase.host + phase.page_cache).value(), 0);
  EXPECT_GT(box.phases.front().page_cache.value(), 0);
  twin.stack.memory.pool = PoolRule::OfTotal;
  EXPECT_DOUBLE_EQ(in_use_of_share(twin.machine, twin.stack.memory, 0.5).value(),
                   0.5 * twin.machine.memory_visible.value());
}

// kv_tokens_max is the edge: so many tokens fit in `safe`, a block more does not.
TEST(MemoryPlan, KvTokensMaxIsTheEdge) {
  const TwinModel twin = round_twin();
  const std::int64_t edge = plan_memory(twin, 4096, 1).kv_tokens_max / 16 * 16;
  EXPECT_EQ(plan_memory(twin, edge, 1).fit, Fit::Fits);
  EXPECT_EQ(plan_memory(twin, edge + 16, 1).fit, Fit::Tight);
}

TEST(MemoryPlan, WindowedLayersKeepTheirWindow) {
  ModelConfig model = dense_model();
  model.layer_window.assign(32, 0);
  for (std::size_t i = 0; i < 32; i += 2) model.layer_window[i] = 128;
  const Bytes row(2 * 2 * 1024);
  EXPECT_EQ(kv_bytes(model, DType::F16, 100), row * (32 * 100));
  EXPECT_EQ(kv_bytes(model, DType::F16, 1000), row * (16 * 128 + 16 * 1000));
  const TwinModel twin{round_machine(), round_stack(), model, all_in(DType::F16), DType::F16};
  EXPECT_GT(plan_memory(twin, 100000, 1).kv_tokens_max, plan_memory(twin, 100, 1).kv_tokens_max);
}

// DeepSeek-V4 Flash: a window of 128 rows of 512 in 43 layers; rows of 4 tokens with index keys of 128 in 21, rows of
// 128 tokens in 20; and what the next rows are made of.
TEST(MemoryPlan, PooledLayersKeepARowAWindow) {
  const ModelConfig model = load_config(std::filesystem::path(TINDERBOX_SOURCE_DIR) /
                                        "data/models/deepseek-v4-flash.json");
  const Footprint parts = footprint(model, all_in(DType::BF16), DType::BF16);
  const double state = 4 * (21 * 8 * (4 * 512 + 4 * 128) + 20 * 128 * (2 * 512));
  EXPECT_DOUBLE_EQ(parts.state.value(), state);
  for (const std::int64_t context : {1024, 65536}) {
    const auto n = static_cast<double>(context);
    const double rows = 43 * 128 * 512 + 21 * n / 4 * (512 + 128) + 20 * n / 128 * 512;
    EXPECT_DOUBLE_EQ(kv_of_sequence(parts, context).value(), 2 * rows + state);
  }
  // Windows are full, then each query leaves rows of 4 tokens out.
  EXPECT_EQ(parts.bends, (std::vector<std::int64_t>{128, 512 * 4}));
  EXPECT_NEAR(parts.mtp.value(), 2 * 6.61e9, 0.02e9);
  EXPECT_EQ(parts.vision, Bytes(0));
}

TEST(MemoryPlan, TablesOfNgramsAreSetApart) {
  const ModelConfig model = load_config(std::filesystem::path(TINDERBOX_SOURCE_DIR) /
                                        "data/models/qwen3.8-flash-next.json");
  const Footprint parts = footprint(model, all_in(DType::BF16), DType::BF16);
  EXPECT_NEAR(parts.ngrams.value(), 2 * 320e6 * 160, 1e-3 * parts.ngrams.value());
  EXPECT_GT(parts.weights, parts.ngrams);
  EXPECT_NEAR(parts.vision.value(), 2 * 0.449e9, 0.01e9);
}

}  // namespace
}  // namespace tinderbox
