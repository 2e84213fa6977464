// Hugging Face's config.json -> ModelConfig: the shape that all families share. Families, layer
// patterns and rotations stand in config_families.cc, config_layers.cc and config_rope.cc.
#include "model/config.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "model/config_fields.h"

namespace tinderbox {
namespace config {
namespace {

using nlohmann::json;

constexpr std::size_t kFileBytesMax = std::size_t{16} << 20;

void read_shape(const Fields& f, ModelConfig& m) {
  const ClassDefaults defaults = class_defaults(m.family);
  m.n_layers = f.required("num_hidden_layers", 1, kLayersMax);
  m.d_model = f.required("hidden_size", 1, kWidthMax);
  m.n_heads = f.required("num_attention_heads", 1, kHeadsMax);
  m.n_kv_heads = f.integer("num_key_value_heads", 1, kHeadsMax).value_or(m.n_heads);
  if (m.n_heads % m.n_kv_heads != 0)
    f.fail("num_key_value_heads", format("a divisor of {} heads", m.n_heads));
  const bool latent = f.has("kv_lora_rank");  // has head widths of its own
  if (!latent && !f.has("head_dim") && m.d_model % m.n_heads != 0) {
    f.fail("head_dim",
           format("a width, because {} is not divisible by {} heads", m.d_model, m.n_heads));
  }
  m.head_dim = f.integer("head_dim", 2, kHeadDimMax).value_or(m.d_model / m.n_heads);
  if (!latent && (m.head_dim < 2 || m.head_dim % 2 != 0)) f.fail("head_dim", "an even width");
  m.d_ff = f.integer("intermediate_size", 1, kFfMax).value_or(0);
  m.n_vocab = f.required("vocab_size", 1, kVocabMax);
  m.n_ctx = defaults.n_ctx;
  for (const char* key : {"max_position_embeddings", "model_max_length"}) {
    m.n_ctx = f.integer(key, 2, kContextMax).value_or(m.n_ctx);
  }
  m.norm_eps = defaults.norm_eps;
  for (const char* key : {"rms_norm_eps", "layer_norm_epsilon", "norm_eps"}) {
    m.norm_eps = f.number(key, 0.0, 1.0).value_or(m.norm_eps);
  }
}

void read_activation(const Fields& f, ModelConfig& m) {
  if (m.activation == Activation::SwigluOai) return;  // gpt-oss says silu and means its own
  std::string_view key = "hidden_act";
  for (const char* other : {"hidden_activation", "mlp_hidden_act", "activation_function"}) {
    if (f.has(other)) key = other;
  }
  const auto name = f.string(key);
  if (!name) return;
  if (*name == "silu" || *name == "swish" || *name == "situ") {
    m.activation = Activation::Silu;
  } else if (*name == "gelu_pytorch_tanh" || *name == "gelu_new") {
    m.activation = Activation::GeluTanh;
  } else if (*name == "gelu") {
    m.activation = Activation::Gelu;
  } else if (*name == "swigluoai") {
    m.activation = Activation::SwigluOai;
  } else if (*name == "relu2") {
    m.activation = Activation::Relu2;
  } else {
    unsupported(f, m.family, format("activation '{}'", *name));
  }
}

void check_widths(const Fields& f, const ModelConfig& m) {
  for (int i = 0; i < m.n_layers; ++i) {
    const LayerConfig layer = m.layer(i);
    const bool has_block = layer.experts || layer.d_ff > 0;
    if (layer.mixer != Mixer::Mamba2 && !has_block && m.d_ff == 0) {
      f.required("intermediate_size", 1, kFfMax);
    }
  }
}

ModelConfig read_config(const Fields& f, std::string family, bool tied_outside) {
  ModelConfig m;
  m.family = std::move(family);
  m.qkv_bias = m.attn_out_bias = f.boolean("attention_bias").value_or(m.family == "gpt_oss");
  m.mlp_bias = f.boolean("mlp_bias").value_or(false);
  m.tied_embeddings = tied_outside;
  check_family(f, m.family);
  read_shape(f, m);
  read_family(f, m);
  read_activation(f, m);
  if (m.layers.empty()) read_windows(f, m);
  read_ropes(f, m);
  m.tied_embeddings = f.boolean("tie_word_embeddings").value_or(m.tied_embeddings);
  check_widths(f, m);
  read_mtp(f, m);
  return m;
}

// GPT-2's and GPT-J's names of what all others call as LLaMA does.
void rename_gpt_fields(json& document) {
  const auto type = document.find("model_type");
  if (type == document.end() || (*type != "gpt2" && *type != "gptj")) return;
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"n_layer", "num_hidden_layers"}, {"n_embd", "hidden_size"},
      {"n_head", "num_attention_heads"}, {"n_inner", "intermediate_size"},
      {"n_positions", "max_position_embeddings"}};
  for (const auto& [theirs, ours] : kNames) {
    if (document.contains(theirs) && !document.contains(ours)) document[ours] = document[theirs];
  }
  const auto width = document.find("hidden_size");
  const auto inner = document.find("intermediate_size");
  const bool missing = inner == document.end() || inner->is_null();
  // The class's rule: four times as wide.
  if (missing && width != document.end() && width->is_number_integer() && *width > 0 &&
      *width < kFfMax / 4) {
    document["intermediate_size"] = 4 * width->get<int>();
  }
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

// What `quantization_config` says of the checkpoint that the config comes with. Methods that are not known here do not
// make a config unreadable: it is the shape that counts.
std::string shipped_weights(const Fields& f) {
  const auto quantization = f.object("quantization_config");
  if (!quantization) return "";
  const auto text = [](const Fields& of, std::string_view key) { return of.string(key).value_or(""); };
  const std::string method = text(*quantization, "quant_method"), layout = text(*quantization, "format");
  if (method == "mxfp4" || layout == "mxfp4-pack-quantized") return "mxfp4";
  if (layout == "nvfp4-pack-quantized") return "nvfp4";
  if (layout == "pack-quantized") return "int4";
  if (method.ends_with("fp8") || layout == "float-quantized") {
    const bool fp4_experts = text(f, "expert_dtype") == "fp4" || text(*quantization, "expert_dtype") == "fp4";
    return fp4_experts ? "fp8_mxfp4exp" : "fp8";
  }
  return "";
}

}  // namespace
}  // namespace config

ModelConfig parse_config(std::string_view text, std::string_view name) {
  using namespace config;
  if (text.size() > kFileBytesMax)
    throw_too_large(format("{}: larger than {} bytes", name, kFileBytesMax));
  nlohmann::json document = parse_json(text, name);
  rename_gpt_fields(document);
  const Fields outer(document, std::string(name));
  // Multimodal models keep the language model one level down.
  auto nested = outer.object("text_config");
  if (!nested) nested = outer.object("llm_config");
  const Fields& f = nested ? *nested : outer;
  auto family = f.string("model_type");
  if (!family) family = outer.string("model_type");
  if (!family) outer.fail("model_type", "the name of the model's family");
  ModelConfig model = read_config(f, *family, outer.boolean("tie_word_embeddings").value_or(false));
  read_vision(outer, model);
  model.shipped_weights = shipped_weights(outer);
  if (model.shipped_weights.empty() && nested) model.shipped_weights = shipped_weights(*nested);
  model.id = name;
  return model;
}

ModelConfig load_config(const std::filesystem::path& path) {
  ModelConfig model = parse_config(read_file(path, config::kFileBytesMax), path.string());
  // A downloaded checkpoint is a folder with a config.json, so the folder has the name.
  const bool anonymous = path.stem() == "config" && path.has_parent_path();
  model.id = anonymous ? path.parent_path().filename().string() : path.stem().string();
  return model;
}

}  // namespace tinderbox
