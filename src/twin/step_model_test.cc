#include "twin/step_model.h"

#include <cmath>

#include "model/random_layers.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

TwinModel random_twin(Random& random) {
  TwinModel twin{round_machine(), round_stack(), random_model(random), random_format(random),
                 DType::F16};
  if (coin(random)) vary_layers(random, twin.model);
  for (Efficiency& e : twin.stack.efficiency) {
    e = {0.2 + 0.8 * random.uniform(), 0.2 + 0.8 * random.uniform(), 3 * random.uniform()};
  }
  for (double& f : twin.stack.format_memory) f = 0.3 + 0.7 * random.uniform();
  for (double& f : twin.stack.format_compute) f = 0.3 + random.uniform();
  twin.stack.graphs = coin(random);
  // So slow a machine that tiny models are bound by more than launches.
  twin.machine.memory_bandwidth = BytesPerSecond(std::pow(10, 5 + 6 * random.uniform()));
  twin.machine.clock_light = Hertz(std::pow(10, 3 + 6 * random.uniform()));
  twin.machine.clock_heavy = twin.machine.clock_light * 0.8;
  twin.machine.l2_size = Bytes(random.uniform() * 1e4);
  return twin;
}

// The compiled form against its definition: the graph, op by op.
TEST(StepModel, EqualsWalkOfTheGraph) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(3, Stream::Test, seed);
    const TwinModel twin = random_twin(random);
    std::vector<Segment> segments = random_segments(random, 30, 20);
    if (coin(random)) {
      for (Segment& s : segments) s.n_new = 1;
    }
    bool decode = true;
    for (const Segment& s : segments) decode = decode && s.n_new == 1;

    const StepCost step = StepModel(twin).price(segments, true);
    const Graph graph = build_step(twin.model, twin.weights, twin.kv, segments);
    Seconds ops;
    std::array<Work, kOpClasses> works{};
    for (const Op& op : graph.ops) {
      const Work work = count(graph, op);
      ops += price(work, op.op_class, twin, decode).time;
      works[static_cast<std::size_t>(op.op_class)].matmul += work.matmul;
      works[static_cast<std::size_t>(op.op_class)].weights += work.weights;
    }
    const Seconds overhead = twin.stack.step_overhead +
                             twin.stack.sequence_overhead * static_cast<double>(segments.size());
    EXPECT_NEAR(step.time.value(), (ops + overhead).value(), 1e-12 * step.time.value());
    EXPECT_EQ(step.overhead, overhead);
    int n_ops = 0;
    for (const ClassCost& c : step.classes) {
      n_ops += c.n_ops;
      const Work& work = works[static_cast<std::size_t>(c.op_class)];
      EXPECT_NEAR(c.work.matmul.value(), work.matmul.value(), 1e-9 * work.matmul.value());
      EXPECT_NEAR(c.work.weights.value(), work.weights.value(), 1e-9 * work.weights.value());
    }
    EXPECT_EQ(n_ops, static_cast<int>(graph.ops.size()));
  }
}

TEST(StepModel, ClassTimesAndOverheadSumToTheStep) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    Random random(4, Stream::Test, seed);
    const StepModel model(random_twin(random));
    const std::vector<Segment> segments = random_segments(random);
    const StepCost step = model.price(segments, true);
    Seconds sum = step.overhead;
    for (const ClassCost& c : step.classes) {
      sum += c.time;
      EXPECT_GE(c.time, std::max(c.compute, c.memory));
      EXPECT_LE(c.time.value(), (c.compute + c.memory + c.launch).value() * (1 + 1e-12));
    }
    EXPECT_NEAR(sum.value(), step.time.value(), 1e-12 * step.time.value());
    EXPECT_EQ(model.price(segments).time, step.time);  // explaining changes nothing
    EXPECT_TRUE(model.price(segments).classes.empty());
  }
}

// More of anything to do, or less to do it with, never makes an op cheaper.
TEST(StepModel, PriceIsMonotone) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    Random random(5, Stream::Test, seed);
    const TwinModel twin = random_twin(random);
    const auto op_class = static_cast<OpClass>(random.range(0, kOpClasses - 1));
    const bool decode = coin(random);
    const auto draw = [&] { return std::pow(10, 9 * random.uniform()); };
    const Work work{Flops(draw()), Flops(draw()), Bytes(draw()), Bytes(draw()),
                    Bytes(draw()), Bytes(draw()), DType::Q8_0};
    const Seconds time = price(work, op_class, twin, decode).time;
    const auto costs_more = [&](auto change) {
      Work more = work;
      change(more);
      EXPECT_GE(price(more, op_class, twin, decode).time, time);
    };
    const double k = 1 + random.uniform();
    costs_more([&](Work& w) { w.matmul *= k; });
    costs_more([&](Work& w) { w.vector *= k; });
    costs_more([&](Work& w) { w.weights *= k; });
    costs_more([&](Work& w) { w.kv_read *= k; });
    costs_more([&](Work& w) { w.kv_write *= k; });
    costs_more([&](Work& w) { w.activations *= k; });
    TwinModel slower = twin;
    slower.machine.memory_bandwidth = twin.machine.memory_bandwidth / k;
    EXPECT_GE(price(work, op_class, slower, decode).time, time);
    slower.machine.clock_heavy = slower.machine.clock_light = twin.machine.clock_heavy / k;
    EXPECT_GE(price(work, op_class, slower, decode).time, time);
  }
}

TEST(StepModel, MoreTokensAreNeverCheaper) {
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(6, Stream::Test, seed);
    const StepModel model(random_twin(random));
    const std::vector<Segment> segments = random_segments(random);
    const Seconds time = model.price(segments).time;
    const auto costs_more = [&](const std::vector<Segment>& more) {
      EXPECT_GE(model.price(more).time.value(), time.value() * (1 - 1e-12));
    };
    for (std::size_t i = 0; i < segments.size(); ++i) {
      std::vector<Segment> more = segments;
      more[i].n_new += static_cast<std::int32_t>(random.range(1, 9));
      costs_more(more);
      more = segments;
      more[i].n_past += static_cast<std::int32_t>(random.range(1, 9));
      costs_more(more);
      more = segments;
      more[i].samples = true;
      costs_more(more);
      more = segments;
      more.push_back(segments[i]);
      costs_more(more);
    }
  }
}

// Prices worked out by hand on the machine of round numbers.
TEST(StepModel, RooflineByHand) {
  const TwinModel twin{round_machine(), round_stack(), dense_model(), all_in(DType::F16),
                       DType::F16};
  Work work;
  work.matmul = Flops(1e12);
  work.weights = Bytes(10e9);
  work.weight_dtype = DType::F16;
  const Cost decode = price(work, OpClass::MatMul, twin, true);
  EXPECT_DOUBLE_EQ(decode.compute.value(), 1.0);  // at clock_light
  EXPECT_DOUBLE_EQ(decode.memory.value(), 0.1);
  EXPECT_DOUBLE_EQ(decode.launch.value(), 1e-6);  // a replayed graph
  EXPECT_DOUBLE_EQ(decode.time.value(), 1.0 + 1e-6);
  EXPECT_EQ(decode.bound, Bound::Compute);
  const Cost prefill = price(work, OpClass::MatMul, twin, false);
  EXPECT_DOUBLE_EQ(prefill.compute.value(), 2.0);  // at clock_heavy
  EXPECT_DOUBLE_EQ(prefill.launch.value(), 10e-6);

  TwinModel fp8 = twin;
  fp8.stack.format_math[static_cast<std::size_t>(DType::FP8)] = MathType::FP8;
  fp8.stack.format_memory[static_cast<std::size_t>(DType::FP8)] = 0.5;
  work.weight_dtype = DType::FP8;
  EXPECT_DOUBLE_EQ(price(work, OpClass::MatMul, fp8, true).compute.value(), 0.5);
  EXPECT_DOUBLE_EQ(price(work, OpClass::MatMul, fp8, true).memory.value(), 0.2);
  fp8.stack.format_compute[static_cast<std::size_t>(DType::FP8)] = 0.25;
  EXPECT_DOUBLE_EQ(price(work, OpClass::MatMul, fp8, true).compute.value(), 2.0);
  fp8.stack.format_compute[static_cast<std::size_t>(DType::FP8)] = 1;
  EXPECT_DOUBLE_EQ(price(work, OpClass::Attention, fp8, true).compute.value(), 1.0);  // always F16
  fp8.machine.flops_per_clock[static_cast<std::size_t>(MathType::FP8)] =
      0;  // a machine without it widens
  EXPECT_DOUBLE_EQ(price(work, OpClass::MatMul, fp8, true).compute.value(), 1.0);

  Work small;
  small.activations = Bytes(1e6);  // just fits the L2
  EXPECT_DOUBLE_EQ(price(small, OpClass::Norm, twin, true).memory.value(), 0);
  EXPECT_EQ(price(small, OpClass::Norm, twin, true).bound, Bound::Launch);
  small.activations = Bytes(1e6 + 1e9);
  EXPECT_DOUBLE_EQ(price(small, OpClass::Norm, twin, true).memory.value(), 0.01);
}

// Decode of a dense 8 B model reads its weights once: 15.0 GB of F16 matrices and head at 100 GB/s.
TEST(StepModel, DecodeOfADenseModelIsItsWeightsOverBandwidth) {
  const StepModel model(
      {round_machine(), round_stack(), dense_model(), all_in(DType::F16), DType::F16});
  const std::vector<Segment> one{{.n_past = 0, .n_new = 1}};
  const StepCost step = model.price(one, true);
  EXPECT_EQ(step.bound, Bound::Memory);
  Bytes weights;
  for (const ClassCost& c : step.classes) weights += c.work.weights;
  const Bytes embedding(2.0 * 128256 * 4096);
  EXPECT_DOUBLE_EQ(weights.value(), (model.footprint().weights - embedding).value() + 2 * 4096);
  EXPECT_NEAR(step.time.value(), weights.value() / 100e9, 0.01 * step.time.value());
}

}  // namespace
}  // namespace tinderbox
