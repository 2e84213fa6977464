#include "twin/work.h"

#include <cmath>
#include <map>
#include <set>

#include "base/random.h"
#include "model/random_layers.h"
#include "model/reference.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using namespace testing;

// Random weights for every name of a graph.
std::map<std::string, std::vector<float>> random_weights(const Graph& graph, Random& random) {
  std::map<std::string, std::vector<float>> weights;
  for (const Value& v : graph.values) {
    if (v.role != Role::Weight) continue;
    std::vector<float>& w = weights[v.name];
    w.resize(static_cast<std::size_t>(v.rows * v.cols));
    for (float& x : w) x = static_cast<float>(random.normal() * 0.3);
  }
  return weights;
}

void expect_equal(const Graph& graph, const Op& op, const Tally& tally) {
  const double experts =
      op.kind == OpKind::MoeMatMul ? static_cast<double>(tally.experts_touched) : -1;
  const Work work = count(graph, op, experts);
  const std::string where(op_name(op.kind));
  EXPECT_EQ(work.matmul.value(), static_cast<double>(tally.matmul_flops)) << where;
  EXPECT_EQ(work.vector.value(), static_cast<double>(tally.vector_flops)) << where;
  EXPECT_EQ(work.weights.value(), static_cast<double>(tally.weight_bytes)) << where;
  EXPECT_EQ(work.kv_read.value(), static_cast<double>(tally.kv_read_bytes)) << where;
  EXPECT_EQ(work.kv_write.value(), static_cast<double>(tally.kv_write_bytes)) << where;
  EXPECT_EQ(work.activations.value(), static_cast<double>(tally.activation_bytes)) << where;
}

std::vector<TokenId> draw_tokens(Random& random, std::int64_t n, int n_vocab) {
  std::vector<TokenId> tokens;
  for (std::int64_t t = 0; t < n; ++t) {
    tokens.push_back(static_cast<TokenId>(random.range(0, n_vocab - 1)));
  }
  return tokens;
}

// The proof: what count() says an op does is what the interpreter was seen doing.
TEST(Work, CountEqualsCountingReference) {
  std::set<OpKind> seen;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(1, Stream::Test, seed);
    ModelConfig model = random_model(random);
    if (seed % 3 > 0) vary_layers(random, model);
    const WeightFormat format = random_format(random);
    const DType kv_dtype = pick<DType>(random, {DType::F32, DType::F16, DType::FP8, DType::Q8_0});
    const Graph graph = build_step(model, format, kv_dtype, random_segments(random));
    verify(graph);
    const auto weights = random_weights(graph, random);
    Reference reference(
        [&](const std::string& name) { return std::span<const float>(weights.at(name)); });
    std::vector<ReferenceKv> kv(graph.segments.size());
    for (std::size_t i = 0; i < kv.size(); ++i) {  // what earlier steps left
      const std::int32_t n_past = graph.segments[i].n_past;
      if (n_past == 0) continue;
      const Graph past = build_step(model, format, kv_dtype, {{0, n_past, false}});
      reference.run(past, draw_tokens(random, n_past, model.n_vocab), {&kv[i], 1});
    }
    reference.run(graph, draw_tokens(random, graph.n_tokens, model.n_vocab), kv);
    ASSERT_EQ(reference.tallies().size(), graph.ops.size());
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      expect_equal(graph, graph.ops[i], reference.tallies()[i]);
      seen.insert(graph.ops[i].kind);
    }
    if (HasFailure()) return;
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kOpKinds));  // no op was left out
}

// Uniform routing, drawn: the mean number of distinct experts agrees within four standard errors.
TEST(Work, ExpectedExpertsAgreesWithSampling) {
  constexpr int kRuns = 4000;
  for (const auto& [n_experts, n_used, n_tokens] : std::vector<std::array<int, 3>>{
           {8, 2, 1}, {8, 2, 3}, {32, 4, 5}, {128, 8, 20}, {16, 1, 40}, {4, 4, 2}}) {
    Random random(2, Stream::Test, static_cast<std::uint32_t>(n_experts * 100 + n_tokens));
    double sum = 0, squares = 0;
    for (int run = 0; run < kRuns; ++run) {
      std::set<std::int64_t> touched;
      for (int t = 0; t < n_tokens; ++t) {
        std::set<std::int64_t> chosen;
        while (static_cast<int>(chosen.size()) < n_used)
          chosen.insert(random.range(0, n_experts - 1));
        touched.insert(chosen.begin(), chosen.end());
      }
      const auto n = static_cast<double>(touched.size());
      sum += n;
      squares += n * n;
    }
    const double mean = sum / kRuns, variance = squares / kRuns - mean * mean;
    EXPECT_NEAR(expected_experts(n_experts, n_used, n_tokens), mean,
                4 * std::sqrt(std::max(variance, 0.0) / kRuns) + 1e-9)
        << n_experts << " experts, " << n_used << " used, " << n_tokens << " tokens";
  }
}

TEST(Work, ExpectedExpertsLimits) {
  EXPECT_DOUBLE_EQ(expected_experts(128, 4, 1), 4);
  EXPECT_NEAR(expected_experts(128, 4, 1e6), 128, 1e-9);
  for (int t = 1; t < 100; ++t)
    EXPECT_LT(expected_experts(64, 8, t), expected_experts(64, 8, t + 1));
}

// The closed form of a segment against its definition.
TEST(Work, SegmentSumsEqualVisibleKeys) {
  for (std::int32_t past = 0; past < 12; ++past) {
    for (std::int32_t n = 1; n < 12; ++n) {
      for (std::int32_t window = 0; window < 14; ++window) {
        const std::vector<Segment> segments{{.n_past = past, .n_new = n}};
        double pairs = 0;
        std::set<std::int64_t> keys;
        for (std::int64_t i = 0; i < n; ++i) {
          const std::int64_t visible = visible_keys(segments[0], i, window);
          pairs += static_cast<double>(visible);
          for (std::int64_t j = 0; j < visible; ++j) keys.insert(past + i - j);
        }
        OpAttributes at;
        at.window = window;
        const StepShape step = shape_of(segments, at);
        EXPECT_EQ(step.pairs, pairs) << past << " " << n << " " << window;
        EXPECT_EQ(step.keys, static_cast<double>(keys.size())) << past << " " << n << " " << window;
      }
    }
  }
}

// The same for selections and pooled rows: sums over tokens in closed form against attended_rows.
TEST(Work, SelectedAndPooledSumsEqualTheirDefinition) {
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(5, Stream::Test, seed);
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      return static_cast<std::int32_t>(random.range(low, high));
    };
    OpAttributes at;
    at.ratio = draw(0, 4);
    at.window = at.ratio > 0 ? draw(0, 9) : 0;
    at.top_k = at.ratio > 0 ? draw(0, 5) : draw(1, 5);
    at.block = at.ratio > 0 ? at.ratio : draw(1, 4);
    const std::vector<Segment> segments{
        {.n_past = draw(0, 40), .n_new = draw(1, 30), .samples = true}};
    const std::int64_t past = segments[0].n_past, n = segments[0].n_new;
    double pairs = 0, selected = 0, blocks = 0;
    for (std::int64_t i = past + 1; i <= past + n; ++i) {
      const AttendedRows rows = attended_rows(at, i);
      pairs += static_cast<double>(rows.main + rows.pooled);
      selected += static_cast<double>(at.ratio > 0 ? rows.pooled : rows.main);
      blocks += static_cast<double>(i / at.block);
    }
    const double all = static_cast<double>(past + n);
    const double far = at.ratio > 0 ? std::floor(all / at.ratio) : 0;
    const double near = at.window > 0 ? std::min(all, static_cast<double>(at.window + n - 1)) : all;
    double keys = at.ratio > 0 ? near + far : all;
    if (at.top_k > 0) keys = at.ratio > 0 ? near + std::min(far, selected) : std::min(all, selected);
    const StepShape step = shape_of(segments, at);
    EXPECT_EQ(step.pairs, pairs);
    EXPECT_EQ(step.keys, keys);
    at.ratio = std::max(at.ratio, 1);
    at.block = at.ratio * draw(1, 2);
    blocks = 0;
    for (std::int64_t i = past + 1; i <= past + n; ++i) {
      blocks += static_cast<double>(i / at.block);
    }
    EXPECT_EQ(shape_of(segments, at, OpKind::Select).blocks, blocks);
  }
}

}  // namespace
}  // namespace tinderbox
