#include "twin/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

const std::string kData = std::string(TINDERBOX_SOURCE_DIR) + "/data/";

TwinModel spark(const std::string& model, const std::string& weights, const std::string& stack,
                const std::string& kv = "") {
  TwinModel twin;
  twin.machine = parse_machine(read_file(kData + "machines/dgx-spark.toml"), "dgx-spark");
  twin.stack = parse_stack(read_file(kData + "stacks/" + stack + ".toml"), stack);
  twin.model = parse_config(read_file(kData + "models/" + model + ".json"), model);
  twin.weights = weight_format(weights, twin.stack.file, kind_of(twin.model));
  twin.kv = kv_format(kv.empty() ? twin.stack.kv_default : kv);
  return twin;
}

Footprint parts_of(const TwinModel& twin) {
  return footprint(twin.model, twin.weights, twin.kv);
}

// One model of each kind, with every stack that reads its format.
std::vector<TwinModel> twins() {
  return {spark("llama-3.1-8b", "fp8", "vllm"),          spark("gpt-oss-120b", "mxfp4", "vllm"),
          spark("llama-3.1-8b", "bf16", "sglang"),       spark("qwen3-32b", "nvfp4", "trtllm"),
          spark("gpt-oss-120b", "mxfp4", "llama.cpp"),   spark("qwen3-30b-a3b", "q4_k_m", "ollama"),
          spark("llama-3.1-70b", "bf16", "vllm", "fp8")};
}

TEST(Fit, MoreOfAnythingNeverTakesLess) {
  for (const TwinModel& twin : twins()) {
    const Footprint parts = parts_of(twin);
    Random random(11, Stream::Test, 0);
    for (int i = 0; i < 200; ++i) {
      const MemoryDemand a{.context = random.range(1, 100000), .concurrency = random.range(1, 300)};
      MemoryDemand b = a;
      b.context += random.range(0, 20000);
      b.concurrency += random.range(0, 20);
      const MemoryPlan p = plan_memory(twin, parts, a), q = plan_memory(twin, parts, b);
      // What is asked for; a pool's share may round to a hundredth less.
      EXPECT_GE(q.weights + q.kv + q.activations + q.runtime,
                p.weights + p.kv + p.activations + p.runtime);
      EXPECT_GE(q.fit, p.fit);
    }
  }
}

// The peak is a phase's total, phases are sums of parts, and page cache never counts.
TEST(Fit, OneTruth) {
  for (const TwinModel& twin : twins()) {
    const MemoryPlan plan = plan_memory(twin, 8192, 4);
    Bytes peak;
    for (const PhaseMemory& p : plan.phases) {
      EXPECT_LE(p.total() + p.page_cache, std::max(plan.visible, p.total()));
      peak = std::max(peak, p.total());
    }
    EXPECT_EQ(peak, plan.total);
    EXPECT_EQ(plan.phases[static_cast<std::size_t>(plan.peak)].total(), plan.total);
  }
}

TEST(Fit, TheLargestIsSafeAndOneMoreIsNot) {
  for (const TwinModel& twin : twins()) {
    const Footprint parts = parts_of(twin);
    const MemoryDemand asked{.context = 8192, .concurrency = 2};
    const FitReport report = fit(twin, parts, asked);
    const auto verdict = [&](std::int64_t context, std::int64_t concurrency) {
      return plan_memory(twin, parts, {.context = context, .concurrency = concurrency}).fit;
    };
    if (report.context_max > 0) {
      EXPECT_EQ(verdict(report.context_max, 2), Fit::Fits);
    }
    if (report.context_max < twin.model.n_ctx) {
      EXPECT_GT(verdict(report.context_max + 1, 2), Fit::Fits);
    }
    if (report.concurrency_max > 0) {
      EXPECT_EQ(verdict(8192, report.concurrency_max), Fit::Fits);
    }
    EXPECT_GT(verdict(8192, report.concurrency_max + 1), Fit::Fits);
  }
}

// What the flags say is what the plan assumes, and that plan fits.
TEST(Fit, TheFlagsFitByOurOwnPlan) {
  for (const TwinModel& twin : twins()) {
    const Footprint parts = parts_of(twin);
    const FitReport report = fit(twin, parts, {.context = 8192, .concurrency = 2});
    EXPECT_EQ(report.flags.empty(), report.plan.fit != Fit::Fits);
    if (report.flags.empty()) continue;
    EXPECT_EQ(report.flags.find('{'), std::string::npos) << report.flags;
    // llama.cpp's context is that of all slots.
    const char* tokens = twin.stack.id == "llama.cpp" ? "-c 16384" : "8192";
    EXPECT_NE(report.flags.find(tokens), std::string::npos) << report.flags;
    if (twin.stack.memory.pool == PoolRule::None) continue;
    MemoryDemand flagged{.context = 8192, .concurrency = 2, .share = report.plan.share};
    EXPECT_NE(report.flags.find(format("{:.2f}", report.plan.share)), std::string::npos);
    EXPECT_EQ(plan_memory(twin, parts, flagged).fit, Fit::Fits);
    flagged.share = *flagged.share + 0.02;
    EXPECT_TRUE(report.plan.share >= twin.stack.memory.share ||
                plan_memory(twin, parts, flagged).fit > Fit::Fits);
    // The share that is needed holds the KV, a hundredth less does not.
    flagged.share = report.share_needed;
    EXPECT_GE(plan_memory(twin, parts, flagged).pool, report.plan.kv);
    if (report.share_needed <= 0.01) continue;
    flagged.share = report.share_needed - 0.01;
    EXPECT_LT(plan_memory(twin, parts, flagged).pool, report.plan.kv);
  }
}

TEST(Fit, BlocksTimesTheirSizeAreTheTokens) {
  for (const TwinModel& twin : twins()) {
    const MemoryPlan plan = plan_memory(twin, 8192, 1);
    EXPECT_EQ(plan.pool_blocks * plan.block_tokens, plan.pool_tokens);
    const double row = kv_of_pool_token(parts_of(twin)).value();
    EXPECT_LE(static_cast<double>(plan.pool_tokens) * row, plan.pool.value());
    EXPECT_GT(static_cast<double>(plan.pool_tokens + plan.block_tokens) * row, plan.pool.value());
    EXPECT_LT(plan.safe, plan.freeze);
    EXPECT_LT(plan.freeze, plan.visible);
  }
}

// Two kinds of layers share one pool: a group is as large as the rarer kind, the other kind fills
// whole groups. 24 KV rows for 12 + 12 layers; 5 + 25 layers are six groups of 5.
TEST(Fit, HybridPoolsCountEveryGroup) {
  Footprint parts;
  const Bytes row(8192);
  parts.layers = {{0, 36, row}};
  EXPECT_EQ(kv_of_pool_token(parts), Bytes(36 * 8192));
  parts.layers = {{128, 12, row}, {0, 12, row}};
  EXPECT_EQ(kv_of_pool_token(parts), Bytes(24 * 8192));
  parts.layers = {{1024, 25, row}, {0, 5, row}};
  EXPECT_EQ(kv_of_pool_token(parts), Bytes(30 * 8192));
  parts.layers = {{1024, 22, row}, {0, 4, row}};
  EXPECT_EQ(kv_of_pool_token(parts), Bytes(28 * 8192));
  parts.layers = {{1024, 25, row}, {0, 5, 2 * row}};
  EXPECT_EQ(kv_of_pool_token(parts), Bytes(35 * 8192));
}

// vLLM at 0.90 was seen to use 115 of 121 GiB, at 0.92 118 (minefield), whatever the model; 25 runs at
// 0.85 and 0.90 with 8192 tokens a step used 2.3 to 11.7 GiB more than the share.
TEST(Fit, VllmUsesItsShareAndTheHost) {
  for (const TwinModel& twin : {spark("llama-3.1-8b", "fp8", "vllm"),
                                spark("gpt-oss-120b", "mxfp4", "vllm")}) {
    const Footprint parts = parts_of(twin);
    const auto used = [&](double share) {
      return plan_memory(twin, parts, {.context = 8192, .concurrency = 1, .share = share}).total;
    };
    EXPECT_NEAR(used(0.90) / Bytes(kGiB), 117, 2.5);
    EXPECT_NEAR(used(0.92) / Bytes(kGiB), 119.5, 2.5);
    EXPECT_NEAR((used(0.90) - used(0.85)) / Bytes(kGiB), 0.05 * 121.69, 1e-6);
  }
}

// SGLang with 0.4 of 112.26 GiB free at start kept 41.6 GiB, 1557709 tokens of bf16 and 3113713 of fp8,
// beside Qwen2.5-1.5B (jethac).
TEST(Fit, SglangPoolAsMeasured) {
  for (const auto& [kv, tokens] : {std::pair{"bf16", 1557709.0}, {"fp8", 3113713.0}}) {
    TwinModel twin = spark("qwen2.5-1.5b", "bf16", "sglang", kv);
    const MemoryPolicy& policy = twin.stack.memory;
    twin.machine.memory_visible =
        Bytes(112.26 * kGiB) + twin.machine.memory_system + policy.host + policy.runtime;
    const MemoryPlan plan = plan_memory(twin, parts_of(twin),
                                        {.context = 8192, .concurrency = 1, .share = 0.4});
    EXPECT_NEAR(plan.pool / Bytes(kGiB), 41.6, 0.5);
    EXPECT_NEAR(static_cast<double>(plan.pool_tokens), tokens, 0.02 * tokens);
  }
}

TEST(Fit, RefusesNonsense) {
  const TwinModel vllm = spark("llama-3.1-8b", "fp8", "vllm");
  const TwinModel llama = spark("llama-3.1-8b", "q4_k_m", "llama.cpp");
  const Footprint parts = parts_of(vllm);
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  for (const MemoryDemand& bad :
       {MemoryDemand{.context = 0}, MemoryDemand{.context = -1}, MemoryDemand{.context = kHuge},
        MemoryDemand{.context = 200000}, MemoryDemand{.context = 1, .concurrency = 0},
        MemoryDemand{.context = 1, .concurrency = -7},
        MemoryDemand{.context = 1, .concurrency = kHuge},
        MemoryDemand{.context = 1, .concurrency = 1, .share = 0.0},
        MemoryDemand{.context = 1, .concurrency = 1, .share = 1.01},
        MemoryDemand{.context = 1, .concurrency = 1, .share = -0.5},
        MemoryDemand{.context = 1, .concurrency = 1, .share = std::nan("")},
        MemoryDemand{.context = 1, .concurrency = 1, .share = {}, .step_tokens = -1},
        MemoryDemand{.context = 1, .concurrency = 1, .share = {}, .step_tokens = kHuge}}) {
    EXPECT_THROW(fit(vllm, parts, bad), Error);
  }
  EXPECT_THROW(fit(llama, parts_of(llama), {.context = 1, .concurrency = 1, .share = 0.5}), Error);
  // The largest that is allowed is answered.
  EXPECT_EQ(fit(vllm, parts, {.context = 131072, .concurrency = 1 << 20}).plan.fit, Fit::Freezes);
}

}  // namespace
}  // namespace tinderbox
