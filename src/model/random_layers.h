// For tests: turns a small random model into one whose layers differ: states, latent rows, shared
// caches, norms and gates of every kind.
#pragma once

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
  layer.mixer = static_cast<Mixer>(random.range(0, static_cast<int>(Mixer::Mamba2)));
  // The families whose states these are have one linear layer's shape a model; all kinds share it.
  if (layer.mixer == Mixer::KimiDelta) layer.mixer = Mixer::GatedDelta;
  layer.rope = static_cast<LayerRope>(random.range(0, 2));
  if (coin()) layer.head_dim = 2 * m.head_dim;
  if (m.rope_local.n_dims > layer.head_dim) layer.rope = LayerRope::None;
  layer.k_is_v = coin();
  layer.experts = m.is_moe() && coin();
  layer.d_ff = !layer.experts || coin() ? m.d_ff : 0;
  if (layer.mixer != Mixer::None && coin()) layer.d_ff = 0;
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
              .v_dim = draw(1, 5)};
  m.rope_local = m.rope;
  m.rope_local.theta = 500.0;
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig layer = m.layer(0);
    vary_layer(random, m, layer);
    if (m.latent.qk_rope == 0 && layer.mixer == Mixer::Latent) layer.rope = LayerRope::None;
    for (int source = 0; source < i; ++source) {
      const LayerConfig& earlier = m.layers[static_cast<std::size_t>(source)];
      const bool alike = earlier.mixer == Mixer::Attention && layer.mixer == Mixer::Attention &&
                         earlier.head_dim == layer.head_dim && earlier.window == layer.window;
      if (alike && earlier.kv_layer < 0 && coin()) layer.kv_layer = source;
    }
    m.layers.push_back(layer);
  }
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
  m.mlp_gated = m.activation == Activation::SwigluOai || coin();
  if (m.activation != Activation::SwigluOai) m.activation = static_cast<Activation>(draw(3, 6));
  m.layer_scale = coin();
  m.d_layer_embedding = coin() ? 0 : draw(1, 6);
  if (!m.is_moe()) return;
  m.d_ff_shared = coin() ? 0 : draw(1, 9);
  m.shared_gate = coin();
  m.expert_scale = coin();
  m.d_expert = coin() ? 0 : draw(1, 9);
  m.routing = random_routing(random, m.n_experts, m.n_experts_used);
}

}  // namespace tinderbox
