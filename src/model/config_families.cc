// What sets a family of models apart from LLaMA's shape: a few lines each.
#include <algorithm>
#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "model/config_fields.h"

namespace tinderbox::config {
namespace {

// Factors that change the result of an op in families whose class does not know them: only their
// neutral values fit the graph.
void refuse_foreign_factors(const Fields& f, const ModelConfig& m) {
  struct Factor {
    std::string_view key;
    double neutral;
  };
  const Factor factors[] = {
      {"embedding_multiplier", 1.0},    {"residual_multiplier", 1.0},
      {"logits_scaling", 1.0},          {"attention_multiplier", 1.0 / std::sqrt(m.head_dim)},
      {"final_logit_softcapping", 0.0}, {"attn_logit_softcapping", 0.0},
      {"output_multiplier", 1.0},       {"shared_expert_intermediate_size", 0.0},
      {"n_shared_experts", 0.0},
  };
  for (const Factor& factor : factors) {
    const auto value = f.number(factor.key, -1e12, 1e12);
    if (value && std::abs(*value - factor.neutral) > 1e-9) {
      unsupported(f, m.family, format("'{}' = {}", factor.key, *value));
    }
  }
}

void read_plain(const Fields& f, ModelConfig& m) { refuse_foreign_factors(f, m); }

void read_granite(const Fields& f, ModelConfig& m) {
  m.embedding_scale = f.number("embedding_multiplier", 1e-6, 1e6).value_or(1.0);
  m.residual_scale = f.number("residual_multiplier", 1e-6, 1e6).value_or(1.0);
  m.attn_scale = f.number("attention_multiplier", 1e-6, 1e6).value_or(0.0);
  m.logits_scale = 1.0 / f.number("logits_scaling", 1e-6, 1e6).value_or(1.0);
}

void read_qwen2(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  m.qkv_bias = true;
  m.attn_out_bias = false;
}

void read_qwen3(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  m.qk_norm = true;
}

void read_qwen3_moe(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  read_experts(f, "num_experts", "moe_intermediate_size", m);
  m.qk_norm = true;
  m.moe_norm_topk = f.boolean("norm_topk_prob").value_or(false);
  const nlohmann::json* dense_layers = f.find("mlp_only_layers");
  if ((dense_layers != nullptr && !dense_layers->empty()) ||
      f.integer("decoder_sparse_step", 1, kLayersMax).value_or(1) != 1) {
    unsupported(f, m.family, "dense layers between expert layers");
  }
}

void read_gpt_oss(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  read_experts(f, "num_local_experts", "intermediate_size", m);
  m.activation = Activation::SwigluOai;
  if (f.number("swiglu_limit", 0.0, 1e6).value_or(7.0) != 7.0)
    unsupported(f, m.family, "another swiglu_limit than 7");
  m.mlp_bias = m.attn_sinks = true;
}

void read_mixtral(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  read_experts(f, "num_local_experts", "intermediate_size", m);
}

}  // namespace

// Qwen3-Next, 3.5, 3.6, 3.8: Gated DeltaNet, gated attention, one shared expert with its gate.
void read_qwen_hybrid(const Fields& f, ModelConfig& m) {
  m.qk_norm = true;
  m.attn_gate = AttentionGate::InQuery;
  if (f.has("num_experts")) {
    read_experts(f, "num_experts", "moe_intermediate_size", m);
    m.moe_norm_topk = f.boolean("norm_topk_prob").value_or(true);
    m.d_ff_shared = f.integer("shared_expert_intermediate_size", 0, kFfMax).value_or(0);
    m.shared_gate = true;
  }
  read_qwen_hybrid_layers(f, m);
}

namespace {

// The parts that Gemma 2, 3 and 4 have in common.
void read_gemma(const Fields& f, ModelConfig& m) {
  m.norms = Norms::Both;
  m.tied_embeddings = true;
  m.activation = Activation::GeluTanh;
  m.embedding_scale = std::sqrt(m.d_model);
  const auto scalar = f.number("query_pre_attn_scalar", 1e-6, 1e6);
  if (scalar) m.attn_scale = 1.0 / std::sqrt(*scalar);
  m.attn_softcap = f.number("attn_logit_softcapping", 0.0, 1e6).value_or(0.0);
  m.logits_softcap = f.number("final_logit_softcapping", 0.0, 1e6).value_or(0.0);
}

void read_gemma2(const Fields& f, ModelConfig& m) {
  read_gemma(f, m);
  read_gemma_layers(f, m);
}

void read_gemma3(const Fields& f, ModelConfig& m) {
  m.qk_norm = true;
  read_gemma2(f, m);
}

void read_gemma4(const Fields& f, ModelConfig& m) {
  read_gemma(f, m);
  m.qk_norm = m.v_norm = m.layer_scale = true;
  m.attn_scale = 1.0;  // the norms' weights hold it
  m.d_layer_embedding = f.integer("hidden_size_per_layer_input", 0, kWidthMax).value_or(0);
  if (f.boolean("enable_moe_block").value_or(false)) {
    m.n_experts = f.required("num_experts", 1, kExpertsMax);
    m.n_experts_used = f.required("top_k_experts", 1, m.n_experts);
    m.d_ff_expert = f.required("moe_intermediate_size", 1, kFfMax);
    m.expert_scale = true;
  }
  read_gemma_layers(f, m);
}

}  // namespace

// DeepSeek-V3's router, which many took over: a sigmoid an expert, a bias that only chooses.
void read_routing(const Fields& f, ModelConfig& m) {
  const std::string scoring = f.string("scoring_func").value_or("softmax");
  if (scoring == "sigmoid") {
    m.routing.scoring = Scoring::Sigmoid;
  } else if (scoring == "sqrtsoftplus") {
    m.routing.scoring = Scoring::SqrtSoftplus;
  } else if (scoring != "softmax") {
    f.fail("scoring_func", "softmax, sigmoid or sqrtsoftplus");
  }
  m.routing.selection_bias = f.string("topk_method").value_or("") == "noaux_tc";
  m.routing.scale = f.number("routed_scaling_factor", 1e-6, 1e6).value_or(1.0);
  m.moe_norm_topk = f.boolean("norm_topk_prob").value_or(true);
  m.routing.n_groups = f.integer("n_group", 1, kExpertsMax).value_or(1);
  m.routing.n_groups_used =
      f.integer("topk_group", 1, m.routing.n_groups).value_or(m.routing.n_groups);
  if (m.n_experts % m.routing.n_groups != 0) {
    f.fail("n_group", format("a divisor of {} experts", m.n_experts));
  }
  if (m.n_experts / m.routing.n_groups * m.routing.n_groups_used < m.n_experts_used) {
    f.fail("topk_group", format("groups with {} experts", m.n_experts_used));
  }
}

namespace {

}  // namespace

void read_shared_experts(const Fields& f, ModelConfig& m) {
  const int n = f.integer("n_shared_experts", 0, 64).value_or(0);
  m.d_ff_shared = n * m.d_ff_expert;
}

namespace {

void read_nemotron_h(const Fields& f, ModelConfig& m) {
  m.mlp_gated = false;
  m.activation = Activation::Relu2;
  if (f.has("n_routed_experts")) {
    read_experts(f, "n_routed_experts", "moe_intermediate_size", m);
    read_routing(f, m);
    m.routing.scoring = Scoring::Sigmoid;
    m.routing.selection_bias = true;
    m.d_expert = f.integer("moe_latent_size", 1, kWidthMax).value_or(0);
    m.d_ff_shared = f.integer("n_shared_experts", 0, 64).value_or(0) *
                    f.integer("moe_shared_expert_intermediate_size", 0, kFfMax).value_or(0);
  }
  read_nemotron_layers(f, m);
}

void read_muse(const Fields& f, ModelConfig& m) {
  m.norms = Norms::Both;
  m.attn_gate = AttentionGate::Wide;  // in every published file, without a key of its own
  m.qk_norm = true;
  m.norm_weights = false;
  const double factor = f.number("qk_scale_factor", 1e-6, 1e6).value_or(1.0);
  m.attn_scale = factor / std::sqrt(m.head_dim);
  m.logits_scale = f.number("output_multiplier", 1e-6, 1e6).value_or(1.0);
  m.logits_softcap = f.number("final_logit_softcapping", 0.0, 1e6).value_or(0.0);
  read_muse_layers(f, m);
}

}  // namespace

// DeepSeek-V2 and V3, Kimi K2, GLM-4.7-Flash, Mistral Small 4.
void read_deepseek(const Fields& f, ModelConfig& m) {
  if (f.has("n_routed_experts")) {
    read_experts(f, "n_routed_experts", "moe_intermediate_size", m);
    read_routing(f, m);
    read_shared_experts(f, m);
  }
  read_latent_layers(f, m);
  // YaRN's temperature stands in the scale of scores, squared.
  const auto parameters = f.object("rope_parameters");
  const auto scaling = parameters ? parameters : f.object("rope_scaling");
  const double all = scaling ? scaling->number("mscale_all_dim", 0.0, 100.0).value_or(0.0) : 0.0;
  if (all > 0.0) {
    const double factor = scaling->number("factor", 1e-3, 1e6).value_or(1.0);
    const double temperature = 0.1 * all * std::log(std::max(factor, 1.0)) + 1.0;
    m.attn_scale = temperature * temperature / std::sqrt(m.latent.qk_nope + m.latent.qk_rope);
  }
}

namespace {

void read_olmo2(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  m.norms = Norms::After;
  m.qk_norm = m.qk_norm_wide = true;
}

// GPT-2's class: LayerNorms with bias, learnt positions, an MLP without gate, biases on every matrix unless a file
// says otherwise (Transformer Engine's add_bias_linear).
void read_gpt2(const Fields& f, ModelConfig& m) {
  m.layer_norm = m.positions = true;
  m.mlp_gated = false;
  m.qkv_bias = m.attn_out_bias = m.mlp_bias = f.boolean("add_bias_linear").value_or(true);
  m.tied_embeddings = true;
  m.layers.assign(static_cast<std::size_t>(m.n_layers), plain_layer(m));
  for (LayerConfig& layer : m.layers) layer.rope = LayerRope::None;
}

void read_gptj(const Fields& f, ModelConfig& m) {
  refuse_foreign_factors(f, m);
  m.layer_norm = m.parallel = m.head_bias = m.mlp_bias = true;
  m.mlp_gated = false;
  m.qkv_bias = m.attn_out_bias = false;
}

struct Family {
  std::string_view name;
  void (*read)(const Fields&, ModelConfig&);
};
// Phi-3 fuses q, k, v and gate, up into single matrices: layout, not arithmetic. The text part of
// vision models is the text model.
constexpr std::array kFamilies = {
    Family{"llama", read_plain},
    Family{"mistral", read_plain},
    Family{"ministral3", read_plain},
    Family{"phi3", read_plain},
    Family{"granite", read_granite},
    Family{"qwen2", read_qwen2},
    Family{"qwen2_5_vl", read_qwen2},
    Family{"qwen3", read_qwen3},
    Family{"qwen3_vl_text", read_qwen3},
    Family{"qwen3_moe", read_qwen3_moe},
    Family{"qwen3_vl_moe_text", read_qwen3_moe},
    Family{"gpt_oss", read_gpt_oss},
    Family{"mixtral", read_mixtral},
    Family{"qwen3_next", read_qwen_hybrid},
    Family{"qwen3_5_text", read_qwen_hybrid},
    Family{"qwen3_5_moe_text", read_qwen_hybrid},
    Family{"gemma2", read_gemma2},
    Family{"gemma3_text", read_gemma3},
    Family{"gemma4_text", read_gemma4},
    Family{"gemma4_unified_text", read_gemma4},
    Family{"nemotron_h", read_nemotron_h},
    Family{"muse_glimmer_text", read_muse},
    Family{"deepseek_v2", read_deepseek},
    Family{"deepseek_v3", read_deepseek},
    Family{"kimi_k2", read_deepseek},
    Family{"glm4_moe_lite", read_deepseek},
    Family{"mistral4", read_deepseek},
    Family{"deepseek_v32", read_sparse_latent},
    Family{"glm_moe_dsa", read_sparse_latent},
    Family{"glm5_next_text", read_glm5_next},
    Family{"deepseek_v4", read_deepseek_v4},
    Family{"deepseek_v41_text", read_deepseek_v41},
    Family{"qwen4_exp_text", read_qwen4_exp},
    Family{"glm4_moe", read_glm4_moe},
    Family{"minimax_m2", read_minimax_m2},
    Family{"minimax_m3_vl", read_minimax_m3},
    Family{"laguna", read_laguna},
    Family{"step3p7", read_step},
    Family{"lfm2", read_lfm2},
    Family{"nemotron-nas", read_nemotron_nas},
    Family{"kimi_linear", read_kimi_linear},
    Family{"bailing_hybrid", read_bailing_hybrid},
    Family{"inkling_mm_model", read_inkling},
    Family{"olmo2", read_olmo2},
    Family{"gpt2", read_gpt2},
    Family{"gptj", read_gptj},
};

[[noreturn]] void unknown_family(const Fields& f, const std::string& family) {
  std::vector<std::string> known;
  for (const Family& entry : kFamilies) known.emplace_back(entry.name);
  throw_unsupported(format("{}: family '{}' is not known to this version{}; known are {}",
                           f.where(), family, did_you_mean(family, known),
                           fmt::join(known, ", ")));
}

}  // namespace

void check_family(const Fields& f, const std::string& family) {
  if (std::ranges::find(kFamilies, family, &Family::name) == kFamilies.end()) {
    unknown_family(f, family);
  }
}

void read_family(const Fields& f, ModelConfig& m) {
  check_family(f, m.family);
  std::ranges::find(kFamilies, m.family, &Family::name)->read(f, m);
}

ClassDefaults class_defaults(std::string_view family) {
  if (family == "ministral3") return {.n_ctx = 262144, .norm_eps = 1e-5};
  if (family == "glm5_next_text") return {.n_ctx = 1048576, .norm_eps = 1e-5};
  if (family == "inkling_mm_model") return {.n_ctx = 1048576, .norm_eps = 1e-6};
  if (family == "bailing_hybrid") return {.n_ctx = 262144, .norm_eps = 1e-6};  // its vLLM recipe
  if (family.starts_with("gemma4")) return {.n_ctx = 131072, .norm_eps = 1e-6};
  return {};
}

}  // namespace tinderbox::config
