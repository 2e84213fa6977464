// A GGUF header -> ModelConfig. Keys are "<architecture>.<name>" (ggml docs, gguf.md); whether a
// family has biases, norms on q and k or attention sinks is read from the tensors that are there.
// Families get Hugging Face's names.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/rope.h"

namespace tinderbox {
namespace {

// Above every published model by an order of magnitude, and small enough that products fit in 63
// bits.
constexpr std::int64_t kLayersMax = 1024, kHeadsMax = 4096, kHeadDimMax = 8192, kWidthMax = 1 << 18,
                       kFfMax = 1 << 20;
constexpr std::int64_t kVocabMax = 1 << 24, kContextMax = 1 << 30, kExpertsMax = 8192;

struct Architecture {
  std::string_view name, family;
  bool interleaved;  // llama.cpp permutes q and k of "llama" so that rotated pairs are neighbours
};
constexpr std::array<Architecture, 5> kArchitectures = {{
    {"llama", "llama", true},
    {"qwen2", "qwen2", false},
    {"qwen3", "qwen3", false},
    {"qwen3moe", "qwen3_moe", false},
    {"gpt-oss", "gpt_oss", false},
}};

class Keys {
 public:
  Keys(const Gguf& file, std::string_view architecture)
      : file_(file), architecture_(architecture) {}

  std::string full(std::string_view key) const { return format("{}.{}", architecture_, key); }

  [[noreturn]] void fail(std::string_view key, std::string_view problem) const {
    throw_invalid(format("{}: key {} {}; the file does not describe a model that can be built",
                         file_.name(), full(key), problem));
  }

  // Some converters write one value a layer; the op set needs them equal.
  std::optional<int> integer(std::string_view key, std::int64_t low, std::int64_t high) const {
    const std::string name = full(key);
    const auto found = file_.metadata().find(name);
    if (found == file_.metadata().end()) return std::nullopt;
    double value = 0;
    if (std::holds_alternative<std::shared_ptr<const GgufArray>>(found->second)) {
      const std::vector<double>& layers = file_.array(name)->numbers;
      if (layers.empty()) fail(key, "is not a list of numbers");
      value = layers[0];
      if (std::ranges::any_of(layers, [&](double other) { return other != value; })) {
        throw_unsupported(
            format("{}: key {} differs between layers, which this version has no graph for",
                   file_.name(), name));
      }
    } else {
      value = static_cast<double>(*file_.integer(name));
    }
    const bool fits = value >= static_cast<double>(low) && value <= static_cast<double>(high);
    if (!fits || value != std::floor(value)) {
      fail(key, format("is {}, expected a whole number from {} to {}", value, low, high));
    }
    return static_cast<int>(value);
  }
  int required(std::string_view key, std::int64_t low, std::int64_t high) const {
    const auto value = integer(key, low, high);
    if (!value) fail(key, "is missing");
    return *value;
  }
  double number(std::string_view key, double fallback, double low, double high) const {
    const double value = file_.number(full(key)).value_or(fallback);
    if (!(value >= low && value <= high)) {
      fail(key, format("is {}, expected a number from {} to {}", value, low, high));
    }
    return value;
  }
  bool has(std::string_view key) const { return file_.metadata().contains(full(key)); }

 private:
  const Gguf& file_;
  std::string_view architecture_;
};

void read_shape(const Gguf& file, const Keys& keys, ModelConfig& m) {
  m.n_layers = keys.required("block_count", 1, kLayersMax);
  m.d_model = keys.required("embedding_length", 1, kWidthMax);
  m.n_ctx = keys.required("context_length", 2, kContextMax);
  m.n_heads = keys.required("attention.head_count", 1, kHeadsMax);
  m.n_kv_heads = keys.integer("attention.head_count_kv", 1, kHeadsMax).value_or(m.n_heads);
  if (m.n_heads % m.n_kv_heads != 0) {
    keys.fail("attention.head_count_kv",
              format("is {}, not a divisor of {} heads", m.n_kv_heads, m.n_heads));
  }
  const auto head_dim = keys.integer("attention.key_length", 2, kHeadDimMax);
  if (!head_dim && m.d_model % m.n_heads != 0) {
    keys.fail("attention.key_length",
              format("is missing and {} is not divisible by {} heads", m.d_model, m.n_heads));
  }
  m.head_dim = head_dim.value_or(m.d_model / m.n_heads);
  if (m.head_dim < 2 || m.head_dim % 2 != 0) {
    keys.fail("attention.key_length",
              format("gives heads of {}, expected an even width", m.head_dim));
  }
  const auto value_dim = keys.integer("attention.value_length", 1, kHeadDimMax);
  if (value_dim && *value_dim != m.head_dim) {
    throw_unsupported(
        format("{}: values of {} and keys of {} elements, this version has one head width",
               file.name(), *value_dim, m.head_dim));
  }
  m.norm_eps = keys.number("attention.layer_norm_rms_epsilon", -1.0, 0.0, 1.0);

  const TensorView& embedding = file.at("token_embd.weight");
  if (embedding.rows > kVocabMax || embedding.cols != m.d_model) {
    throw_invalid(format("{}: tensor token_embd.weight is ({}, {}), expected (vocabulary, {})",
                         file.name(), embedding.rows, embedding.cols, m.d_model));
  }
  m.n_vocab = static_cast<int>(embedding.rows);
  m.tied_embeddings = file.find("output.weight") == nullptr;
}

void read_mlp(const Keys& keys, ModelConfig& m) {
  m.d_ff = keys.integer("feed_forward_length", 0, kFfMax).value_or(0);
  m.n_experts = keys.integer("expert_count", 0, kExpertsMax).value_or(0);
  if (m.n_experts == 0) {
    if (m.d_ff == 0) keys.fail("feed_forward_length", "is missing");
    return;
  }
  m.n_experts_used = keys.required("expert_used_count", 1, m.n_experts);
  m.d_ff_expert = keys.integer("expert_feed_forward_length", 1, kFfMax).value_or(m.d_ff);
  if (m.d_ff_expert == 0) keys.fail("expert_feed_forward_length", "is missing");
  if (m.d_ff == 0) m.d_ff = m.d_ff_expert;
  if (keys.integer("expert_shared_count", 0, kExpertsMax).value_or(0) != 0) {
    keys.fail("expert_shared_count", "is not 0, which this version has no graph for");
  }
}

void read_windows(const Keys& keys, ModelConfig& m) {
  const int window = keys.integer("attention.sliding_window", 0, kContextMax).value_or(0);
  if (window == 0 || window >= m.n_ctx) return;
  m.layer_window.assign(static_cast<std::size_t>(m.n_layers), window);
  // gpt-oss alternates, beginning with a window; its files do not say so.
  if (m.family != "gpt_oss") return;
  for (std::size_t i = 1; i < m.layer_window.size(); i += 2) m.layer_window[i] = 0;
}

// Llama 3.1's files bring their scaling as one divisor a frequency.
void read_rope_factors(const Gguf& file, Rope& rope) {
  const TensorView* tensor = file.find("rope_freqs.weight");
  if (tensor == nullptr) return;
  const auto n = static_cast<std::size_t>(rope.n_dims / 2);
  if (tensor->dtype != DType::F32 || tensor->data.size() != n * sizeof(float)) {
    throw_invalid(format("{}: tensor rope_freqs.weight is not {} f32 values", file.name(), n));
  }
  std::vector<float> values(n);
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
  for (const float value : values) {
    if (!(value >= 1e-3F && value <= 1e6F)) {
      throw_invalid(format("{}: tensor rope_freqs.weight holds {}, expected 0.001 to 1e6",
                           file.name(), value));
    }
  }
  rope.factors.assign(values.begin(), values.end());
}

void read_rope(const Gguf& file, const Keys& keys, ModelConfig& m) {
  Rope& rope = m.rope;
  rope.theta = keys.number("rope.freq_base", 10000.0, 1.0, 1e12);
  rope.n_dims = keys.integer("rope.dimension_count", 2, m.head_dim).value_or(m.head_dim);
  if (rope.n_dims % 2 != 0)
    keys.fail("rope.dimension_count", format("is {}, expected an even number", rope.n_dims));
  rope.n_ctx_original =
      keys.integer("rope.scaling.original_context_length", 2, kContextMax).value_or(m.n_ctx);
  read_rope_factors(file, rope);

  const std::string_view kind = file.string(keys.full("rope.scaling.type")).value_or("none");
  if (kind == "none" && !keys.has("rope.scale_linear"))
    return;  // the older name of a linear factor
  rope.factor =
      keys.number(keys.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear",
                  1.0, 1e-3, 1e6);
  if (kind == "linear" || kind == "none") {
    rope.scaling = rope.factor == 1.0 ? RopeScaling::None : RopeScaling::Linear;
  } else if (kind == "yarn") {
    if (rope.theta <= 1.0) keys.fail("rope.freq_base", "is 1, expected more with yarn");
    rope.scaling = RopeScaling::Yarn;
    rope.beta_fast = keys.number("rope.scaling.yarn_beta_fast", 32.0, 1e-3, 1e6);
    rope.beta_slow = keys.number("rope.scaling.yarn_beta_slow", 1.0, 1e-3, 1e6);
    rope.yarn_truncate =
        m.family != "gpt_oss";  // "truncate": false in its config.json, not kept in GGUF
    const double extra = keys.number("rope.scaling.attn_factor", 1.0, 1e-3, 100.0);
    if (extra != 1.0) rope.attention_factor = extra * rope_attention_factor(rope);
  } else {
    throw_unsupported(
        format("{}: rope scaling '{}' is not known to this version; known are none, linear, yarn",
               file.name(), kind));
  }
}

}  // namespace

ModelConfig config_from_gguf(const Gguf& file) {
  const auto name = file.string("general.architecture");
  if (!name)
    throw_invalid(format("{}: key general.architecture is missing: not a model file", file.name()));
  const auto* architecture = std::ranges::find(kArchitectures, *name, &Architecture::name);
  if (architecture == kArchitectures.end()) {
    throw_unsupported(
        format("{}: architecture '{}' has no graph in this version; known are llama, qwen2, qwen3, "
               "qwen3moe, gpt-oss",
               file.name(), *name));
  }
  const Keys keys(file, *name);
  ModelConfig m;
  m.id = file.string("general.name").value_or(*name);
  m.family = architecture->family;
  read_shape(file, keys, m);
  read_mlp(keys, m);
  read_windows(keys, m);
  m.rope.interleaved = architecture->interleaved;
  read_rope(file, keys, m);
  m.qkv_bias = file.find("blk.0.attn_q.bias") != nullptr;
  m.attn_out_bias = file.find("blk.0.attn_output.bias") != nullptr;
  m.mlp_bias =
      file.find(m.is_moe() ? "blk.0.ffn_down_exps.bias" : "blk.0.ffn_down.bias") != nullptr;
  m.qk_norm = file.find("blk.0.attn_q_norm.weight") != nullptr;
  m.attn_sinks = file.find("blk.0.attn_sinks.weight") != nullptr;
  if (m.family == "gpt_oss") m.activation = Activation::SwigluOai;
  return m;
}

}  // namespace tinderbox
