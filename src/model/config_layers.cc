// What differs from layer to layer: config.json's layer lists and patterns -> LayerConfig.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "model/config_fields.h"

namespace tinderbox::config {

LayerConfig plain_layer(const ModelConfig& m) {
  ModelConfig uniform = m;
  uniform.layers.clear();
  return uniform.layer(0);
}

// One window a layer: from layer_types, else Qwen2's and gpt-oss's rules, else the same for all.
void read_windows(const Fields& f, ModelConfig& m) {
  const int window = f.integer("sliding_window", 0, kContextMax).value_or(0);
  const auto n = static_cast<std::size_t>(m.n_layers);
  std::vector<int> windows(n, window);
  if (const nlohmann::json* types = f.find("layer_types")) {
    if (!types->is_array() || types->size() != n)
      f.fail("layer_types", format("{} texts, one a layer", n));
    for (std::size_t i = 0; i < n; ++i) {
      const nlohmann::json& type = (*types)[i];
      if (type == "full_attention") {
        windows[i] = 0;
      } else if (type != "sliding_attention") {
        f.fail("layer_types", "only full_attention and sliding_attention");
      } else if (window == 0) {
        f.fail("sliding_window", "a window, because layer_types has sliding layers");
      }
    }
  } else if (m.family == "gpt_oss") {
    for (std::size_t i = 1; i < n; i += 2) windows[i] = 0;
  } else if (m.family.starts_with("qwen")) {
    const bool used = f.boolean("use_sliding_window").value_or(false);
    const auto first =
        static_cast<std::size_t>(f.integer("max_window_layers", 0, 1 << 20).value_or(28));
    std::fill_n(windows.begin(), used ? std::min(first, n) : n, 0);
  }
  for (int& w : windows) {
    if (w >= m.n_ctx) w = 0;  // never smaller than what can be seen
  }
  if (std::ranges::any_of(windows, [](int w) { return w > 0; }))
    m.layer_window = std::move(windows);
}

void read_experts(const Fields& f, std::string_view n_experts_key, std::string_view d_ff_key,
                  ModelConfig& m) {
  m.n_experts = f.required(n_experts_key, 1, kExpertsMax);
  m.n_experts_used = f.required("num_experts_per_tok", 1, m.n_experts);
  m.d_ff_expert = f.required(d_ff_key, 1, kFfMax);
}

// Qwen3-Next and later: three layers with a state, then one of attention.
void read_qwen_hybrid_layers(const Fields& f, ModelConfig& m) {
  LinearConfig& c = m.linear;
  c.n_k_heads = f.required("linear_num_key_heads", 1, kHeadsMax);
  c.n_v_heads = f.required("linear_num_value_heads", 1, kHeadsMax);
  c.k_dim = f.required("linear_key_head_dim", 1, kHeadDimMax);
  c.v_dim = f.required("linear_value_head_dim", 1, kHeadDimMax);
  c.conv_kernel = f.required("linear_conv_kernel_dim", 1, kConvMax);
  if (c.n_v_heads % c.n_k_heads != 0) {
    f.fail("linear_num_value_heads", format("a multiple of {} key heads", c.n_k_heads));
  }
  const auto types = f.texts("layer_types", static_cast<std::size_t>(m.n_layers));
  const int interval = f.integer("full_attention_interval", 1, kLayersMax).value_or(4);
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig layer = plain_layer(m);
    bool full = (i + 1) % interval == 0;
    if (types) {
      const std::string& type = (*types)[static_cast<std::size_t>(i)];
      full = type == "full_attention";
      if (!full && type != "linear_attention") {
        f.fail("layer_types", "only full_attention and linear_attention");
      }
    }
    if (!full) layer.mixer = Mixer::GatedDelta;
    m.layers.push_back(layer);
  }
}

namespace {

// Which layers of a Gemma see everything: a list, a period, or Gemma 2's every second layer.
std::vector<bool> gemma_full_layers(const Fields& f, const ModelConfig& m) {
  const auto n = static_cast<std::size_t>(m.n_layers);
  std::vector<bool> full(n);
  const int period = f.integer("sliding_window_pattern", 1, kLayersMax)
                         .value_or(m.family == "gemma2" ? 2 : 6);
  const auto types = f.texts("layer_types", n);
  for (std::size_t i = 0; i < n; ++i) {
    full[i] = (i + 1) % static_cast<std::size_t>(period) == 0;
    if (!types) continue;
    full[i] = (*types)[i] == "full_attention";
    if (!full[i] && (*types)[i] != "sliding_attention") {
      f.fail("layer_types", "only full_attention and sliding_attention");
    }
  }
  return full;
}

// Gemma 3n and 4: the last layers read the cache of the last earlier layer of their own kind.
void share_kv(const Fields& f, const std::vector<bool>& full, ModelConfig& m) {
  const int n_shared = f.integer("num_kv_shared_layers", 0, m.n_layers).value_or(0);
  const int first = m.n_layers - n_shared;
  const bool wide = f.boolean("use_double_wide_mlp").value_or(false);
  for (int i = first; i < m.n_layers; ++i) {
    LayerConfig& layer = m.layers[static_cast<std::size_t>(i)];
    for (int source = 0; source < first; ++source) {
      const bool alike = full[static_cast<std::size_t>(source)] == full[static_cast<std::size_t>(i)];
      if (alike) layer.kv_layer = source;
    }
    if (layer.kv_layer < 0) f.fail("num_kv_shared_layers", "earlier layers of every kind");
    if (wide) layer.d_ff *= 2;
  }
}

}  // namespace

int global_head_dim(const Fields& f, const ModelConfig& m) {
  if (!m.family.starts_with("gemma4")) return m.head_dim;
  const int width = f.integer("global_head_dim", 2, kHeadDimMax).value_or(m.head_dim);
  if (width % 2 != 0) f.fail("global_head_dim", "an even width");
  return width;
}

void read_gemma_layers(const Fields& f, ModelConfig& m) {
  const int window = f.required("sliding_window", 1, kContextMax);
  const std::vector<bool> full = gemma_full_layers(f, m);
  const int global_dim = global_head_dim(f, m);
  const int global_kv =
      f.integer("num_global_key_value_heads", 1, kHeadsMax).value_or(m.n_kv_heads);
  if (m.n_heads % global_kv != 0) {
    f.fail("num_global_key_value_heads", format("a divisor of {} heads", m.n_heads));
  }
  const bool k_is_v = f.boolean("attention_k_eq_v").value_or(false);
  for (const bool sees_all : full) {
    LayerConfig layer = plain_layer(m);
    layer.d_ff = m.d_ff;  // beside the experts, if there are any
    if (sees_all) {
      layer.head_dim = global_dim;
      layer.n_kv_heads = global_kv;
      layer.k_is_v = k_is_v;
    } else {
      layer.window = window < m.n_ctx ? window : 0;
      // Gemma 2 turns all layers alike.
      if (m.family != "gemma2") layer.rope = LayerRope::Local;
    }
    m.layers.push_back(layer);
  }
  share_kv(f, full, m);
}

// Nemotron-H: a layer is one block: M Mamba-2, * attention, - MLP, E experts.
void read_nemotron_layers(const Fields& f, ModelConfig& m) {
  LinearConfig& c = m.linear;
  c.n_v_heads = f.required("mamba_num_heads", 1, kHeadsMax);
  c.v_dim = f.required("mamba_head_dim", 1, kHeadDimMax);
  c.n_k_heads = f.required("n_groups", 1, kHeadsMax);
  c.k_dim = f.required("ssm_state_size", 1, kHeadDimMax);
  c.conv_kernel = f.required("conv_kernel", 1, kConvMax);
  c.conv_bias = f.boolean("use_conv_bias").value_or(true);
  if (c.n_v_heads % c.n_k_heads != 0) {
    f.fail("mamba_num_heads", format("a multiple of {} groups", c.n_k_heads));
  }
  const auto n = static_cast<std::size_t>(m.n_layers);
  std::vector<std::string> blocks;
  if (const auto types = f.texts("layers_block_type", n)) {
    blocks = *types;
  } else {
    const std::string pattern = f.string("hybrid_override_pattern").value_or("");
    if (pattern.size() != n) {
      f.fail("hybrid_override_pattern", format("{} letters, one a layer", n));
    }
    for (const char letter : pattern) blocks.emplace_back(1, letter);
  }
  for (const std::string& block : blocks) {
    LayerConfig layer = plain_layer(m);
    layer.rope = LayerRope::None;
    layer.d_ff = 0;
    layer.experts = false;
    if (block == "M" || block == "mamba") {
      layer.mixer = Mixer::Mamba2;
    } else if (block == "-" || block == "mlp") {
      layer.mixer = Mixer::None;
      layer.d_ff = m.d_ff;
    } else if (block == "E" || block == "moe") {
      if (!m.is_moe()) f.fail("n_routed_experts", "experts, because the pattern has expert layers");
      layer.mixer = Mixer::None;
      layer.experts = true;
    } else if (block != "*" && block != "attention") {
      f.fail(f.has("layers_block_type") ? "layers_block_type" : "hybrid_override_pattern",
             "only M, *, - and E, or mamba, attention, mlp and moe");
    }
    m.layers.push_back(layer);
  }
}

// Layers without a window have no positions either.
void read_muse_layers(const Fields& f, ModelConfig& m) {
  const auto n = static_cast<std::size_t>(m.n_layers);
  const auto types = f.texts("layer_types", n);
  if (!types) f.fail("layer_types", format("{} texts, one a layer", n));
  const int window = f.required("sliding_window", 1, kContextMax);
  std::vector<double> thetas(n, 1.0);
  if (f.has("layer_rope_theta")) thetas = f.numbers("layer_rope_theta", n, 0.0, 1e12);
  for (std::size_t i = 0; i < n; ++i) {
    LayerConfig layer = plain_layer(m);
    if ((*types)[i] == "sliding_attention") {
      layer.window = window < m.n_ctx ? window : 0;
    } else if ((*types)[i] != "full_attention") {
      f.fail("layer_types", "only full_attention and sliding_attention");
    }
    if (thetas[i] == 0.0) layer.rope = LayerRope::None;
    m.layers.push_back(layer);
  }
}

// DeepSeek-V2 and its heirs: latent attention everywhere, dense MLPs in the first layers.
void read_latent_layers(const Fields& f, ModelConfig& m) {
  LatentConfig& c = m.latent;
  c.q_lora = f.integer("q_lora_rank", 1, kWidthMax).value_or(0);
  c.kv_lora = f.required("kv_lora_rank", 1, kWidthMax);
  c.qk_nope = f.required("qk_nope_head_dim", 1, kHeadDimMax);
  c.qk_rope = f.required("qk_rope_head_dim", 0, kHeadDimMax);
  c.v_dim = f.required("v_head_dim", 1, kHeadDimMax);
  if (c.qk_rope % 2 != 0) f.fail("qk_rope_head_dim", "an even width");
  const int n_dense = f.integer("first_k_dense_replace", 0, kLayersMax).value_or(0);
  for (int i = 0; i < m.n_layers; ++i) {
    LayerConfig layer = plain_layer(m);
    layer.mixer = Mixer::Latent;
    if (c.qk_rope == 0) layer.rope = LayerRope::None;
    if (i < n_dense || !m.is_moe()) {
      layer.experts = false;
      layer.d_ff = m.d_ff;
    }
    m.layers.push_back(layer);
  }
}

}  // namespace tinderbox::config
