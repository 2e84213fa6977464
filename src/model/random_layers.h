// For tests: turns a small random model into one whose layers differ: states, latent rows, shared
// caches, norms and gates of every kind.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/random.h"
#include "model/config.h"

namespace tinderbox {

inline LinearConfig random_linear(Random& random) {
  const auto draw = [&](int low, int high) { return static_cast<int>(random.range(low, high)); };
  LinearConfig c;
  c.n_k_heads = draw(1, 3);
  c.n_v_heads = c.n_k_heads * draw(1, 2);
  c.k_dim = draw(1, 6);
  c.v_dim = draw(1, 6);
  c.conv_kernel = draw(1, 4);
  c.conv_bias = draw(0, 1) == 1;
  c.decay_rank = draw(0, 3);
  c.gate_rank = draw(0, 3);
  return c;
}

inline Routing random_routing(Random& random, int n_experts, int n_used) {
  Routing routing;
  routing.scoring = static_cast<Scoring>(random.range(0, 2));
  routing.selection_bias = random.uniform() < 0.5;
  routing.scale = random.uniform() < 0.5 ? 1.0 : 2.5;
  for (const int groups : {4, 3, 2}) {
    const int used = static_cast<int>(random.range(1, groups));
    if (n_experts % groups != 0 || n_experts / groups * used < n_used) continue;
    routing.n_groups = groups;
    routing.n_groups_used = used;
    break;
  }
  return routing;
}

inline void vary_layer(Random& random, const ModelConfig& m, LayerConfig& layer) {
  const auto coin = [&] { return random.uniform() < 0.5; };
  // The families whose states these are have one linear layer's shape a model; all kinds share it.
  layer.mixer = static_cast<Mixer>(random.range(0, static_cast<int>(Mixer::ShortConv)));
  if (layer.mixer == Mixer::Pooled && m.latent.q_lora == 0) layer.mixer = Mixer::Latent;
  layer.rope = static_cast<LayerRope>(random.range(0, 2));
  if (coin()) layer.head_dim = 2 * m.head_dim;
  if (m.rope_local.n_dims > layer.head_dim) layer.rope = LayerRope::None;
  layer.k_is_v = coin();
  layer.experts = m.is_moe() && coin();
  layer.d_ff = !layer.experts || coin() ? m.d_ff : 0;
  if (layer.mixer != Mixer::None && coin()) layer.d_ff = 0;
}

inline IndexConfig random_index(Random& random, const ModelConfig& m) {
  const auto draw = [&](int low, int high) { return static_cast<int>(random.range(low, high)); };
  const auto coin = [&] { return random.uniform() < 0.5; };
  IndexConfig index;
  index.kind = coin() ? IndexConfig::Kind::Plain : IndexConfig::Kind::Lightning;
  index.n_heads = draw(1, 3);
  index.head_dim = std::max(m.rope.n_dims, 2) + draw(0, 3);
  index.top_k = draw(1, 4);
  index.ratio = draw(1, 3);
  index.block = index.ratio * draw(1, 2);
  index.gates = coin();
  index.key_bias = coin();
  return index;
}

// Attention to selected or pooled rows, with caches and selections of its own or of an earlier layer.
inline void vary_sparse(Random& random, const ModelConfig& m, LayerConfig& layer) {
  const auto coin = [&] { return random.uniform() < 0.5; };
  const bool pooled = layer.mixer == Mixer::Pooled;
  layer.sparse = coin();
  if (pooled) {
    layer.window = coin() ? static_cast<int>(random.range(1, 6)) : 0;
    layer.ratio = static_cast<int>(random.range(0, 3));
    if (layer.ratio == 0) layer.sparse = false;
  } else if (layer.sparse) {
    layer.window = 0;
  }
  for (int i = 0; i < static_cast<int>(m.layers.size()); ++i) {
    const LayerConfig& earlier = m.layers[static_cast<std::size_t>(i)];
    const bool own_rows = earlier.mixer == Mixer::Pooled && earlier.pool_layer < 0;
    if (pooled && layer.ratio > 0 && own_rows && earlier.ratio == layer.ratio && coin()) {
      layer.pool_layer = i;
    }
    // Selections of one block size can be shared, index keys of one pool size.
    const bool selects = earlier.sparse && earlier.index_layer < 0;
    if (!layer.sparse || !selects) continue;
    const bool alike = (earlier.mixer == Mixer::Pooled) == pooled && earlier.ratio == layer.ratio;
    if (alike && coin()) layer.index_layer = i;
    if (alike && earlier.keys_layer < 0 && coin()) layer.keys_layer = i;
  }
  // V4.1's index keys are made of the rows that the layer pools.
  const bool needs_rows = pooled && layer.sparse && !m.latent.pool_bias;
  if (needs_rows && layer.index_layer < 0 && layer.keys_layer < 0) layer.pool_layer = -1;
}

inline StreamConfig random_streams(Random& random) {
  const auto draw = [&](int low, int high) { return static_cast<int>(random.range(low, high)); };
  StreamConfig streams;
  if (draw(0, 1) == 0) return streams;
  streams.kind = static_cast<StreamConfig::Kind>(draw(0, 1));
  streams.n = draw(2, 4);
  streams.lowrank = draw(1, 5);
  streams.iterations = draw(1, 3);
  streams.head = draw(0, 1) == 1;
  return streams;
}

inline void vary_mlp(Random& random, ModelConfig& m) {
  const auto draw = [&](int low, int high) { return static_cast<int>(random.range(low, high)); };
  const auto coin = [&] { return random.uniform() < 0.5; };
  m.mlp_gated = m.activation == Activation::SwigluOai || coin();
  if (m.activation != Activation::SwigluOai) m.activation = static_cast<Activation>(draw(3, 6));
  m.layer_scale = coin();
  m.d_layer_embedding = m.streams.n > 1 || coin() ? 0 : draw(1, 6);
  if (!m.is_moe()) return;
  m.d_ff_shared = coin() ? 0 : draw(1, 9);
  m.shared_gate = coin();
  m.expert_scale = coin();
  m.expert_norm = coin();
  m.d_expert = coin() ? 0 : draw(1, 9);
  m.routing = random_routing(random, m.n_experts, m.n_experts_used);
}

// Every switch of ModelConfig that the uniform families lack is on in some of them.
inline void vary_layers(Random& random, ModelConfig& m) {
  const auto draw = [&](int low, int high) { return static_cast<int>(random.range(low, high)); };
  const auto coin = [&] { return random.uniform() < 0.5; };
  m.family = "hybrid";
  m.linear = random_linear(random);
  m.latent = {.q_lora = coin() ? 0 : draw(1, 9),
              .kv_lora = draw(1, 9),
              .qk_nope = draw(1, 5),
              .qk_rope = m.rope.n_dims,
              .v_dim = draw(1, 5),
              .o_groups = 1,
              .o_lora = draw(1, 4),
              .pool_bias = coin()};
  if (m.n_heads % 2 == 0) m.latent.o_groups = draw(1, 2);
  m.index = random_index(random, m);
  m.streams = random_streams(random);
  m.rope_local = m.rope;
  m.rope_local.theta = 500.0;
  const LayerConfig plain = m.layer(0);
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig layer = plain;
    vary_layer(random, m, layer);
    if (m.latent.qk_rope == 0 && layer.mixer == Mixer::Latent) layer.rope = LayerRope::None;
    if (layer.mixer == Mixer::Pooled && m.rope.n_dims > m.latent.kv_lora) {
      layer.rope = LayerRope::None;
    }
    const bool attends = layer.mixer == Mixer::Attention || layer.mixer == Mixer::Latent ||
                         layer.mixer == Mixer::Pooled;
    if (attends) vary_sparse(random, m, layer);
    if (layer.mixer == Mixer::Attention && !layer.sparse && coin()) {
      layer.bias_extent = draw(1, 8);
    }
    for (int source = 0; source < i; ++source) {
      const LayerConfig& earlier = m.layers[static_cast<std::size_t>(source)];
      const bool alike = earlier.mixer == Mixer::Attention && layer.mixer == Mixer::Attention &&
                         earlier.head_dim == layer.head_dim && earlier.window == layer.window;
      if (alike && earlier.kv_layer < 0 && coin()) layer.kv_layer = source;
    }
    m.layers.push_back(layer);
  }
  if (m.streams.n > 1 && coin()) {
    m.ngrams = {.tables = {{.layer = draw(0, m.n_layers - 1), .n_rows = draw(1, 50)}},
                .n_lookups = draw(1, 3),
                .width = draw(1, 5),
                .conv_kernel = draw(0, 3)};
  }
  m.layer_norm = coin();
  m.positions = coin();
  m.head_bias = coin();
  m.embedding_norm = coin();
  m.qk_norm_wide = coin();
  m.residual_kernel = coin() ? 0 : draw(1, 3);
  m.d_bias = draw(1, 4);
  m.norms = static_cast<Norms>(draw(0, 2));
  m.attn_gate = static_cast<AttentionGate>(draw(0, 3));
  m.norm_weights = coin();
  m.v_norm = coin();
  m.attn_scale = coin() ? 0.0 : 0.3;
  m.attn_softcap = coin() ? 0.0 : 20.0;
  m.embedding_scale = coin() ? 1.0 : 2.0;
  m.residual_scale = coin() ? 1.0 : 0.5;
  m.logits_scale = coin() ? 1.0 : 0.2;
  m.logits_softcap = coin() ? 0.0 : 10.0;
  vary_mlp(random, m);
}

}  // namespace tinderbox
