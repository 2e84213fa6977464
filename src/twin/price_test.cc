#include "twin/price.h"

#include "twin/test_ops.h"

namespace tinderbox {
namespace {

using namespace testing;

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

// At half_rows a product takes twice the time of its share, far above no longer.
TEST(Price, FewRowsFillTheUnitsPoorly) {
  TwinModel twin = round_twin();
  twin.stack.price.half_rows = 24;
  const auto seconds = [&](OpClass op_class, double rows, StepShape step) {
    return price(product(op_class, rows), step, big(), twin, true).compute.value();
  };
  EXPECT_DOUBLE_EQ(seconds(OpClass::MatMul, 24, {.n_tokens = 24}), 2.0);
  EXPECT_DOUBLE_EQ(seconds(OpClass::MatMul, 8, {.n_tokens = 8}), 4.0);
  EXPECT_DOUBLE_EQ(seconds(OpClass::LmHead, 2, {.n_tokens = 512}), 13.0);  // its own rows count
  EXPECT_DOUBLE_EQ(seconds(OpClass::LmHead, 1, {.n_tokens = 512}), 1.0);   // a vector's kernel fills no tiles
  EXPECT_DOUBLE_EQ(seconds(OpClass::MatMul, 1.5, {.n_tokens = 2}), 9.0);   // one in two
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
    EXPECT_DOUBLE_EQ(launch(true), i * 4e-6);
    EXPECT_DOUBLE_EQ(launch(false), i * 10e-6);
  }
}

// Steps of more tokens than the stack captures are launched kernel by kernel.
TEST(Price, ReplaysGraphsUpToTheirTokens) {
  TwinModel twin = round_twin();
  twin.stack.graphs = true;
  const auto launch = [&](double n_tokens) {
    return price(shape_of(OpClass::Norm), {.n_tokens = n_tokens}, big(), twin, true).launch.value();
  };
  EXPECT_DOUBLE_EQ(launch(1e6), 1e-6);
  twin.stack.graph_limits = {.tokens = 1, .expert_tokens = 4};
  EXPECT_DOUBLE_EQ(launch(1), 1e-6);
  EXPECT_DOUBLE_EQ(launch(2), 4e-6);
  twin.model.n_experts = 8;
  EXPECT_DOUBLE_EQ(launch(4), 1e-6);
  EXPECT_DOUBLE_EQ(launch(5), 4e-6);
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

// One row by 16-bit weights of few columns reads them at a share that falls with the columns.
TEST(Price, ShortRowsByHand) {
  TwinModel twin = round_twin();
  twin.stack.price.short_row_exponent = 0.5;
  const auto memory = [&](OpClass op_class, double rows, double cols, DType dtype) {
    OpShape op = product(op_class, rows, dtype);
    op.w_cols = cols;
    return price(op, {.n_tokens = rows, .experts = 1}, big(), twin, true).memory.value();
  };
  EXPECT_DOUBLE_EQ(memory(OpClass::MatMul, 1, 5120, DType::F16), 0.1);
  EXPECT_DOUBLE_EQ(memory(OpClass::MatMul, 1, 1280, DType::F16), 0.2);
  EXPECT_DOUBLE_EQ(memory(OpClass::LmHead, 1, 1280, DType::BF16), 0.2);
  EXPECT_DOUBLE_EQ(memory(OpClass::MatMul, 1, 20480, DType::F16), 0.1) << "long is long enough";
  EXPECT_DOUBLE_EQ(memory(OpClass::MatMul, 2, 1280, DType::F16), 0.1);
  EXPECT_DOUBLE_EQ(memory(OpClass::MatMul, 1, 1280, DType::FP8), 0.1);
  EXPECT_DOUBLE_EQ(memory(OpClass::Expert, 1, 1280, DType::F16), 0.1);
}

TEST(Price, NothingIsReadFasterThanTheBus) {
  TwinModel twin = round_twin();
  twin.stack.kernels[0].memory_share = 0.8;
  twin.stack.price.single_head_ratio = twin.stack.price.expert_memory_ratio = 1.5;
  for (const OpClass op_class : {OpClass::LmHead, OpClass::Expert}) {
    EXPECT_DOUBLE_EQ(price(product(op_class, 1), {.n_tokens = 1}, big(), twin, true).memory.value(), 0.1);
  }
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

}  // namespace
}  // namespace tinderbox
