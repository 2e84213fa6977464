#include "twin/step_model.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/random_layers.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

// Two kernels and every parameter of a price.
void randomise(Random& random, Stack& stack) {
  const auto share = [&] { return 0.2 + 0.8 * random.uniform(); };
  stack.kernels.push_back({.name = "wide", .math = MathType::F32});
  for (StackParameter& p : parameters(stack)) *p.value = share();
  for (int& k : stack.format_kernels) k = static_cast<int>(random.range(0, 1));
  // Below 1 the second row of a head would make a step shorter, as it does in such libraries.
  stack.price.single_head_ratio = 1 + random.uniform();
  stack.price.short_row_exponent = 0;  // likewise
  stack.price.half_rows = 40 * random.uniform();
  stack.price.expert_half_rows = 40 * random.uniform();
  stack.price.graph_kernel_time = 5e-6 * random.uniform();
  // Replaying a graph is never dearer than launching its kernels one by one.
  stack.price.eager_kernel_time = stack.price.graph_kernel_time * (1 + random.uniform());
  stack.price.kernel_time = stack.price.eager_kernel_time * (1 + random.uniform());
  if (coin(random)) stack.graph_limits = {.tokens = 3, .expert_tokens = 2};
  stack.price.product_time = 1e-5 * random.uniform();
  stack.price.scan_time = 1e-5 * random.uniform();
  stack.price.step_time = 1e-3 * random.uniform();
  stack.price.sequence_time = 1e-4 * random.uniform();
  for (double& n : stack.launches) n = static_cast<double>(random.range(0, 3));
  stack.activation_bytes = coin(random) ? 2 : 4;
}

TwinModel random_twin(Random& random) {
  TwinModel twin{round_machine(), round_stack(), random_model(random), random_format(random),
                 DType::F16};
  if (coin(random)) vary_layers(random, twin.model);
  randomise(random, twin.stack);
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
      StepShape shape = shape_of(graph.segments, op.at, op.kind);
      if (op.op_class == OpClass::Expert) {
        shape.experts = experts_touched(op.at, shape.n_tokens, twin.stack);
      }
      const Work work = count(shape_of(graph, op), shape, twin.kv);
      ops += price(shape_of(graph, op), shape, work, twin, decode).time;
      works[static_cast<std::size_t>(op.op_class)].matmul += work.matmul;
      works[static_cast<std::size_t>(op.op_class)].weights += work.weights;
    }
    const Seconds overhead(twin.stack.price.step_time +
                           twin.stack.price.sequence_time * static_cast<double>(segments.size()));
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

TEST(StepModel, MoreTokensAreNeverCheaper) {
  int n_selecting = 0;
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(6, Stream::Test, seed);
    const StepModel model(random_twin(random));
    // A query that selects blocks reads the incomplete one whole, until the next token completes it; which tokens
    // complete a pooled row depends on where they stand.
    const bool selects = std::ranges::any_of(model.twin().model.layers, [](const LayerConfig& layer) {
      return layer.sparse || layer.mixer == Mixer::Pooled;
    });
    n_selecting += selects ? 1 : 0;
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
      if (!selects) costs_more(more);
      more = segments;
      more[i].samples = true;
      costs_more(more);
      more = segments;
      more.push_back(segments[i]);
      costs_more(more);
    }
  }
  EXPECT_LT(n_selecting, 50);
}

// Decode of a dense 8 B model reads its weights once: 15.0 GB of F16 matrices and head at 100 GB/s.
TEST(StepModel, DecodeOfADenseModelIsItsWeightsOverBandwidth) {
  const StepModel model(round_twin());
  const std::vector<Segment> one{{.n_past = 0, .n_new = 1}};
  const StepCost step = model.price(one, true);
  EXPECT_EQ(step.bound, Bound::Memory);
  Bytes weights;
  for (const ClassCost& c : step.classes) weights += c.work.weights;
  const Bytes embedding(2.0 * 128256 * 4096);
  EXPECT_DOUBLE_EQ(weights.value(), (model.footprint().weights - embedding).value() + 2 * 4096);
  EXPECT_NEAR(step.time.value(), weights.value() / 100e9, 0.01 * step.time.value());
}

// Numbers of the stack enter a price and nothing else: another stack's, and back.
// n_ubatch: a step is the sum of its pieces, cut in order; only the piece with a segment's last token samples it.
TEST(StepModel, ComputesAStepInPieces) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    Random random(6, Stream::Test, seed);
    TwinModel twin = random_twin(random);
    const StepModel whole(twin);
    twin.stack.micro_tokens_max = 8;
    const StepModel cut(twin);
    const auto time = [](const StepModel& model, std::vector<Segment> segments) {
      return model.price(segments).time.value();
    };
    const std::vector<Segment> step = {{5, 1, true}, {3, 10, true}, {0, 8, true}};
    const double pieces = time(whole, {{5, 1, true}, {3, 7, false}}) + time(whole, {{10, 3, true}, {0, 5, false}}) +
                          time(whole, {{5, 3, true}});
    EXPECT_NEAR(time(cut, step), pieces, 1e-12 * pieces) << seed;
    EXPECT_EQ(time(cut, {{5, 1, true}, {3, 7, true}}), time(whole, {{5, 1, true}, {3, 7, true}})) << "no more than one";
    const StepCost explained = cut.price(step, true);
    EXPECT_NEAR(explained.time.value(), pieces, 1e-12 * pieces);
    EXPECT_FALSE(explained.classes.empty());
    twin.micro_tokens = 64;  // as it was started
    EXPECT_EQ(time(StepModel(twin), step), time(whole, step));
  }
}

TEST(StepModel, WithStackChangesThePriceAlone) {
  const StepModel model(round_twin());
  const std::vector<Segment> one{{.n_past = 100, .n_new = 1}};
  Stack half = round_stack();
  half.kernels[0].memory_share = 0.5;
  const StepModel slower = model.with_stack(half);
  const StepCost before = model.price(one, true), after = slower.price(one, true);
  EXPECT_GT(after.time, 1.9 * before.time);
  ASSERT_EQ(after.classes.size(), before.classes.size());
  for (std::size_t i = 0; i < after.classes.size(); ++i) {
    EXPECT_EQ(after.classes[i].work.bytes(), before.classes[i].work.bytes());
    EXPECT_EQ(after.classes[i].n_ops, before.classes[i].n_ops);
  }
  EXPECT_EQ(slower.with_stack(round_stack()).price(one).time, before.time);
}

TEST(StepModel, NamesTheWeightThatHasNoKernel) {
  Stack stack = round_stack();
  stack.format_kernels[static_cast<std::size_t>(DType::FP8)] = -1;
  const auto model = [&](DType dtype) {
    return StepModel({round_machine(), stack, dense_model(), all_in(dtype), DType::F16});
  };
  EXPECT_NO_THROW(model(DType::F16));
  try {
    model(DType::FP8);
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Unsupported);
    for (const char* word : {"round", "fp8", "blk.0.attn_q.weight", "dense-8b"}) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tinderbox
