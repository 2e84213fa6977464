#include "model/reference.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "model/random_layers.h"
#include "model/random_model.h"

namespace tinderbox {
namespace {

const WeightFormat kF32 = uniform_format(DType::F32);

// Logits after the last token of each chunk, run as one segment a step.
std::vector<float> run_chunks(const ModelConfig& m, RandomWeights& weights,
                              const std::vector<TokenId>& tokens,
                              const std::vector<std::int32_t>& chunks) {
  Reference reference(weights.source());
  ReferenceKv kv;
  std::vector<float> logits;
  std::int32_t n_past = 0;
  for (const std::int32_t n : chunks) {
    const Graph graph = build_step(m, kF32, DType::F16, {{n_past, n, true}});
    logits = reference.run(
        graph,
        std::span(tokens).subspan(static_cast<std::size_t>(n_past), static_cast<std::size_t>(n)),
        std::span(&kv, 1));
    n_past += n;
  }
  return logits;
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << i;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  return largest;
}

TEST(Reference, ChunkedPrefillIsWholePrefill) {
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    Random random(5, Stream::Test, seed);
    ModelConfig m = random_model(random);
    if (seed % 2 == 1) vary_layers(random, m);
    RandomWeights weights(m, seed);
    const auto tokens = random_tokens(random, 12, m.n_vocab);
    const auto whole = run_chunks(m, weights, tokens, {12});
    expect_near(run_chunks(m, weights, tokens, {5, 1, 6}), whole, 1e-5);
    expect_near(run_chunks(m, weights, tokens, std::vector<std::int32_t>(12, 1)), whole, 1e-5);
  }
}

TEST(Reference, ABatchIsItsSequencesAlone) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    Random random(6, Stream::Test, seed);
    const ModelConfig m = random_model(random);
    RandomWeights weights(m, seed);
    const auto a = random_tokens(random, 7, m.n_vocab), b = random_tokens(random, 4, m.n_vocab);
    std::vector<TokenId> both = a;
    both.insert(both.end(), b.begin(), b.end());
    std::vector<ReferenceKv> kv(2);
    Reference reference(weights.source());
    const auto batched =
        reference.run(build_step(m, kF32, DType::F16, {{0, 7, true}, {0, 4, true}}), both, kv);
    auto alone = run_chunks(m, weights, a, {7});
    const auto second = run_chunks(m, weights, b, {4});
    alone.insert(alone.end(), second.begin(), second.end());
    expect_near(batched, alone, 1e-6);
  }
}

TEST(Reference, AWindowMattersOnlyIfItIsShorterThanTheContext) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    Random random(7, Stream::Test, seed);
    ModelConfig m = random_model(random);
    m.layer_window.clear();
    RandomWeights weights(m, seed);
    const auto tokens = random_tokens(random, 10, m.n_vocab);
    const auto full = run_chunks(m, weights, tokens, {10});
    m.layer_window.assign(static_cast<std::size_t>(m.n_layers), 10);
    EXPECT_EQ(run_chunks(m, weights, tokens, {10}), full);
    m.layer_window.assign(static_cast<std::size_t>(m.n_layers), 3);
    const auto windowed = run_chunks(m, weights, tokens, {10});
    expect_near(run_chunks(m, weights, tokens, {4, 6}), windowed, 1e-5);
    EXPECT_GT(largest_difference(windowed, full), 0.0) << seed;
  }
}

TEST(Reference, AVeryNegativeSinkIsNoSink) {
  Random random(8, Stream::Test);
  ModelConfig m = random_model(random);
  m.attn_sinks = true;
  RandomWeights weights(m, 1);
  for (int i = 0; i < m.n_layers; ++i) {
    auto& sinks = weights.at("blk." + std::to_string(i) + ".attn_sinks.weight");
    std::fill(sinks.begin(), sinks.end(), -1e4f);
  }
  const auto tokens = random_tokens(random, 6, m.n_vocab);
  const auto with = run_chunks(m, weights, tokens, {6});
  m.attn_sinks = false;
  expect_near(run_chunks(m, weights, tokens, {6}), with, 1e-6);
}

// GGUF stores q and k of "llama" with the halves of each head interleaved: permuted rows and
// neighbouring pairs give the same scores.
TEST(Reference, InterleavedPairsWithPermutedRowsEqualHalves) {
  Random random(9, Stream::Test);
  ModelConfig m = random_model(random);
  m.head_dim = 8;
  m.qk_norm = m.qkv_bias = false;
  m.rope = {};
  m.attn_temperature_beta = 0.0;
  m.rope.n_dims = 8;
  RandomWeights weights(m, 2);
  const auto tokens = random_tokens(random, 9, m.n_vocab);
  const auto halves = run_chunks(m, weights, tokens, {9});
  const auto cols = static_cast<std::size_t>(m.d_model);
  for (int layer = 0; layer < m.n_layers; ++layer) {
    for (const char* name : {"attn_q", "attn_k"}) {
      auto& w = weights.at("blk." + std::to_string(layer) + "." + name + ".weight");
      const std::vector<float> old = w;
      for (std::size_t row = 0; row < w.size() / cols; ++row) {
        const std::size_t head = row / 8 * 8, i = row % 8;
        const std::size_t from = head + i / 2 + (i % 2) * 4;
        std::copy_n(old.begin() + static_cast<std::ptrdiff_t>(from * cols), cols,
                    w.begin() + static_cast<std::ptrdiff_t>(row * cols));
      }
    }
  }
  m.rope.interleaved = true;
  expect_near(run_chunks(m, weights, tokens, {9}), halves, 1e-5);
}

// All experts equal: whatever the router says, the result is that of one dense MLP.
TEST(Reference, EqualExpertsAreOneDenseMlp) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    Random random(10, Stream::Test, seed);
    ModelConfig m = random_model(random);
    m.family = "llama";
    m.mlp_bias = false;
    m.n_experts = 5;
    m.n_experts_used = 1 + static_cast<int>(seed % 5);
    m.d_ff_expert = m.d_ff;
    m.moe_norm_topk = true;
    RandomWeights experts(m, seed);
    ModelConfig dense = m;
    dense.n_experts = 0;
    RandomWeights weights(dense, seed);
    for (int layer = 0; layer < m.n_layers; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      for (const std::string name : {"ffn_gate", "ffn_up", "ffn_down"}) {
        const auto& one = weights.at(prefix + name + ".weight");
        auto& all = experts.at(prefix + name + "_exps.weight");
        ASSERT_EQ(all.size(), 5 * one.size());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = one[i % one.size()];
      }
      for (const std::string name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
        for (const char* kind : {".weight", ".bias"}) {
          if (weights.has(prefix + name + kind))
            experts.at(prefix + name + kind) = weights.at(prefix + name + kind);
        }
      }
      for (const std::string name :
           {"attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm", "attn_sinks"}) {
        const std::string full = prefix + name + ".weight";
        if (weights.has(full)) experts.at(full) = weights.at(full);
      }
    }
    for (const std::string name : {"token_embd.weight", "output_norm.weight", "output.weight"}) {
      if (weights.has(name)) experts.at(name) = weights.at(name);
    }
    const auto tokens = random_tokens(random, 6, m.n_vocab);
    expect_near(run_chunks(m, experts, tokens, {6}), run_chunks(dense, weights, tokens, {6}), 1e-5);
  }
}

TEST(Reference, RouterTiesGoToTheLowestExpert) {
  Random random(11, Stream::Test);
  ModelConfig m = random_model(random);
  m.mlp_bias = false;
  m.n_experts = 4;
  m.n_experts_used = 2;
  m.d_ff_expert = 4;
  RandomWeights weights(m, 3);
  for (int layer = 0; layer < m.n_layers; ++layer) {
    auto& router = weights.at("blk." + std::to_string(layer) + ".ffn_gate_inp.weight");
    std::fill(router.begin(), router.end(), 0.0f);
  }
  const auto tokens = random_tokens(random, 4, m.n_vocab);
  const auto before = run_chunks(m, weights, tokens, {4});
  // Experts 2 and 3 are never chosen, so they may be anything.
  for (int layer = 0; layer < m.n_layers; ++layer) {
    auto& down = weights.at("blk." + std::to_string(layer) + ".ffn_down_exps.weight");
    std::fill(down.begin() + static_cast<std::ptrdiff_t>(down.size() / 2), down.end(), 1e6f);
  }
  EXPECT_EQ(run_chunks(m, weights, tokens, {4}), before);
}

TEST(Reference, F16CacheRoundsKeysAndValues) {
  Random random(12, Stream::Test);
  const ModelConfig m = random_model(random);
  RandomWeights weights(m, 4);
  const auto tokens = random_tokens(random, 8, m.n_vocab);
  const Graph graph = build_step(m, kF32, DType::F16, {{0, 8, true}});
  ReferenceKv exact, rounded;
  Reference(weights.source(), false).run(graph, tokens, std::span(&exact, 1));
  Reference(weights.source(), true).run(graph, tokens, std::span(&rounded, 1));
  bool any_changed = false;
  for (std::size_t i = 0; i < exact.k[0].size(); ++i) {
    const float a = exact.k[0][i], b = rounded.k[0][i];
    EXPECT_LE(std::abs(a - b), std::ldexp(std::max(std::abs(a), 6.2e-5f), -11)) << a;
    any_changed = any_changed || a != b;
    // 11 significant bits: the rest of the f32 mantissa is zero for normal halves.
    const float scaled = std::ldexp(b, std::abs(b) > 6.2e-5f ? 10 - std::ilogb(b) : 24);
    EXPECT_EQ(scaled, std::rint(scaled)) << b;
  }
  EXPECT_TRUE(any_changed);
}

// A few counts by hand; twin's count() is held to all of them.
TEST(Reference, TalliesOfOneDenseStep) {
  ModelConfig m;
  m.n_layers = 1, m.n_heads = 4, m.n_kv_heads = 2, m.head_dim = 8, m.d_model = 16, m.d_ff = 24,
  m.n_vocab = 10;
  m.n_ctx = 64, m.rope.n_dims = 8, m.attn_sinks = true, m.layer_window = {4};
  RandomWeights weights(m, 5);
  Reference reference(weights.source());
  ReferenceKv kv;
  const std::vector<TokenId> tokens = {1, 2, 3, 1, 2};
  reference.run(build_step(m, kF32, DType::F16, {{0, 5, true}}), tokens, std::span(&kv, 1));
  const Graph graph = build_step(m, kF32, DType::F16, {{5, 3, true}});
  reference.run(graph, std::vector<TokenId>{7, 7, 8}, std::span(&kv, 1));
  ASSERT_EQ(reference.tallies().size(), graph.ops.size());
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const Tally& t = reference.tallies()[i];
    switch (graph.ops[i].kind) {
      case OpKind::Embed:
        EXPECT_EQ(t.weight_bytes, 3 * 16 * 4);
        EXPECT_EQ(t.activation_bytes, 3 * 16 * 4);
        break;
      case OpKind::Attention:
        EXPECT_EQ(t.matmul_flops, 3 * 4 * (4 * 8 * 4));  // 3 queries, 4 heads, 4 visible keys of 8
        EXPECT_EQ(t.vector_flops, 3 * 4 * (6 * 4 + 4));
        EXPECT_EQ(t.kv_read_bytes, 2 * (4 + 2) * 16 * 2);  // positions 2 to 7
        EXPECT_EQ(t.weight_bytes, 4 * 4);
        break;
      case OpKind::KvStore:
        EXPECT_EQ(t.kv_write_bytes, 2 * 3 * 16 * 2);
        EXPECT_EQ(t.vector_flops, 0);
        break;
      case OpKind::Glu:
        EXPECT_EQ(t.vector_flops, 3 * 24 * 4);
        break;
      case OpKind::SelectRows:
        EXPECT_EQ(t.activation_bytes, 2 * 16 * 4);
        break;
      case OpKind::Rope:
        EXPECT_EQ(t.vector_flops % (3 * 3 * 8), 0);
        break;
      case OpKind::RmsNorm:
        EXPECT_EQ(t.vector_flops, (graph.ops[i].layer < 0 ? 1 : 3) * (4 * 16 + 4));
        break;
      case OpKind::MatMul: {
        const Value& w = graph.values[static_cast<std::size_t>(graph.ops[i].in[1])];
        const std::int64_t rows = graph.values[static_cast<std::size_t>(graph.ops[i].out)].rows;
        EXPECT_EQ(t.matmul_flops, 2 * rows * w.rows * w.cols);
        EXPECT_EQ(t.weight_bytes, 4 * w.rows * w.cols);
        EXPECT_EQ(t.activation_bytes, 4 * rows * (w.rows + w.cols));
        break;
      }
      case OpKind::Add:
        EXPECT_EQ(t.vector_flops, 3 * 16);
        break;
      case OpKind::LayerNorm:
      case OpKind::PoolStore:
      case OpKind::Select:
      case OpKind::Dot:
      case OpKind::StreamGates:
      case OpKind::StreamRead:
      case OpKind::StreamWrite:
      case OpKind::MoeRoute:
      case OpKind::MoeMatMul:
      case OpKind::MoeCombine:
      case OpKind::BlockMatMul:
      case OpKind::Conv:
      case OpKind::Scan:
      case OpKind::Scale:
      case OpKind::Slice:
        FAIL() << op_name(graph.ops[i].kind) << " in a dense model";
    }
  }
}

}  // namespace
}  // namespace tinderbox
