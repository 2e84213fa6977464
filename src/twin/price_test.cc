#include "twin/price.h"

#include <cmath>
#include <set>

#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

TwinModel round_twin() {
  return {round_machine(), round_stack(), dense_model(), all_in(DType::F16), DType::F16};
}

// A product of so many rows, or an expert's of so many tokens.
OpShape product(OpClass op_class, double rows, DType dtype = DType::F16) {
  OpShape op;
  op.op_class = op_class;
  op.x_rows = rows;
  op.w_dtype = dtype;
  return op;
}
OpShape shape_of(OpClass op_class) { return product(op_class, 1); }

// 1 s of F16 at clock_light, 0.1 s of bandwidth.
Work big() {
  Work work;
  work.matmul = Flops(1e12);
  work.weights = Bytes(10e9);
  return work;
}
Work cache_of(double bytes) {
  Work work;
  work.kv_read = Bytes(bytes);
  return work;
}
Work activations_of(double bytes) {
  Work work;
  work.activations = Bytes(bytes);
  return work;
}

struct RandomPrice {
  TwinModel twin = round_twin();
  OpShape op;
  StepShape step;
  Work work;
  bool decode = false;
  Cost cost() const { return price(op, step, work, twin, decode); }
};

TEST(Price, ProductByHand) {
  const TwinModel twin = round_twin();
  for (const OpClass op_class : {OpClass::MatMul, OpClass::LmHead, OpClass::Expert}) {
    const Cost decode = price(product(op_class, 4), {.n_tokens = 4}, big(), twin, true);
    EXPECT_DOUBLE_EQ(decode.compute.value(), 1.0);  // at clock_light
    EXPECT_DOUBLE_EQ(decode.memory.value(), 0.1);
    EXPECT_DOUBLE_EQ(decode.launch.value(), 1e-6);  // a replayed graph
    EXPECT_DOUBLE_EQ(decode.time.value(), 1.0 + 1e-6);
    EXPECT_EQ(decode.bound, Bound::Compute);
    const Cost prefill = price(product(op_class, 4), {.n_tokens = 4}, big(), twin, false);
    EXPECT_DOUBLE_EQ(prefill.compute.value(), 2.0);  // at clock_heavy
    EXPECT_DOUBLE_EQ(prefill.memory.value(), 0.1);
    EXPECT_DOUBLE_EQ(prefill.launch.value(), 10e-6);
  }
}

TEST(Price, ProductsHaveTheSharesOfTheirKernels) {
  TwinModel twin = round_twin();
  twin.stack.kernels.push_back(
      {.name = "half", .math = MathType::FP8, .memory_share = 0.5, .compute_share = 0.25});
  twin.stack.format_kernels[static_cast<std::size_t>(DType::FP8)] = 1;
  const auto cost = [&](OpClass op_class, DType dtype) {
    return price(product(op_class, 1, dtype), {.n_tokens = 1, .experts = 1}, big(), twin, true);
  };
  for (const OpClass op_class : {OpClass::MatMul, OpClass::LmHead, OpClass::Expert}) {
    EXPECT_DOUBLE_EQ(cost(op_class, DType::F16).compute.value(), 1.0);
    EXPECT_DOUBLE_EQ(cost(op_class, DType::FP8).compute.value(), 0.5 / 0.25);  // twice the peak
    EXPECT_DOUBLE_EQ(cost(op_class, DType::FP8).memory.value(), 0.1 / 0.5);
  }
  twin.stack.price.expert_compute_ratio = 0.5;
  twin.stack.price.expert_memory_ratio = 1.25;
  EXPECT_DOUBLE_EQ(cost(OpClass::Expert, DType::FP8).compute.value(), 4.0);
  EXPECT_DOUBLE_EQ(cost(OpClass::Expert, DType::FP8).memory.value(), 0.16);
  EXPECT_DOUBLE_EQ(cost(OpClass::MatMul, DType::FP8).compute.value(), 2.0);
  EXPECT_DOUBLE_EQ(cost(OpClass::LmHead, DType::FP8).memory.value(), 0.2);
}

// Arithmetic that a machine does not have runs at the next wider one's peak.
TEST(Price, ArithmeticWidens) {
  TwinModel twin = round_twin();
  const auto seconds = [&](MathType math) {
    twin.stack.kernels[0].math = math;
    return price(shape_of(OpClass::MatMul), {.n_tokens = 1}, big(), twin, true).compute.value();
  };
  EXPECT_DOUBLE_EQ(seconds(MathType::FP4), 0.25);
  EXPECT_DOUBLE_EQ(seconds(MathType::F32), 4.0);
  const auto lose = [&](MathType math) {
    twin.machine.flops_per_clock[static_cast<std::size_t>(math)] = 0;
  };
  lose(MathType::FP4);
  EXPECT_DOUBLE_EQ(seconds(MathType::FP4), 1.0);
  lose(MathType::F16);
  EXPECT_DOUBLE_EQ(seconds(MathType::FP4), 2.0);
  lose(MathType::TF32);
  EXPECT_DOUBLE_EQ(seconds(MathType::FP4), 4.0);
  EXPECT_DOUBLE_EQ(seconds(MathType::F32), 4.0);
}

// A machine without a kernel's arithmetic computes as the 16-bit kernel does, with its share; the bytes are
// those of the format all the same.
TEST(Price, KernelsWithoutTheirArithmeticComputeInSixteenBits) {
  TwinModel twin = round_twin();
  twin.stack.kernels[0].compute_share = 0.5;  // of F16
  twin.stack.kernels.push_back(
      {.name = "fp4", .math = MathType::FP4, .memory_share = 0.25, .compute_share = 0.8});
  twin.stack.format_kernels[static_cast<std::size_t>(DType::NVFP4)] = 1;
  const auto cost = [&] {
    return price(product(OpClass::MatMul, 1, DType::NVFP4), {.n_tokens = 1}, big(), twin, true);
  };
  EXPECT_DOUBLE_EQ(cost().compute.value(), 0.25 / 0.8);
  EXPECT_DOUBLE_EQ(cost().memory.value(), 0.4);
  twin.machine.flops_per_clock[static_cast<std::size_t>(MathType::FP4)] = 0;
  EXPECT_DOUBLE_EQ(cost().compute.value(), 1 / 0.5);
  EXPECT_DOUBLE_EQ(cost().memory.value(), 0.4);
  twin.stack.format_kernels[static_cast<std::size_t>(DType::F16)] = -1;  // nor a 16-bit kernel
  EXPECT_DOUBLE_EQ(cost().compute.value(), 1 / 0.8);
}

// What stacks reach on a machine beside the one that they were fitted on: of its bandwidth and arithmetic, and
// how long its kernels take, in every class.
TEST(Price, MachinesReachMoreOrLess) {
  for (int i = 0; i < kOpClasses; ++i) {
    RandomPrice base;
    base.op = shape_of(static_cast<OpClass>(i));
    base.op.kind = OpKind::Scan;  // also takes scan_time
    base.step = {.n_tokens = 1};
    base.work = {Flops(1e12), Flops(0), Bytes(1e9), Bytes(1e9), Bytes(1e9), Bytes(1e9), DType::F16};
    base.twin.stack.price.product_time = base.twin.stack.price.scan_time = 7e-6;
    RandomPrice other = base;
    other.twin.machine.memory_ratio = 0.5;
    other.twin.machine.compute_ratio = 0.25;
    other.twin.machine.kernel_ratio = 3;
    EXPECT_DOUBLE_EQ(other.cost().memory.value(), 2 * base.cost().memory.value());
    EXPECT_DOUBLE_EQ(other.cost().compute.value(), 4 * base.cost().compute.value());
    EXPECT_DOUBLE_EQ(other.cost().launch.value(), 3 * base.cost().launch.value());
    EXPECT_GT(base.cost().memory.value(), 0);
  }
}

// At half_rows a product takes twice the time of its share, far above no longer.
TEST(Price, FewRowsFillTheUnitsPoorly) {
  TwinModel twin = round_twin();
  twin.stack.price.half_rows = 24;
  const auto seconds = [&](OpClass op_class, double rows, StepShape step) {
    return price(product(op_class, rows), step, big(), twin, true).compute.value();
  };
  EXPECT_DOUBLE_EQ(seconds(OpClass::MatMul, 24, {.n_tokens = 24}), 2.0);
  EXPECT_DOUBLE_EQ(seconds(OpClass::MatMul, 8, {.n_tokens = 8}), 4.0);
  EXPECT_DOUBLE_EQ(seconds(OpClass::LmHead, 1, {.n_tokens = 512}), 25.0);  // its own rows count
  EXPECT_NEAR(seconds(OpClass::MatMul, 24e6, {.n_tokens = 24e6}), 1.0, 2e-6);
  EXPECT_DOUBLE_EQ(seconds(OpClass::Expert, 24, {.n_tokens = 24}), 1.0);
  // 16 tokens to 2 experts each, over 8: 4 rows an expert.
  twin.stack.price.expert_half_rows = 12;
  OpShape expert = product(OpClass::Expert, 32);
  expert.at.n_experts = 8;
  expert.at.n_used = 2;
  const StepShape step{.n_tokens = 16, .experts = 8};
  EXPECT_DOUBLE_EQ(price(expert, step, big(), twin, true).compute.value(), 4.0);
}

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
  work.weights = Bytes(1e9);  // sinks: so few that they are not priced
  EXPECT_DOUBLE_EQ(cost(128).memory.value(), 0.2);
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

TEST(Price, OtherOpsMoveBytes) {
  TwinModel twin = round_twin();
  twin.stack.price.vector_memory_share = 0.5;
  Work work = big();  // products are not theirs: only bytes are priced
  work.kv_read = Bytes(20e9);
  work.kv_write = Bytes(10e9);
  for (const OpClass op_class :
       {OpClass::Embed, OpClass::Norm, OpClass::KvStore, OpClass::Elementwise, OpClass::Route}) {
    const Cost cost = price(shape_of(op_class), {.n_tokens = 1}, work, twin, true);
    EXPECT_DOUBLE_EQ(cost.memory.value(), 0.8) << op_class_name(op_class);
    EXPECT_EQ(cost.compute.value(), 0);
    EXPECT_EQ(cost.bound, Bound::Memory);
  }
}

// Activations are handed over in the L2 cache, 1 MB of it; the rest goes to memory and back, in
// every class.
TEST(Price, ActivationsSpillOverTheCache) {
  TwinModel twin = round_twin();
  for (int i = 0; i < kOpClasses; ++i) {
    const auto op_class = static_cast<OpClass>(i);
    const auto memory = [&](double bytes) {
      return price(shape_of(op_class), {.n_tokens = 1}, activations_of(bytes), twin, true)
          .memory.value();
    };
    twin.stack.activation_bytes = 4;
    twin.stack.price.vector_memory_share = 1;
    EXPECT_DOUBLE_EQ(memory(1e6), 0) << op_class_name(op_class);
    EXPECT_DOUBLE_EQ(memory(1e6 + 1e9), 0.01);
    twin.stack.price.vector_memory_share = 0.5;
    EXPECT_DOUBLE_EQ(memory(1e6 + 1e9), 0.02);
    twin.stack.activation_bytes = 2;  // half the bytes counted
    EXPECT_DOUBLE_EQ(memory(2e6 + 1e9), 0.01);
  }
}

TEST(Price, LaunchesByClassPhaseAndStack) {
  TwinModel twin = round_twin();
  for (int i = 0; i < kOpClasses; ++i) twin.stack.launches[static_cast<std::size_t>(i)] = i;
  for (int i = 0; i < kOpClasses; ++i) {
    const auto launch = [&](bool decode) {
      return price(shape_of(static_cast<OpClass>(i)), {.n_tokens = 1}, big(), twin, decode)
          .launch.value();
    };
    twin.stack.graphs = true;
    EXPECT_DOUBLE_EQ(launch(true), i * 1e-6);
    EXPECT_DOUBLE_EQ(launch(false), i * 10e-6);
    twin.stack.graphs = false;
    EXPECT_DOUBLE_EQ(launch(true), i * 10e-6);
  }
}

// Filling and draining the units, beside the launch, in products alone and in either phase.
TEST(Price, ProductsTakeATimeOfTheirOwn) {
  TwinModel twin = round_twin();
  twin.stack.price.product_time = 5e-6;
  for (int i = 0; i < kOpClasses; ++i) {
    const auto op_class = static_cast<OpClass>(i);
    const bool is_product = op_class == OpClass::MatMul || op_class == OpClass::Expert ||
                            op_class == OpClass::LmHead;
    const auto launch = [&](bool decode) {
      return price(shape_of(op_class), {.n_tokens = 1}, big(), twin, decode).launch.value();
    };
    EXPECT_DOUBLE_EQ(launch(true), is_product ? 6e-6 : 1e-6) << op_class_name(op_class);
    EXPECT_DOUBLE_EQ(launch(false), is_product ? 15e-6 : 10e-6) << op_class_name(op_class);
  }
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

// A head of one row reads its weights at a share of its own; of two rows, or any other product, not.
TEST(Price, HeadOfOneRowByHand) {
  TwinModel twin = round_twin();
  twin.stack.price.single_head_ratio = 0.5;
  const auto memory = [&](OpClass op_class, double rows) {
    return price(product(op_class, rows), {.n_tokens = 1}, big(), twin, true).memory.value();
  };
  EXPECT_DOUBLE_EQ(memory(OpClass::LmHead, 1), 0.2);
  EXPECT_DOUBLE_EQ(memory(OpClass::LmHead, 2), 0.1);
  EXPECT_DOUBLE_EQ(memory(OpClass::MatMul, 1), 0.1);
  EXPECT_DOUBLE_EQ(memory(OpClass::Expert, 1), 0.1);
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

TEST(Price, NoWorkIsNoKernel) {
  const Cost cost = price(shape_of(OpClass::Elementwise), {.n_tokens = 1}, Work{}, round_twin(), true);
  EXPECT_EQ(cost.time.value(), 0);
  EXPECT_EQ(cost.launch.value(), 0);
}

TEST(Price, BoundIsTheLargest) {
  EXPECT_EQ(largest(Seconds(3), Seconds(2), Seconds(1)), Bound::Compute);
  EXPECT_EQ(largest(Seconds(2), Seconds(3), Seconds(1)), Bound::Memory);
  EXPECT_EQ(largest(Seconds(2), Seconds(1), Seconds(3)), Bound::Launch);
  EXPECT_EQ(bound_name(Bound::Launch), "launch");
}

RandomPrice random_price(Random& random) {
  RandomPrice r;
  for (StackParameter& p : parameters(r.twin.stack)) *p.value = 0.1 + random.uniform();
  r.twin.stack.price.kernel_time = 1e-3 * random.uniform();
  r.twin.stack.price.product_time = 1e-3 * random.uniform();
  r.twin.stack.price.scan_time = 1e-3 * random.uniform();
  r.twin.kv = coin(random) ? DType::F16 : DType::Q8_0;
  r.twin.stack.price.graph_kernel_time = 1e-3 * random.uniform();
  r.op = product(static_cast<OpClass>(random.range(0, kOpClasses - 1)),
                 static_cast<double>(random.range(1, 1000)));
  r.op.at.n_used = static_cast<int>(random.range(1, 8));
  r.op.at.qk_dim = static_cast<int>(random.range(8, 600));
  r.step = {.n_tokens = r.op.x_rows, .experts = static_cast<double>(random.range(1, 64))};
  const auto draw = [&] { return std::pow(10, 12 * random.uniform()); };
  r.work = {Flops(draw()), Flops(draw()), Bytes(draw()), Bytes(draw()),
            Bytes(draw()), Bytes(draw()), DType::F16};
  r.decode = coin(random);
  return r;
}

// The longer of compute and memory, the share of the shorter that it does not hide, the launches.
TEST(Price, IsLongerPlusOverlapPlusLaunch) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    Random random(20, Stream::Test, seed);
    const RandomPrice r = random_price(random);
    const Cost c = r.cost();
    EXPECT_GT(c.time.value(), 0);
    EXPECT_GE(std::min({c.compute.value(), c.memory.value(), c.launch.value()}), 0);
    const double longer = std::max(c.compute, c.memory).value();
    const double shorter = std::min(c.compute, c.memory).value();
    EXPECT_DOUBLE_EQ(c.time.value(),
                     longer + r.twin.stack.price.overlap_ratio * shorter + c.launch.value());
  }
}

// More of anything to do, or less to do it with, never makes an op cheaper.
TEST(Price, IsMonotone) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(5, Stream::Test, seed);
    const RandomPrice drawn = random_price(random);
    const Seconds time = drawn.cost().time;
    const double k = 1 + random.uniform();
    const auto costs_more = [&](auto change) {
      RandomPrice more = drawn;
      change(more);
      EXPECT_GE(more.cost().time.value(), time.value() * (1 - 1e-12));
    };
    costs_more([&](RandomPrice& r) { r.work.matmul *= k; });
    costs_more([&](RandomPrice& r) { r.work.vector *= k; });
    costs_more([&](RandomPrice& r) { r.work.weights *= k; });
    costs_more([&](RandomPrice& r) { r.work.kv_read *= k; });
    costs_more([&](RandomPrice& r) { r.work.kv_write *= k; });
    costs_more([&](RandomPrice& r) { r.work.activations *= k; });
    costs_more([&](RandomPrice& r) { r.twin.machine.memory_bandwidth = r.twin.machine.memory_bandwidth / k; });
    costs_more([&](RandomPrice& r) { r.twin.machine.clock_light = r.twin.machine.clock_light / k; });
    costs_more([&](RandomPrice& r) { r.twin.machine.clock_heavy = r.twin.machine.clock_heavy / k; });
    costs_more([&](RandomPrice& r) { r.twin.machine.l2_size = r.twin.machine.l2_size / k; });
    // Shares and ratios speed up; everything else slows down. More experts mean fewer rows of each.
    RandomPrice other = drawn;
    for (const StackParameter& p : parameters(other.twin.stack)) {
      const double before = *p.value;
      const bool speeds_up = p.key.ends_with("_share") ||
                             (p.key.ends_with("_ratio") && p.key != "price.overlap_ratio");
      *p.value = speeds_up ? before / k : before * k;
      EXPECT_GE(other.cost().time.value(), time.value() * (1 - 1e-12)) << p.key;
      *p.value = before;
    }
    costs_more([&](RandomPrice& r) { r.step.experts *= k; });
  }
}

// The tokens of a step with rows in proportion: more of them cost more, each of them less.
TEST(Price, MoreRowsCostMoreAndLessEach) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    Random random(21, Stream::Test, seed);
    RandomPrice r = random_price(random);
    r.op.op_class = coin(random) ? OpClass::MatMul : OpClass::LmHead;
    const Cost few = r.cost();
    const double k = 1 + 3 * random.uniform();
    r.op.x_rows *= k;
    r.work.matmul *= k;
    r.work.activations *= k;
    const Cost many = r.cost();
    EXPECT_GE(many.time.value(), few.time.value() * (1 - 1e-12));
    EXPECT_LE(many.compute.value(), few.compute.value() * k * (1 + 1e-12));
  }
}

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
