// What a model is: its hyper-parameters, from a Hugging Face config.json or a GGUF header. A value.
// Names: anchors in STYLE.md's glossary (n_layers = num_hidden_layers = block_count, ...).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

enum class Activation : std::uint8_t {
  Silu,       // SwiGLU: silu(gate) * up
  GeluTanh,   // GeGLU with the tanh approximation
  SwigluOai,  // gpt-oss: clamp(gate), (up + 1) * gate * sigmoid(1.702 gate)
};

enum class RopeScaling : std::uint8_t { None, Linear, Llama3, Yarn };

struct Rope {
  double theta = 10000.0;
  int n_dims = 0;  // rotated dimensions of each head; the rest pass through
  // true: pairs (2i, 2i+1) as GGUF's llama weights are permuted; false: (i, i + n/2).
  bool interleaved = false;
  RopeScaling scaling = RopeScaling::None;
  double factor = 1.0, low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;                            // yarn
  bool yarn_truncate = true;                                           // yarn: whole correction dimensions
  int n_ctx_original = 0;
  double attention_factor = 0.0;  // multiplies cos and sin; 0: what the scaling implies (rope.h)
  // Divisors of the n_dims / 2 frequencies (longrope, GGUF rope_freqs); empty: none.
  std::vector<double> factors;
};

struct ModelConfig {
  std::string id;      // catalogue id ("llama-3.1-8b") or the GGUF's general.name
  std::string family;  // model_type of Hugging Face: "llama", "qwen3_moe", "gpt_oss", ...
  int n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int d_model = 0, d_ff = 0, n_vocab = 0, n_ctx = 0;
  double norm_eps = 1e-5;
  Rope rope;
  Activation activation = Activation::Silu;
  bool qkv_bias = false;       // bias on q, k, v
  bool attn_out_bias = false;  // bias on the output projection
  bool mlp_bias = false;       // bias on dense MLP or expert matrices, and on the router
  bool qk_norm = false;        // RMSNorm over each head of q and k (Qwen3)
  bool attn_sinks = false;     // one learnt sink logit a head (gpt-oss)
  bool tied_embeddings = false;

  int n_experts = 0, n_experts_used = 0;  // 0: dense
  int d_ff_expert = 0;
  bool moe_norm_topk = true;  // router weights are renormalised over the chosen experts
  // Window of each layer in tokens, 0: full attention. Empty: all full.
  std::vector<int> layer_window;
  // Ministral 3: attention scores times 1 + beta ln(1 + floor(position / rope.n_ctx_original)); 0: off.
  double attn_temperature_beta = 0.0;

  int window(int layer) const {
    return layer_window.empty() ? 0 : layer_window[static_cast<std::size_t>(layer)];
  }
  bool is_moe() const { return n_experts > 0; }
  int q_dim() const { return n_heads * head_dim; }
  int kv_dim() const { return n_kv_heads * head_dim; }
};

// Reads config.json (or the catalogue's copy). Throws Error::Invalid naming file and key if a field is
// missing or absurd (all counts have upper limits); Error::Unsupported naming the family if this version has
// no graph for it.
ModelConfig load_config(const std::filesystem::path& path);
ModelConfig parse_config(std::string_view json, std::string_view name);

// Parameters by exact count of the graph's weights: every weight once; active leaves out unused experts and
// (unless tied) nothing else.
struct ParameterCount {
  double total = 0, active = 0;
};
ParameterCount count_parameters(const ModelConfig& model);

}  // namespace tinderbox
