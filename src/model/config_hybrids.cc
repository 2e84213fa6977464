// Families whose layers differ in kind or shape: GLM 4, MiniMax, Laguna, Step, LFM2, Nemotron NAS, Kimi K3, Ling,
// Inkling.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "model/config_fields.h"

namespace tinderbox::config {
namespace {

// A router as DeepSeek-V3's where the file does not say so: a sigmoid an expert, a bias that only chooses.
void use_sigmoid_router(const Fields& f, std::string_view scale_key, ModelConfig& m) {
  m.routing.scoring = Scoring::Sigmoid;
  m.routing.selection_bias = true;
  m.routing.scale = f.number(scale_key, 1e-6, 1e6).value_or(1.0);
}

void make_dense(LayerConfig& layer, int d_ff) {
  layer.experts = false;
  layer.d_ff = d_ff;
}

// Plain layers, the first of them with a dense MLP.
void read_plain_layers(int n_dense, int d_ff, ModelConfig& m) {
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig layer = plain_layer(m);
    if (i < n_dense || !m.is_moe()) make_dense(layer, d_ff);
    m.layers.push_back(layer);
  }
}

int dense_layers(const Fields& f) {
  return f.integer("first_k_dense_replace", 0, kLayersMax).value_or(0);
}

// layer_types: windows where it says "sliding_attention"; those turn as rope_local.
std::vector<bool> read_sliding(const Fields& f, ModelConfig& m) {
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto types = f.texts("layer_types", n);
  if (!types) f.fail("layer_types", format("{} texts, one a layer", n));
  const int window = f.required("sliding_window", 1, kContextMax);
  std::vector<bool> sliding(n);
  for (std::size_t i = 0; i < n; ++i) {
    sliding[i] = (*types)[i] == "sliding_attention";
    if (!sliding[i] && (*types)[i] != "full_attention") {
      f.fail("layer_types", "only full_attention and sliding_attention");
    }
    if (!sliding[i]) continue;
    m.layers[i].window = window;
    m.layers[i].rope = LayerRope::Local;
  }
  return sliding;
}

}  // namespace

void read_glm4_moe(const Fields& f, ModelConfig& m) {
  read_experts(f, "n_routed_experts", "moe_intermediate_size", m);
  read_routing(f, m);
  use_sigmoid_router(f, "routed_scaling_factor", m);
  read_shared_experts(f, m);
  m.qk_norm = f.boolean("use_qk_norm").value_or(false);
  m.attn_out_bias = false;  // attention_bias is about q, k and v
  read_plain_layers(dense_layers(f), m.d_ff, m);
}

void read_minimax_m2(const Fields& f, ModelConfig& m) {
  read_experts(f, "num_local_experts", "intermediate_size", m);
  read_routing(f, m);
  m.routing.selection_bias = f.boolean("use_routing_bias").value_or(true);
  m.qk_norm = f.boolean("use_qk_norm").value_or(true);
  m.qk_norm_wide = f.string("qk_norm_type").value_or("per_layer") == "per_layer";
}

// Of its blocks of 128 tokens the one that a token stands in is always attended, so one fewer is selected.
void read_minimax_m3(const Fields& f, ModelConfig& m) {
  read_minimax_m2(f, m);
  m.d_ff_shared = f.integer("n_shared_experts", 0, 64).value_or(0) *
                  f.integer("shared_intermediate_size", 0, kFfMax).value_or(0);
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto experts = f.integers("moe_layer_freq", n, 0, 1);
  const int d_ff = f.required("dense_intermediate_size", 1, kFfMax);
  const auto sparse = f.object("sparse_attention_config");
  if (!experts || !sparse) f.fail("moe_layer_freq", "a list, and sparse_attention_config an object");
  const auto layers = sparse->integers("sparse_attention_freq", n, 0, 1);
  if (!layers) sparse->fail("sparse_attention_freq", format("{} numbers", n));
  IndexConfig& index = m.index;
  index.kind = IndexConfig::Kind::Plain;
  index.n_heads = sparse->required("sparse_num_index_heads", 1, kHeadsMax);
  index.head_dim = sparse->required("sparse_index_dim", 2, kHeadDimMax);
  index.block = sparse->required("sparse_block_size", 1, kContextMax);
  const int local = sparse->integer("sparse_local_block", 0, 64).value_or(0);
  index.top_k = sparse->required("sparse_topk_blocks", local + 1, 1 << 20) - local;
  for (std::size_t i = 0; i < n; ++i) {
    LayerConfig layer = plain_layer(m);
    if ((*experts)[i] == 0) make_dense(layer, d_ff);
    layer.sparse = (*layers)[i] == 1;
    m.layers.push_back(layer);
  }
}

void read_laguna(const Fields& f, ModelConfig& m) {
  read_experts(f, "num_experts", "moe_intermediate_size", m);
  use_sigmoid_router(f, "moe_routed_scaling_factor", m);
  m.moe_norm_topk = f.boolean("norm_topk_prob").value_or(true);
  m.d_ff_shared = f.integer("shared_expert_intermediate_size", 0, kFfMax).value_or(0);
  m.qk_norm = true;
  m.attn_gate = AttentionGate::PerHead;
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto heads = f.integers("num_attention_heads_per_layer", n, 1, kHeadsMax);
  const auto mlps = f.texts("mlp_layer_types", n);
  read_plain_layers(0, m.d_ff, m);
  read_sliding(f, m);
  for (std::size_t i = 0; i < n; ++i) {
    LayerConfig& layer = m.layers[i];
    if (heads) layer.n_heads = (*heads)[i];
    if (layer.n_heads % layer.n_kv_heads != 0) {
      f.fail("num_attention_heads_per_layer", format("multiples of {}", layer.n_kv_heads));
    }
    if (mlps && (*mlps)[i] == "dense") make_dense(layer, m.d_ff);
  }
}

// The published file has more heads in sliding layers than elsewhere; copies without the field have lost
// `attention_other_setting`, whose value in Step's own configuration class is 96.
void read_step(const Fields& f, ModelConfig& m) {
  constexpr int kSlidingHeads = 96;
  read_experts(f, "num_experts", "moe_intermediate_size", m);
  use_sigmoid_router(f, "moe_router_scaling_factor", m);
  m.d_ff_shared = f.integer("share_expert_dim", 0, kFfMax).value_or(0);
  m.qk_norm = true;
  m.attn_gate = AttentionGate::PerHead;
  read_plain_layers(dense_layers(f), m.d_ff, m);
  const auto other = f.object("attention_other_setting");
  const int heads =
      other ? other->required("num_attention_heads", 1, kHeadsMax) : kSlidingHeads;
  if (heads % m.n_kv_heads != 0) {
    f.fail("num_key_value_heads", format("a divisor of {} heads", heads));
  }
  const std::vector<bool> sliding = read_sliding(f, m);
  for (std::size_t i = 0; i < sliding.size(); ++i) {
    if (sliding[i]) m.layers[i].n_heads = heads;
  }
}

void read_lfm2(const Fields& f, ModelConfig& m) {
  m.qk_norm = true;
  m.linear.conv_kernel = f.required("conv_L_cache", 1, kConvMax);
  m.linear.conv_bias = f.boolean("conv_bias").value_or(false);
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto types = f.texts("layer_types", n);
  if (!types) f.fail("layer_types", format("{} texts, one a layer", n));
  for (const std::string& type : *types) {
    LayerConfig layer = plain_layer(m);
    if (type == "conv") {
      layer.mixer = Mixer::ShortConv;
    } else if (type != "full_attention") {
      f.fail("layer_types", "only conv and full_attention");
    }
    m.layers.push_back(layer);
  }
}

// Found by architecture search: each layer with its own number of key heads and width of MLP, or without either.
void read_nemotron_nas(const Fields& f, ModelConfig& m) {
  constexpr int kWidthStep = 256;
  const auto blocks = f.objects("block_configs", static_cast<std::size_t>(m.n_layers));
  if (!blocks) f.fail("block_configs", "a list of objects, one a layer");
  for (const Fields& block : *blocks) {
    const auto attention = block.object("attention"), ffn = block.object("ffn");
    if (!attention || !ffn) block.fail("attention", "an object, and ffn another");
    LayerConfig layer = plain_layer(m);
    if (attention->boolean("no_op").value_or(false)) {
      layer.mixer = Mixer::None;
      layer.rope = LayerRope::None;
    } else {
      const int group = attention->required("n_heads_in_group", 1, m.n_heads);
      if (m.n_heads % group != 0) {
        attention->fail("n_heads_in_group", format("a divisor of {} heads", m.n_heads));
      }
      layer.n_kv_heads = m.n_heads / group;
    }
    for (const Fields& part : {*attention, *ffn}) {
      if (part.boolean("replace_with_linear").value_or(false)) {
        unsupported(f, m.family, "linear layers in place of blocks");
      }
    }
    layer.d_ff = 0;
    if (!ffn->boolean("no_op").value_or(false)) {
      const auto mult = ffn->number("ffn_mult", 1e-3, 100.0);
      if (!mult) ffn->fail("ffn_mult", "a number");
      // Two thirds, because of the gate, in whole steps.
      const auto width = static_cast<int>(2.0 * *mult * m.d_model / 3.0);
      layer.d_ff = (width + kWidthStep - 1) / kWidthStep * kWidthStep;
    }
    m.layers.push_back(layer);
  }
}

// Kimi K3: KDA and latent attention without positions, experts in a narrower space. Its activation (situ) is silu
// bent by two tanh, which is left out, as are the weights with which blocks of layers attend to earlier ones.
void read_kimi_linear(const Fields& f, ModelConfig& m) {
  m.n_experts = f.required("num_experts", 1, kExpertsMax);
  m.n_experts_used = f.required("num_experts_per_token", 1, m.n_experts);
  m.d_ff_expert = f.required("moe_intermediate_size", 1, kFfMax);
  use_sigmoid_router(f, "routed_scaling_factor", m);
  m.moe_norm_topk = f.boolean("moe_renormalize").value_or(true);
  m.d_ff_shared = f.integer("num_shared_experts", 0, 64).value_or(0) * m.d_ff_expert;
  m.d_expert = f.integer("routed_expert_hidden_size", 1, kWidthMax).value_or(0);
  m.expert_norm = m.d_expert > 0 && f.boolean("latent_moe_use_norm").value_or(false);
  if (f.boolean("mla_use_output_gate").value_or(false)) m.attn_gate = AttentionGate::Wide;
  read_latent_layers(f, m);
  const auto linear = f.object("linear_attn_config");
  if (!linear) f.fail("linear_attn_config", "an object");
  read_kimi_delta(*linear, m);
  m.linear.decay_rank = m.linear.k_dim;
  const bool full_rank = linear->boolean("use_full_rank_gate").value_or(false);
  m.linear.gate_rank = full_rank ? 0 : m.linear.k_dim;
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto kda = linear->indices("kda_layers", n, m.n_layers + 1);  // counted from 1
  if (!kda) linear->fail("kda_layers", "a list of layers");
  const bool plain = f.boolean("mla_use_nope").value_or(false);
  for (std::size_t i = 0; i < n; ++i) {
    if (plain) m.layers[i].rope = LayerRope::None;
    const bool linear_layer = std::ranges::find(*kda, static_cast<int>(i) + 1) != kda->end();
    if (linear_layer) m.layers[i].mixer = Mixer::KimiDelta;
  }
}

// Ling 3: five layers of KDA, then one of latent attention whose heads have a gate each.
void read_bailing_hybrid(const Fields& f, ModelConfig& m) {
  read_experts(f, "num_experts", "moe_intermediate_size", m);
  read_routing(f, m);
  use_sigmoid_router(f, "routed_scaling_factor", m);
  m.d_ff_shared = f.integer("num_shared_experts", 0, 64).value_or(0) *
                  f.integer("moe_shared_expert_intermediate_size", 0, kFfMax).value_or(0);
  if (f.string("gated_attention_proj_granularity_type").value_or("") == "head_wise") {
    m.attn_gate = AttentionGate::PerHead;
  }
  read_latent_layers(f, m);
  LinearConfig& c = m.linear;
  c.n_k_heads = c.n_v_heads = m.n_heads;
  c.k_dim = c.v_dim = m.head_dim;
  c.conv_kernel = f.required("short_conv_kernel_size", 1, kConvMax);
  const int rank = f.boolean("no_kda_lora").value_or(false) ? 0 : c.k_dim;
  c.decay_rank = c.gate_rank = rank;
  const int group = f.required("layer_group_size", 1, kLayersMax);
  for (int i = 0; i < m.n_layers; ++i) {
    const bool full = (i + 1) % group == 0 || i >= m.n_layers / group * group;
    if (!full) m.layers[static_cast<std::size_t>(i)].mixer = Mixer::KimiDelta;
  }
}

// Inkling (Hugging Face's modular_inkling.py): scores have a bias by distance instead of rotations; short
// convolutions of keys, values and what blocks return. The two weights with which the router gates the shared
// experts are left out.
void read_inkling(const Fields& f, ModelConfig& m) {
  read_experts(f, "n_routed_experts", "intermediate_size", m);
  use_sigmoid_router(f, "route_scale", m);
  read_shared_experts(f, m);
  m.qk_norm = m.embedding_norm = true;
  m.attn_scale = 1.0 / m.head_dim;
  if (f.boolean("use_sconv").value_or(false)) {
    m.residual_kernel = f.required("sconv_kernel_size", 1, kConvMax);
  }
  m.d_bias = f.required("d_rel", 1, kHeadDimMax);
  const int extent = f.required("rel_extent", 1, kContextMax);
  const int window = f.required("sliding_window_size", 1, kContextMax);
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto local = f.indices("local_layer_ids", n, m.n_layers);
  if (!local) f.fail("local_layer_ids", "a list of layers");
  read_plain_layers(f.integer("dense_mlp_idx", 0, m.n_layers).value_or(0),
                    f.required("dense_intermediate_size", 1, kFfMax), m);
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig& layer = m.layers[static_cast<std::size_t>(i)];
    layer.rope = LayerRope::None;
    layer.bias_extent = extent;
    if (std::ranges::find(*local, i) == local->end()) continue;
    layer.window = layer.bias_extent = window;
    layer.head_dim = f.integer("swa_head_dim", 1, kHeadDimMax).value_or(m.head_dim);
    layer.n_heads = f.integer("swa_num_attention_heads", 1, kHeadsMax).value_or(m.n_heads);
    layer.n_kv_heads = f.integer("swa_num_key_value_heads", 1, kHeadsMax).value_or(m.n_kv_heads);
    if (layer.n_heads % layer.n_kv_heads != 0) {
      f.fail("swa_num_key_value_heads", format("a divisor of {} heads", layer.n_heads));
    }
  }
}

}  // namespace tinderbox::config
