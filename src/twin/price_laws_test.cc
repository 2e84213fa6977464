// What holds of the price of any op on any machine, by drawing them.
#include "twin/price.h"

#include <algorithm>
#include <cmath>

#include "twin/test_ops.h"

namespace tinderbox {
namespace {

using namespace testing;

struct RandomPrice {
  TwinModel twin = round_twin();
  OpShape op;
  StepShape step;
  Work work;
  bool decode = false;
  Cost cost() const { return price(op, step, work, twin, decode); }
};

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

RandomPrice random_price(Random& random) {
  RandomPrice r;
  for (StackParameter& p : parameters(r.twin.stack)) *p.value = 0.1 + random.uniform();
  // A second row makes a product shorter where a vector's kernel reads slowly.
  r.twin.stack.price.short_row_exponent = 0;
  r.twin.stack.price.single_head_ratio = 1 + random.uniform();
  r.twin.stack.price.kernel_time = 1e-3 * random.uniform();
  r.twin.stack.price.product_time = 1e-3 * random.uniform();
  r.twin.stack.price.scan_time = 1e-3 * random.uniform();
  r.twin.kv = coin(random) ? DType::F16 : DType::Q8_0;
  r.twin.stack.price.graph_kernel_time = 1e-3 * random.uniform();
  r.twin.stack.price.eager_kernel_time = 1e-3 * random.uniform();
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
    // An expert's only row takes a vector's kernel, which fills no tiles.
    const bool tiles = drawn.op.x_rows * drawn.op.at.n_used >= 2 * k * drawn.step.experts;
    if (tiles || drawn.op.op_class != OpClass::Expert) costs_more([&](RandomPrice& r) { r.step.experts *= k; });
  }
}

// The tokens of a step with rows in proportion: more of them cost more, and, where the kernels are those of matrices,
// each of them less.
TEST(Price, MoreRowsCostMoreAndLessEach) {
  int n_matrices = 0;
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
    if (r.op.x_rows < 2 * k) continue;  // a row alone takes a vector's kernel
    ++n_matrices;
    EXPECT_LE(many.compute.value(), few.compute.value() * k * (1 + 1e-12));
  }
  EXPECT_GT(n_matrices, 50);
}

}  // namespace
}  // namespace tinderbox
