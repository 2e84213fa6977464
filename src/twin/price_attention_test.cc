// Prices of what reads a cache: attention and scans.
#include "twin/price.h"

#include "twin/test_ops.h"

namespace tinderbox {
namespace {

using namespace testing;

TEST(Price, AttentionByHand) {
  TwinModel twin = round_twin();
  PriceParameters& p = twin.stack.price;
  p.attention_memory_share = 0.5;
  p.attention_compute_share = 0.25;
  p.attention_width_exponent = 2;
  twin.stack.kernels[0].math = MathType::FP4;  // plays no part: attention multiplies in 16 bits
  twin.stack.kernels[0].memory_share = 0.1;
  Work work = cache_of(7.5e9);
  work.kv_write = Bytes(2.5e9);
  work.matmul = Flops(1e12);
  OpShape op = shape_of(OpClass::Attention);
  const auto cost = [&](int head) {
    op.at.qk_dim = head;
    return price(op, {.n_tokens = 1}, work, twin, true);
  };
  EXPECT_DOUBLE_EQ(cost(128).memory.value(), 0.2);
  EXPECT_DOUBLE_EQ(cost(128).compute.value(), 4.0);
  EXPECT_DOUBLE_EQ(cost(64).compute.value(), 4.0);
  EXPECT_DOUBLE_EQ(cost(256).compute.value(), 16.0);
  EXPECT_DOUBLE_EQ(cost(256).memory.value(), 0.2);
  p.attention_wide_read_exponent = 1;
  EXPECT_DOUBLE_EQ(cost(256).memory.value(), 0.4);
  EXPECT_DOUBLE_EQ(cost(256).compute.value(), 16.0);
  EXPECT_DOUBLE_EQ(cost(64).memory.value(), 0.2);
  work.weights = Bytes(1e9);  // sinks: so few that they are not priced
  EXPECT_DOUBLE_EQ(cost(128).memory.value(), 0.2);
}

TEST(Price, AttentionOverQuantisedKeysByHand) {
  TwinModel twin = round_twin();
  twin.stack.price.quantised_kv_ratio = 0.5;
  twin.stack.price.attention_memory_share = 0.8;
  const auto memory = [&](OpClass op_class, DType kv) {
    twin.kv = kv;
    return price(shape_of(op_class), {.n_tokens = 1}, cache_of(8e9), twin, true).memory.value();
  };
  for (const DType kv : {DType::F16, DType::BF16, DType::F32}) {
    EXPECT_DOUBLE_EQ(memory(OpClass::Attention, kv), 0.1);
  }
  for (const DType kv : {DType::FP8, DType::Q8_0, DType::Q4_0}) {
    EXPECT_DOUBLE_EQ(memory(OpClass::Attention, kv), 0.2);
  }
  EXPECT_DOUBLE_EQ(memory(OpClass::Scan, DType::Q8_0), 0.08);  // states are not cached keys
}

// 8 heads over latent rows of 512 + 64, or of 128 + 64 and 128 widened from them: long prompts are
// cheaper widened, one token that reads a long cache is not.
TEST(Price, LatentAttentionTakesTheCheaperWay) {
  TwinModel twin = round_twin();
  twin.model.latent = {.q_lora = 0, .kv_lora = 512, .qk_nope = 128, .qk_rope = 64, .v_dim = 128};
  OpShape op = shape_of(OpClass::Attention);
  op.at.latent = true;
  op.at.n_heads = 8;
  op.at.qk_dim = 576;
  op.at.v_dim = 512;
  const auto compute = [&](double n_new, double n_past) {
    const StepShape step{.n_tokens = n_new,
                         .n_sequences = 1,
                         .pairs = n_new * n_past + n_new * (n_new + 1) / 2,
                         .keys = n_past + n_new};
    Work work = cache_of(1);
    work.matmul = Flops(2 * 8 * (576 + 512) * step.pairs);
    return price(op, step, work, twin, true).compute.value() * 1e12;
  };
  EXPECT_DOUBLE_EQ(compute(1, 10'000), 2.0 * 8 * (576 + 512) * 10'001);  // as it is
  // A prompt without past has nothing to widen: the graph has done that.
  EXPECT_DOUBLE_EQ(compute(1000, 0), 2.0 * 8 * (192 + 128) * 500'500);
  const double widening = 2.0 * 8 * 512 * (128 + 128) * 4000;
  EXPECT_DOUBLE_EQ(compute(1000, 4000), 2.0 * 8 * (192 + 128) * 4'500'500 + widening);
  twin.stack.price.attention_width_exponent = 1;
  EXPECT_DOUBLE_EQ(compute(1000, 0), 2.0 * 8 * (192 + 128) * 500'500 * 192 / 128);
  EXPECT_DOUBLE_EQ(compute(1, 10'000), 2.0 * 8 * (576 + 512) * 10'001 * 576 / 128);
  op.at.latent = false;
  EXPECT_DOUBLE_EQ(compute(1000, 0), 2.0 * 8 * (576 + 512) * 500'500 * 576 / 128);
}

TEST(Price, ScanByHand) {
  TwinModel twin = round_twin();
  twin.stack.price.scan_memory_share = 0.5;
  twin.stack.price.scan_compute_share = 0.1;
  twin.stack.price.attention_memory_share = 0.01;
  twin.stack.price.attention_width_exponent = 3;
  Work work = cache_of(10e9);
  work.matmul = Flops(1e12);
  OpShape op = shape_of(OpClass::Scan);
  op.at.qk_dim = 512;
  const Cost cost = price(op, {.n_tokens = 1}, work, twin, true);
  EXPECT_DOUBLE_EQ(cost.memory.value(), 0.2);
  EXPECT_DOUBLE_EQ(cost.compute.value(), 10.0);
  EXPECT_EQ(cost.bound, Bound::Compute);
}

TEST(Price, ScansTakeATimeOfTheirOwn) {
  TwinModel twin = round_twin();
  twin.stack.price.scan_time = 5e-6;
  OpShape op = shape_of(OpClass::Scan);
  op.kind = OpKind::Scan;
  EXPECT_DOUBLE_EQ(price(op, {.n_tokens = 1}, big(), twin, true).launch.value(), 6e-6);
  EXPECT_DOUBLE_EQ(price(op, {.n_tokens = 1}, big(), twin, false).launch.value(), 15e-6);
  op.kind = OpKind::Conv;  // of the same class: a kernel like others
  EXPECT_DOUBLE_EQ(price(op, {.n_tokens = 1}, big(), twin, true).launch.value(), 1e-6);
}

}  // namespace
}  // namespace tinderbox
