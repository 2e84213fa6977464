// What a model is: its hyper-parameters, from a Hugging Face config.json or a GGUF header. A value.
// Names: anchors in STYLE.md's glossary (n_layers = num_hidden_layers = block_count, ...).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

// The function f of f(gate) * up, or of an MLP without gate.
enum class Activation : std::uint8_t {
  Silu,       // SwiGLU: silu(gate) * up
  GeluTanh,   // GeGLU with the tanh approximation
  SwigluOai,  // gpt-oss: clamp(gate), (up + 1) * gate * sigmoid(1.702 gate)
  Gelu,       // with erf, as GPT-2's descendants
  Relu2,      // max(x, 0)^2 (Nemotron-H)
  Sigmoid,    // gates of attention and shared experts
  Identity,   // a plain product
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

// How a layer mixes the tokens of a sequence.
enum class Mixer : std::uint8_t {
  None,        // an MLP alone
  Attention,   // keys and values of n_kv_heads heads
  Latent,      // multi-head latent attention (DeepSeek-V2): one cached row for all heads
  Pooled,      // DeepSeek-V4: one row for all heads, key and value in one; near tokens by themselves, far ones pooled
  GatedDelta,  // Gated DeltaNet (Yang et al. 2024): a matrix a head, decayed as a whole
  KimiDelta,   // Kimi Delta Attention: the same, each key channel decayed apart
  Mamba2,      // state-space duality (Dao and Gu 2024)
  ShortConv,   // LFM2: a gated short convolution
};

enum class LayerRope : std::uint8_t { None, Global, Local };  // ModelConfig::rope, rope_local

// What may differ from layer to layer.
struct LayerConfig {
  Mixer mixer = Mixer::Attention;
  int n_heads = 0, n_kv_heads = 0, head_dim = 0;  // Attention
  int window = 0;                                 // in tokens; 0: all
  LayerRope rope = LayerRope::Global;
  int kv_layer = -1;     // the earlier layer whose keys and values it reads; -1: its own
  bool k_is_v = false;   // no value projection: values are the keys before norm and rotation
  int d_ff = 0;          // width of the dense MLP; 0: none
  bool experts = false;  // a mixture of experts, beside the dense MLP if there is one
  int ratio = 0;         // Pooled: tokens a pooled row stands for; 0: no pooled rows, the window alone
  int pool_layer = -1;   // Pooled: the earlier layer whose pooled rows it reads; -1: its own
  bool sparse = false;   // attends to what an index selects
  int index_layer = -1;  // sparse: the earlier layer whose selection it takes; -1: it selects
  int keys_layer = -1;   // sparse: the earlier layer whose index keys it scores; -1: its own
  int bias_extent = 0;   // tokens back to which scores get a learnt bias by distance; 0: none
  friend bool operator==(const LayerConfig&, const LayerConfig&) = default;
};

// Where a block's norms stand.
enum class Norms : std::uint8_t {
  Before,  // of what attention and MLP read
  After,   // of what they return (OLMo 2)
  Both,    // Gemma 2 and later, Muse
};

// A sigmoid on attention's output, before its projection.
enum class AttentionGate : std::uint8_t {
  None,
  InQuery,  // the query matrix is twice as wide; each head's second half is its gate (Qwen3-Next)
  Wide,     // a matrix of its own, as wide as the queries (Muse)
  PerHead,  // one number a head (Laguna)
};

// Scores of experts from router logits: softmax over all or the chosen, or each by itself.
enum class Scoring : std::uint8_t { Softmax, Sigmoid, SqrtSoftplus };

struct Routing {
  Scoring scoring = Scoring::Softmax;
  bool selection_bias = false;           // a learnt bias a expert that only decides who is chosen
  int n_groups = 1, n_groups_used = 1;   // only experts of the best groups can be chosen
  double scale = 1.0;                    // of the weights
  bool operator==(const Routing&) const = default;
};

// Multi-head latent attention: widths of one head and of the shared latent row.
struct LatentConfig {
  int q_lora = 0;  // 0: queries straight from the hidden state
  int kv_lora = 0, qk_nope = 0, qk_rope = 0, v_dim = 0;
  int o_groups = 0, o_lora = 0;  // Pooled: output through a matrix a group of heads, then one of all
  // Pooled: V4's rows have a learnt bias for each place in the window and overlap by a window in sparse layers,
  // whose index keys are pooled by themselves. V4.1: neither; index keys are projected from what is pooled.
  bool pool_bias = false;
};

// The index of sparse attention: small keys, scored against small queries; only the best blocks of
// complete `block` tokens are attended, and the tokens of the block that is not complete yet.
struct IndexConfig {
  enum class Kind : std::uint8_t {
    Lightning,  // DeepSeek-V3.2, GLM: queries from the latent ones, scores of heads weighted by the token
    Plain,      // Qwen3.8, MiniMax M3: queries from the hidden state, scores of heads summed
  };
  Kind kind = Kind::Lightning;
  int n_heads = 0, head_dim = 0;
  int top_k = 0;       // blocks
  int block = 1;       // tokens
  int ratio = 1;       // tokens a key stands for; divides block
  bool gates = false;  // keys are pooled by a learnt softmax instead of a mean
  bool key_bias = false;  // the keys' norm is a LayerNorm
};

// Residual streams in place of one residual: n times as wide between the blocks.
struct StreamConfig {
  enum class Kind : std::uint8_t {
    Sinkhorn,  // manifold-constrained hyper-connections (Xie et al. 2026): doubly stochastic mixing
    LowRank,   // Qwen3.8: a gate an element through a bottleneck, no mixing
  };
  Kind kind = Kind::Sinkhorn;
  int n = 1;
  int lowrank = 0;      // LowRank: width of the bottleneck
  int iterations = 0;   // Sinkhorn
  bool head = false;    // Sinkhorn: the last read has learnt weights, otherwise it is a mean
};

// Tables of rows for the last few tokens together, read by hash, added to the streams of some layers.
struct NgramConfig {
  struct Table {
    int layer = 0;
    std::int64_t n_rows = 0;
  };
  std::vector<Table> tables;  // in order of layers
  int n_lookups = 0, width = 0;  // rows a token reads, and their width
  int conv_kernel = 0;           // of a convolution over what is added; 0: none
};

// Layers with a recurrent state. Mamba-2: v heads are its heads, v_dim their width, k heads its
// groups, k_dim its state size.
struct LinearConfig {
  int n_k_heads = 0, n_v_heads = 0, k_dim = 0, v_dim = 0;
  int conv_kernel = 0;
  bool conv_bias = false;
  // KimiDelta: rank of the projections of decay and output gate; 0: one matrix each.
  int decay_rank = 0, gate_rank = 0;
  int conv_dim() const { return 2 * n_k_heads * k_dim + n_v_heads * v_dim; }
};

struct ModelConfig {
  std::string id;      // catalogue id ("llama-3.1-8b") or the GGUF's general.name
  std::string family;  // model_type of Hugging Face: "llama", "qwen3_moe", "gpt_oss", ...
  // Format of the published checkpoint, a name of weight_format(): "mxfp4", "fp8"; empty: 16 bits, or not known here.
  std::string shipped_weights;
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

  // From here on what only some families have; the engine runs none of it.
  std::vector<LayerConfig> layers;  // empty: all as the scalars above say
  Rope rope_local;                  // of LayerRope::Local
  Norms norms = Norms::Before;
  AttentionGate attn_gate = AttentionGate::None;
  bool layer_norm = false;         // LayerNorm with bias instead of RMSNorm (GPT-2, GPT-J)
  bool parallel = false;           // attention and MLP read the same norm and add to the same residual (GPT-J)
  bool positions = false;          // a learnt embedding a position (GPT-2)
  bool head_bias = false;          // GPT-J
  bool embedding_norm = false;     // embeddings are normalised (Inkling)
  bool qk_norm_wide = false;       // q and k are normalised over all heads together (OLMo 2, MiniMax M2)
  int residual_kernel = 0;         // of short convolutions added to k, v and what blocks return; 0: none (Inkling)
  int d_bias = 0;                  // with bias_extent: width of a head's query for distances
  bool norm_weights = true;        // norms of q and k have learnt weights (Muse's have none)
  bool v_norm = false;             // values are normalised too, without weights (Gemma 4)
  double attn_scale = 0.0;         // of q k; 0: 1 / sqrt(head_dim)
  double attn_softcap = 0.0;       // c tanh(score / c); 0: off
  double embedding_scale = 1.0, residual_scale = 1.0, logits_scale = 1.0;
  double logits_softcap = 0.0;
  bool mlp_gated = true;           // false: down(f(up x))
  bool layer_scale = false;        // one learnt factor on each layer's output (Gemma 4)
  int d_layer_embedding = 0;       // width of per-layer embeddings (Gemma E2B, E4B); 0: none
  int d_ff_shared = 0;             // width of the shared experts together; 0: none
  bool shared_gate = false;        // sigmoid gate on the shared expert (Qwen)
  bool expert_scale = false;       // learnt factors on the router's input and each expert (Gemma 4)
  int d_expert = 0;                // experts work in a projection of this width; 0: d_model
  bool expert_norm = false;        // with d_expert: a norm before the projection back (Kimi K3)
  Routing routing;
  LatentConfig latent;
  LinearConfig linear;
  IndexConfig index;
  StreamConfig streams;
  NgramConfig ngrams;

  // Multi-token prediction: so many heads, each one such layer that reads the hidden state and the next token's
  // embedding and shares embedding and LM head with the model.
  int n_mtp = 0;
  LayerConfig mtp_layer;
  int mtp_experts = 0, mtp_experts_used = 0;  // of a head; 0: as the model
  bool draft = false;             // this is such a head by itself: draft_model()
  double vision_parameters = 0;   // of vision and audio encoders with their projectors, by their configuration

  int window(int layer) const {
    return layer_window.empty() ? 0 : layer_window[static_cast<std::size_t>(layer)];
  }
  LayerConfig layer(int i) const {
    if (!layers.empty()) return layers[static_cast<std::size_t>(i)];
    return {.n_heads = n_heads,
            .n_kv_heads = n_kv_heads,
            .head_dim = head_dim,
            .window = window(i),
            .d_ff = is_moe() ? 0 : d_ff,
            .experts = is_moe()};
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

// One head of multi-token prediction as a model of one layer. Requires n_mtp > 0.
ModelConfig draft_model(const ModelConfig& model);

// Parameters by exact count of the graph's weights: every weight once; active leaves out unused experts,
// tables that are only looked up, and matrices that nothing reads. Heads that predict further tokens and
// encoders of images are not in the total.
struct ParameterCount {
  double total = 0, active = 0, mtp = 0, vision = 0;
};
ParameterCount count_parameters(const ModelConfig& model);

}  // namespace tinderbox
