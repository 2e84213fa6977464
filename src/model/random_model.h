// For tests: small random models and weights, replayable from a seed.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "model/graph.h"
#include "model/reference.h"

namespace tinderbox {

inline Rope random_rope(Random& random, int head_dim) {
  Rope rope;
  rope.theta = random.uniform() < 0.5 ? 10000.0 : 150000.0;
  rope.n_dims = static_cast<int>(random.range(0, head_dim / 2)) * 2;
  rope.interleaved = random.uniform() < 0.5;
  rope.scaling = static_cast<RopeScaling>(random.range(0, 3));
  rope.factor = 1.0 + 7.0 * random.uniform();
  rope.n_ctx_original = 64;
  if (random.uniform() < 0.2) rope.factors.assign(static_cast<std::size_t>(rope.n_dims / 2), 1.5);
  return rope;
}

// Every switch of ModelConfig is on in some of them. d_model, d_ff, ... are multiples of `multiple`
// (block formats).
inline ModelConfig random_model(Random& random, int multiple = 1) {
  const auto draw = [&](int low, int high) { return static_cast<int>(random.range(low, high)); };
  const auto coin = [&] { return random.uniform() < 0.5; };
  ModelConfig m;
  m.id = "random";
  m.family = coin() ? "llama" : "gpt_oss";
  m.n_layers = draw(1, 3);
  m.n_kv_heads = draw(1, 3);
  m.n_heads = m.n_kv_heads * draw(1, 3);
  m.head_dim = multiple % 2 == 0 ? multiple : 2 * draw(1, 4);
  m.d_model = multiple * draw(2, multiple == 1 ? 20 : 3);
  m.d_ff = multiple * draw(1, multiple == 1 ? 24 : 3);
  m.n_vocab = draw(3, 40);
  m.n_ctx = 64;
  m.rope = random_rope(random, m.head_dim);
  m.activation = static_cast<Activation>(draw(0, 2));
  m.qkv_bias = coin();
  m.attn_out_bias = coin();
  m.mlp_bias = coin();
  m.qk_norm = coin();
  m.attn_sinks = coin();
  m.tied_embeddings = coin();
  if (coin()) {
    m.n_experts = draw(1, 6);
    m.n_experts_used = draw(1, m.n_experts);
    m.d_ff_expert = multiple * draw(1, multiple == 1 ? 16 : 2);
    m.moe_norm_topk = coin();
  }
  if (coin()) {
    for (int i = 0; i < m.n_layers; ++i) m.layer_window.push_back(coin() ? 0 : draw(1, 8));
  }
  if (random.uniform() < 0.2) m.attn_temperature_beta = 0.1;
  return m;
}

// One format for every weight.
inline WeightFormat uniform_format(DType dtype) { return uniform_weight_format(dtype); }

// Between 1 and `segments_max` segments that fit n_ctx.
inline std::vector<Segment> random_segments(Random& random, int segments_max = 3) {
  std::vector<Segment> segments(static_cast<std::size_t>(random.range(1, segments_max)));
  for (Segment& s : segments) {
    s.n_past = static_cast<std::int32_t>(random.range(0, 9));
    s.n_new = static_cast<std::int32_t>(random.range(1, 6));
    s.samples = random.uniform() < 0.7;
  }
  return segments;
}

inline std::vector<TokenId> random_tokens(Random& random, std::int64_t n, int n_vocab) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(n));
  for (TokenId& token : tokens) token = static_cast<TokenId>(random.range(0, n_vocab - 1));
  return tokens;
}

// Weights of a graph's model by name: norms near 1, the rest so that activations keep their size.
class RandomWeights {
 public:
  RandomWeights(const ModelConfig& model, std::uint64_t seed) {
    const Graph graph = build_step(model, uniform_format(DType::F32), DType::F32, {{0, 1, true}});
    Random random(seed, Stream::Test, 77);
    for (const Value& v : graph.values) {
      if (v.role != Role::Weight) continue;
      const bool norm = v.name.find("norm") != std::string::npos;
      const double scale = norm ? 0.1 : 1.0 / std::sqrt(static_cast<double>(v.cols));
      std::vector<float>& data = data_[v.name];
      data.resize(static_cast<std::size_t>(v.rows * v.cols));
      for (float& x : data) x = static_cast<float>((norm ? 1.0 : 0.0) + scale * random.normal());
    }
  }
  std::vector<float>& at(const std::string& name) {
    const auto it = data_.find(name);
    CHECK(it != data_.end());
    return it->second;
  }
  bool has(const std::string& name) const { return data_.contains(name); }
  // Lives as long as this object.
  Reference::WeightSource source() {
    return [this](const std::string& name) { return std::span<const float>(at(name)); };
  }

 private:
  std::map<std::string, std::vector<float>> data_;
};

}  // namespace tinderbox
