// Hugging Face's config.json -> ModelConfig: a reader of typed, bounded fields, then a few lines a
// family.
#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "model/families.h"

namespace tinderbox {
namespace {

using nlohmann::json;

constexpr std::size_t kFileBytesMax = std::size_t{16} << 20;
// Above every published model by an order of magnitude, and small enough that products fit in 63
// bits.
constexpr int kLayersMax = 1024, kHeadsMax = 4096, kHeadDimMax = 8192, kWidthMax = 1 << 18,
              kFfMax = 1 << 20;
constexpr int kVocabMax = 1 << 24, kContextMax = 1 << 30, kExpertsMax = 8192;

// A JSON object and where it stands, for messages. Null counts as absent, as in Hugging Face's
// files.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  const json* find(std::string_view key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }

  [[noreturn]] void fail(std::string_view key, std::string_view expected) const {
    const json* value = find(key);
    std::string found = "is missing";
    if (value != nullptr && value->is_primitive())
      found = "is " + value->dump(-1, ' ', true).substr(0, 60);
    if (value != nullptr && !value->is_primitive()) found = format("is an {}", value->type_name());
    throw_invalid(format("{}: '{}' {}, expected {}", where_, key, found, expected));
  }

  std::optional<double> number(std::string_view key, double low, double high) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    const double x = value->is_number() ? value->get<double>() : std::nan("");
    if (!(x >= low && x <= high)) fail(key, format("a number from {} to {}", low, high));
    return x;
  }
  std::optional<int> integer(std::string_view key, int low, int high) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    const double x = value->is_number() ? value->get<double>() : std::nan("");
    if (!(x >= low && x <= high) || x != std::floor(x)) {
      fail(key, format("a whole number from {} to {}", low, high));
    }
    return static_cast<int>(x);
  }
  int required(std::string_view key, int low, int high) const {
    const auto value = integer(key, low, high);
    if (!value) fail(key, format("a whole number from {} to {}", low, high));
    return *value;
  }
  std::optional<bool> boolean(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
  }
  std::optional<std::string> string(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail(key, "a text");
    return value->get<std::string>();
  }
  std::optional<Fields> object(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) fail(key, "an object");
    return Fields(*value, format("{}: {}", where_, key));
  }
  // An array of `n` numbers in [low, high].
  std::vector<double> numbers(std::string_view key, std::size_t n, double low, double high) const {
    const json* value = find(key);
    const std::string expected = format("{} numbers from {} to {}", n, low, high);
    if (value == nullptr || !value->is_array() || value->size() != n) fail(key, expected);
    std::vector<double> result;
    for (const json& item : *value) {
      const double x = item.is_number() ? item.get<double>() : std::nan("");
      if (!(x >= low && x <= high)) fail(key, expected);
      result.push_back(x);
    }
    return result;
  }

 private:
  const json& object_;
  std::string where_;
};

[[noreturn]] void unsupported(const Fields& f, std::string_view family, std::string_view missing) {
  throw_unsupported(format("{}: family '{}' needs {}, which this version has no ops for", f.where(),
                           family, missing));
}

[[noreturn]] void unknown_family(const Fields& f, const std::string& family) {
  const std::string_view missing = missing_ops(family);
  if (!missing.empty()) unsupported(f, family, missing);
  throw_unsupported(format("{}: family '{}' is not known to this version; known are {}", f.where(),
                           family, kKnownFamilies));
}

// Factors of Granite, Gemma and others that change the result of an op: only their neutral values
// fit the graph.
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

void read_yarn(const Fields& s, Rope& rope) {
  rope.beta_fast = s.number("beta_fast", 1e-3, 1e6).value_or(32.0);
  rope.beta_slow = s.number("beta_slow", 1e-3, 1e6).value_or(1.0);
  rope.yarn_truncate = s.boolean("truncate").value_or(true);
  // DeepSeek's pair of scales: the attention factor is their ratio.
  const auto mscale = s.number("mscale", 0.0, 100.0), all = s.number("mscale_all_dim", 0.0, 100.0);
  if (rope.attention_factor == 0.0 && mscale.value_or(0.0) > 0.0 && all.value_or(0.0) > 0.0) {
    const double log_factor = 0.1 * std::log(std::max(rope.factor, 1.0));
    rope.attention_factor = (*mscale * log_factor + 1.0) / (*all * log_factor + 1.0);
  }
}

// Phi-3: one list of divisors up to the original context and one for the extended one; the model's
// context decides, as in llama.cpp.
void read_longrope(const Fields& s, ModelConfig& m) {
  const bool extended = m.n_ctx > m.rope.n_ctx_original;
  const auto n = static_cast<std::size_t>(m.rope.n_dims / 2);
  m.rope.factors = s.numbers(extended ? "long_factor" : "short_factor", n, 1e-3, 1e6);
  if (extended && m.rope.attention_factor == 0.0) {
    const double stretch = static_cast<double>(m.n_ctx) / m.rope.n_ctx_original;
    m.rope.attention_factor = std::sqrt(1.0 + std::log(stretch) / std::log(m.rope.n_ctx_original));
  }
}

void read_rope(const Fields& f, ModelConfig& m) {
  Rope& rope = m.rope;
  const auto parameters = f.object("rope_parameters");
  const auto scaling = parameters ? parameters : f.object("rope_scaling");
  rope.theta = f.number("rope_theta", 1.0, 1e12).value_or(10000.0);
  if (parameters) rope.theta = parameters->number("rope_theta", 1.0, 1e12).value_or(rope.theta);
  const double partial = f.number("partial_rotary_factor", 0.0, 1.0).value_or(1.0);
  rope.n_dims = static_cast<int>(m.head_dim * partial) / 2 * 2;
  rope.interleaved = f.boolean("rope_interleaved").value_or(false);
  rope.n_ctx_original =
      f.integer("original_max_position_embeddings", 1, kContextMax).value_or(m.n_ctx);
  if (!scaling) return;
  auto kind = scaling->string("rope_type");
  if (!kind) kind = scaling->string("type");
  // Qwen-VL's mrope gives text tokens the same position in every section: plain rotation.
  if (!kind || *kind == "default" || *kind == "mrope") return;
  rope.n_ctx_original = scaling->integer("original_max_position_embeddings", 2, kContextMax)
                            .value_or(std::max(rope.n_ctx_original, 2));
  rope.attention_factor = scaling->number("attention_factor", 0.0, 100.0).value_or(0.0);
  m.attn_temperature_beta = scaling->number("llama_4_scaling_beta", 0.0, 100.0).value_or(0.0);
  if (*kind == "longrope" || *kind == "su") return read_longrope(*scaling, m);
  const auto factor = scaling->number("factor", 1e-3, 1e6);
  if (!factor) scaling->fail("factor", "a number from 0.001 to 1e6");
  rope.factor = *factor;
  if (*kind == "linear") {
    rope.scaling = RopeScaling::Linear;
  } else if (*kind == "llama3") {
    rope.scaling = RopeScaling::Llama3;
    rope.low_freq_factor = scaling->number("low_freq_factor", 1e-3, 1e6).value_or(1.0);
    rope.high_freq_factor = scaling->number("high_freq_factor", 1e-3, 1e6).value_or(4.0);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      scaling->fail("high_freq_factor", "more than the low one");
  } else if (*kind == "yarn") {
    rope.scaling = RopeScaling::Yarn;
    if (rope.theta <= 1.0) f.fail("rope_theta", "more than 1 with yarn");
    read_yarn(*scaling, rope);
  } else {
    unsupported(f, m.family, format("rope scaling '{}'", *kind));
  }
}

// One window a layer: from layer_types, else Qwen2's and gpt-oss's rules, else the same for all.
void read_windows(const Fields& f, ModelConfig& m) {
  const int window = f.integer("sliding_window", 0, kContextMax).value_or(0);
  const auto n = static_cast<std::size_t>(m.n_layers);
  std::vector<int> windows(n, window);
  if (const json* types = f.find("layer_types")) {
    if (!types->is_array() || types->size() != n)
      f.fail("layer_types", format("{} texts, one a layer", n));
    for (std::size_t i = 0; i < n; ++i) {
      const json& type = (*types)[i];
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

// The shape that all families share.
void read_shape(const Fields& f, ModelConfig& m) {
  m.n_layers = f.required("num_hidden_layers", 1, kLayersMax);
  m.d_model = f.required("hidden_size", 1, kWidthMax);
  m.n_heads = f.required("num_attention_heads", 1, kHeadsMax);
  m.n_kv_heads = f.integer("num_key_value_heads", 1, kHeadsMax).value_or(m.n_heads);
  if (m.n_heads % m.n_kv_heads != 0)
    f.fail("num_key_value_heads", format("a divisor of {} heads", m.n_heads));
  if (!f.has("head_dim") && m.d_model % m.n_heads != 0) {
    f.fail("head_dim",
           format("a width, because {} is not divisible by {} heads", m.d_model, m.n_heads));
  }
  m.head_dim = f.integer("head_dim", 2, kHeadDimMax).value_or(m.d_model / m.n_heads);
  if (m.head_dim < 2 || m.head_dim % 2 != 0) f.fail("head_dim", "an even width");
  m.d_ff = f.required("intermediate_size", 1, kFfMax);
  m.n_vocab = f.required("vocab_size", 1, kVocabMax);
  m.n_ctx = f.required("max_position_embeddings", 2, kContextMax);
  const auto eps = f.number("rms_norm_eps", 0.0, 1.0);
  if (!eps) f.fail("rms_norm_eps", "a number from 0 to 1");
  m.norm_eps = *eps;
}

void read_activation(const Fields& f, ModelConfig& m) {
  if (m.activation == Activation::SwigluOai) return;  // gpt-oss says silu and means its own
  const std::string name = f.string("hidden_act").value_or("silu");
  if (name == "silu" || name == "swish") {
    m.activation = Activation::Silu;
  } else if (name == "gelu_pytorch_tanh" || name == "gelu_new") {
    m.activation = Activation::GeluTanh;
  } else {
    unsupported(f, m.family, format("activation '{}'", name));
  }
}

void read_gpt_oss(const Fields& f, ModelConfig& m) {
  read_experts(f, "num_local_experts", "intermediate_size", m);
  m.activation = Activation::SwigluOai;
  if (f.number("swiglu_limit", 0.0, 1e6).value_or(7.0) != 7.0)
    unsupported(f, m.family, "another swiglu_limit than 7");
  m.mlp_bias = m.attn_sinks = true;
}

void read_qwen3_moe(const Fields& f, ModelConfig& m) {
  read_experts(f, "num_experts", "moe_intermediate_size", m);
  m.qk_norm = true;
  m.moe_norm_topk = f.boolean("norm_topk_prob").value_or(false);
  const json* dense_layers = f.find("mlp_only_layers");
  if ((dense_layers != nullptr && !dense_layers->empty()) ||
      f.integer("decoder_sparse_step", 1, kLayersMax).value_or(1) != 1) {
    unsupported(f, m.family, "dense layers between expert layers");
  }
}

// What sets a family apart. The text part of Qwen's vision models is the text model.
void read_family(const Fields& f, ModelConfig& m) {
  const std::string& family = m.family;
  const bool gpt_oss = family == "gpt_oss";
  m.qkv_bias = m.attn_out_bias = f.boolean("attention_bias").value_or(gpt_oss);
  m.mlp_bias = f.boolean("mlp_bias").value_or(false);
  if (family == "llama" || family == "granite" || family == "mistral" || family == "ministral3")
    return;
  // Phi-3 fuses q, k, v and gate, up into single matrices: layout, not arithmetic.
  if (family == "phi3") return;
  if (family == "qwen2" || family == "qwen2_5_vl") {
    m.qkv_bias = true;
    m.attn_out_bias = false;
  } else if (family == "qwen3" || family == "qwen3_vl_text") {
    m.qk_norm = true;
  } else if (family == "qwen3_moe" || family == "qwen3_vl_moe_text") {
    read_qwen3_moe(f, m);
  } else if (gpt_oss) {
    read_gpt_oss(f, m);
  } else if (family == "mixtral") {
    read_experts(f, "num_local_experts", "intermediate_size", m);
  } else {
    unknown_family(f, family);
  }
}

ModelConfig read_config(const Fields& f, std::string family, bool tied_outside) {
  ModelConfig m;
  m.family = std::move(family);
  read_family(f, m);
  read_shape(f, m);
  refuse_foreign_factors(f, m);
  read_activation(f, m);
  read_windows(f, m);
  read_rope(f, m);
  m.tied_embeddings = f.boolean("tie_word_embeddings").value_or(tied_outside);
  return m;
}

json parse_json(std::string_view text, std::string_view name) {
  constexpr int kDepthMax = 64;
  const auto limit_depth = [&](int depth, json::parse_event_t, json&) {
    if (depth > kDepthMax)
      throw_invalid(format("{}: JSON is nested deeper than {}", name, kDepthMax));
    return true;
  };
  try {
    json document = json::parse(text, limit_depth);
    if (!document.is_object()) throw_invalid(format("{}: expected a JSON object", name));
    return document;
  } catch (const json::exception& e) {
    throw_invalid(format("{}: not JSON: {}", name, e.what()));
  }
}

}  // namespace

ModelConfig parse_config(std::string_view text, std::string_view name) {
  if (text.size() > kFileBytesMax)
    throw_too_large(format("{}: larger than {} bytes", name, kFileBytesMax));
  const json document = parse_json(text, name);
  const Fields outer(document, std::string(name));
  // Multimodal models keep the language model one level down.
  const auto nested = outer.object("text_config");
  const Fields& f = nested ? *nested : outer;
  auto family = f.string("model_type");
  if (!family) family = outer.string("model_type");
  if (!family) outer.fail("model_type", "the name of the model's family");
  ModelConfig model = read_config(f, *family, outer.boolean("tie_word_embeddings").value_or(false));
  model.id = name;
  return model;
}

ModelConfig load_config(const std::filesystem::path& path) {
  ModelConfig model = parse_config(read_file(path, kFileBytesMax), path.string());
  // A downloaded checkpoint is a folder with a config.json, so the folder has the name.
  const bool anonymous = path.stem() == "config" && path.has_parent_path();
  model.id = anonymous ? path.parent_path().filename().string() : path.stem().string();
  return model;
}

}  // namespace tinderbox
