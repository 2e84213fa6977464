// Named formats -> one DType for each class of weights, and the exceptions of GGUF's mixtures.
// Source of the GGUF rules: llama.cpp src/llama-quant.cpp, llama_tensor_get_type. Sources of the others are
// the quantisation configs and cards summed up in data/models/catalogue-weights.csv.
// weight_sizes_test.cc holds both against file sizes.
#include "model/weight_format.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using Layers = FormatException::Layers;

// In the order of WeightClass.
constexpr std::array<DType WeightFormat::*, kWeightClasses> kFields = {
    &WeightFormat::embedding,        &WeightFormat::lm_head,
    &WeightFormat::attention,        &WeightFormat::dense_mlp,
    &WeightFormat::router,           &WeightFormat::expert,
    &WeightFormat::norm_or_bias,     &WeightFormat::shared_expert,
    &WeightFormat::linear_attention, &WeightFormat::per_layer_embedding,
    &WeightFormat::latent,           &WeightFormat::indexer,
    &WeightFormat::mtp,              &WeightFormat::vision,
};
static_assert(static_cast<int>(WeightClass::Vision) + 1 == kWeightClasses);

// All matrices of the layers in one format, the rest in 16 bits: how checkpoints are made, also by vLLM's
// --quantization fp8 while loading.
struct Checkpoint {
  std::string_view name;
  DType linear, embedding, head, rest;
};
constexpr std::array<Checkpoint, 12> kCheckpoints = {{
    {"f32", DType::F32, DType::F32, DType::F32, DType::F32},
    {"f16", DType::F16, DType::F16, DType::F16, DType::F16},
    {"bf16", DType::BF16, DType::BF16, DType::BF16, DType::BF16},
    {"tf32", DType::TF32, DType::TF32, DType::TF32, DType::TF32},
    {"fp64", DType::F64, DType::F64, DType::F64, DType::F64},
    {"fp8", DType::FP8, DType::BF16, DType::BF16, DType::BF16},
    {"int8", DType::INT8, DType::BF16, DType::BF16, DType::BF16},
    {"int4", DType::INT4_G128, DType::BF16, DType::BF16, DType::BF16},
    {"nf4", DType::NF4, DType::BF16, DType::BF16, DType::BF16},
    // exllamav3's converter takes 6 bits for the head unless told otherwise.
    {"exl3_4bpw", DType::EXL3_4BPW, DType::F16, DType::EXL3_6BPW, DType::F16},
    {"mlx_4bit", DType::MLX_4BIT, DType::MLX_4BIT, DType::MLX_4BIT, DType::BF16},
    {"mlx_8bit", DType::MLX_8BIT, DType::MLX_8BIT, DType::MLX_8BIT, DType::BF16},
}};

// llama.cpp's quantiser: layers and embedding in `base`, head in `head`.
struct GgufType {
  std::string_view name;
  DType base, embedding, head;
  std::array<FormatException, 6> exceptions{};
};
constexpr FormatException kMoreV{"attn_v", Layers::MoreBits, DType::Q6_K};
constexpr FormatException kMoreDown{"ffn_down", Layers::MoreBits, DType::Q6_K};
constexpr FormatException kQkvQ5{"attn_qkv", Layers::All, DType::Q5_K};
constexpr FormatException kQkvQ6{"attn_qkv", Layers::All, DType::Q6_K};
// Unsloth's "_xl" files (UD-) are the "_m" mixture with more bits where a model is found to be sensitive: the
// projections of linear attention, its output above all. Files of 8 bits keep these and the tables in 16.
constexpr FormatException kGateQ6{"attn_gate", Layers::All, DType::Q6_K};
constexpr FormatException kSsmInQ6{"ssm_in", Layers::All, DType::Q6_K};
constexpr FormatException kSsmOutQ8{"ssm_out", Layers::All, DType::Q8_0};

// Bare "q4_k" and "q5_k" are Ollama's names of the _m files. Low-bit types are made with an importance
// matrix, without which llama.cpp would spend more bits on ffn_down.
constexpr std::array<GgufType, 25> kGgufTypes = {{
    {"q1_0", DType::Q1_0, DType::Q1_0, DType::Q1_0, {}},
    {"q2_0", DType::Q2_0, DType::Q2_0, DType::Q2_0, {}},
    {"q2_g64", DType::Q2_G64, DType::Q2_G64, DType::Q2_G64, {}},
    {"q4_0", DType::Q4_0, DType::Q4_0, DType::Q6_K, {}},
    {"q4_1", DType::Q4_1, DType::Q4_1, DType::Q6_K, {}},
    {"q5_0", DType::Q5_0, DType::Q5_0, DType::Q6_K, {}},
    {"q5_1", DType::Q5_1, DType::Q5_1, DType::Q6_K, {}},
    {"q8_0", DType::Q8_0, DType::Q8_0, DType::Q8_0, {}},
    {"q8_k_xl",
     DType::Q8_0,
     DType::BF16,
     DType::BF16,
     {{{"attn_qkv", Layers::All, DType::BF16},
       {"attn_gate", Layers::All, DType::BF16},
       {"ssm_in", Layers::All, DType::BF16},
       {"ssm_out", Layers::All, DType::BF16}}}},
    {"q6_k", DType::Q6_K, DType::Q6_K, DType::Q6_K, {}},
    {"iq6_k", DType::IQ6_K, DType::Q8_0, DType::Q8_0, {{{"ffn_down", Layers::All, DType::Q8_0}}}},
    {"q5_k_m", DType::Q5_K, DType::Q5_K, DType::Q6_K, {{kMoreV, kMoreDown, kQkvQ6}}},
    {"q5_k_xl",
     DType::Q5_K,
     DType::Q5_K,
     DType::Q6_K,
     {{kMoreV, kMoreDown, kQkvQ6, kGateQ6, kSsmInQ6, kSsmOutQ8}}},
    {"q5_k", DType::Q5_K, DType::Q5_K, DType::Q6_K, {{kMoreV, kMoreDown, kQkvQ6}}},
    {"q5_k_s", DType::Q5_K, DType::Q5_K, DType::Q6_K, {}},
    {"q4_k_m", DType::Q4_K, DType::Q4_K, DType::Q6_K, {{kMoreV, kMoreDown, kQkvQ5}}},
    {"q4_k_xl",
     DType::Q4_K,
     DType::Q4_K,
     DType::Q6_K,
     {{kMoreV, kMoreDown, kQkvQ6, kGateQ6, kSsmInQ6, kSsmOutQ8}}},
    {"q4_k", DType::Q4_K, DType::Q4_K, DType::Q6_K, {{kMoreV, kMoreDown, kQkvQ5}}},
    {"q4_k_s",
     DType::Q4_K,
     DType::Q4_K,
     DType::Q6_K,
     {{{"attn_v", Layers::FirstFour, DType::Q5_K},
       {"ffn_down", Layers::FirstEighth, DType::Q5_K}}}},
    {"q3_k_xl",
     DType::Q3_K,
     DType::Q3_K,
     DType::Q6_K,
     {{{"attn_v", Layers::All, DType::Q4_K},
       {"attn_output", Layers::All, DType::Q4_K},
       {"attn_qkv", Layers::All, DType::Q4_K},
       {"ffn_down", Layers::All, DType::Q4_K}}}},
    {"q2_k",
     DType::Q2_K,
     DType::Q2_K,
     DType::Q6_K,
     {{{"attn_v", Layers::All, DType::Q4_K},
       {"attn_output", Layers::All, DType::Q3_K},
       {"ffn_down", Layers::All, DType::Q3_K}}}},
    {"iq4_nl", DType::IQ4_NL, DType::IQ4_NL, DType::Q6_K, {{{"attn_v", Layers::All, DType::Q5_K}}}},
    {"iq4_xs", DType::IQ4_XS, DType::IQ4_XS, DType::Q6_K, {{{"attn_v", Layers::All, DType::Q5_K}}}},
    {"iq3_xxs",
     DType::IQ3_XXS,
     DType::IQ3_S,
     DType::Q5_K,
     {{{"attn_v", Layers::All, DType::Q4_K},
       {"attn_q", Layers::All, DType::IQ2_S},
       {"attn_k", Layers::All, DType::IQ2_S},
       {"attn_output", Layers::All, DType::IQ3_S}}}},
    {"iq2_xxs",
     DType::IQ2_XXS,
     DType::Q2_K,
     DType::Q5_K,
     {{{"attn_v", Layers::All, DType::Q4_K}, {"ffn_down", Layers::FirstEighth, DType::Q2_K}}}},
}};

// Mixed files that need more than a table row.
constexpr std::array<std::string_view, 6> kMixtures = {"nvfp4",        "mxfp4",  "fp8_mxfp4exp",
                                                       "int4_int8mix", "ds4_q2", "ds4_q4"};

WeightFormat filled(std::string_view name, DType linear, DType embedding, DType head, DType rest) {
  WeightFormat f;
  f.name = name;
  f.attention = f.dense_mlp = f.expert = f.shared_expert = linear;
  f.linear_attention = f.latent = f.indexer = f.mtp = linear;
  f.embedding = f.per_layer_embedding = embedding;
  f.lm_head = head;
  f.router = f.norm_or_bias = f.vision = rest;
  return f;
}

// Converted files keep vectors and the router in f32, and an image encoder in a file of its own in f16.
void keep_as_gguf(WeightFormat& f) {
  f.router = f.norm_or_bias = DType::F32;
  f.vision = DType::F16;
}

// Sets everything in the layers but routed experts and dense MLPs.
void set_attention_and_shared(WeightFormat& f, DType dtype) {
  f.attention = f.latent = f.indexer = f.linear_attention = f.shared_expert = dtype;
}

WeightFormat checkpoint_format(const Checkpoint& c, bool gguf) {
  WeightFormat f = filled(c.name, c.linear, c.embedding, c.head, c.rest);
  if (gguf && c.linear != DType::F64) keep_as_gguf(f);
  // The small projections of decay and step stay in 16 bits.
  if (c.linear != c.rest) {
    for (const char* stem : {"ssm_alpha", "ssm_beta", "ssm_ba"})
      f.exceptions.push_back({stem, Layers::All, c.rest});
  }
  return f;
}

// Ollama's quantiser has rules of its own for models with delta-rule layers in 4 bits, and leaves tables of
// per-layer embeddings alone (server/quantization.go of 2026-02, da70c3222; library files are of that time).
void mix_as_ollama(WeightFormat& f, DType base, ModelKind kind) {
  f.per_layer_embedding = DType::F16;
  if (base != DType::Q4_K || !kind.delta_rule) return;
  const std::array<FormatException, 4> first = {{{"ffn_down_exps", Layers::All, DType::Q6_K},
                                                 {"ffn_down_shexp", Layers::All, DType::Q6_K},
                                                 {"attn_v", Layers::All, DType::Q6_K},
                                                 {"attn_qkv", Layers::All, DType::Q4_K}}};
  f.exceptions.insert(f.exceptions.begin(), first.begin(), first.end());
}

// Makers of the _m files of such models with experts quantise the experts alone: attention of both kinds and
// the shared expert lose most by it and weigh little (https://unsloth.ai/docs/models/qwen3.5/gguf-benchmarks;
// q8_0 is said of one maker's files by https://slb350.github.io/strix-benchmarks/quantization).
void keep_attention_wide(WeightFormat& f) {
  set_attention_and_shared(f, DType::Q8_0);
  f.exceptions = {{"ffn_down_exps", Layers::MoreBits, DType::Q6_K}};
}

WeightFormat gguf_format(const GgufType& type, WeightFile file, ModelKind kind) {
  WeightFormat f = filled(type.name, type.base, type.embedding, type.head, DType::F32);
  // Files of ggml-org: gemma-4-E4B's table is as its (tied) head.
  f.per_layer_embedding = type.head;
  keep_as_gguf(f);
  // Makers of ik_llama.cpp files keep everything but the routed experts in 8 bits.
  if (type.base == DType::IQ6_K) set_attention_and_shared(f, DType::Q8_0);
  for (const FormatException& exception : type.exceptions) {
    if (!exception.stem.empty()) f.exceptions.push_back(exception);
  }
  const bool medium = type.name == "q4_k_m" || type.name == "q4_k" || type.name == "q5_k_m";
  if (file == WeightFile::OllamaGguf) {
    mix_as_ollama(f, type.base, kind);
  } else if (medium && kind.experts && kind.delta_rule) {
    keep_attention_wide(f);
  }
  return f;
}

// Models with experts: only routed ones in NVFP4 (GLM, Mistral, Gemma, Laguna, Nemotron Super, Qwen3.8;
// NVIDIA's Qwen3 MoE and Nemotron Nano also quantise attention or Mamba). Dense hybrids: MLPs in NVFP4, attention
// of both kinds in FP8. Other dense models: every matrix of the layers.
WeightFormat nvfp4_format(bool gguf, ModelKind kind) {
  const DType wide = gguf ? DType::Q8_0 : DType::BF16;
  WeightFormat f = filled("nvfp4", DType::NVFP4, DType::BF16, wide, DType::BF16);
  f.mtp = wide;
  if (kind.experts) {
    set_attention_and_shared(f, wide);
    f.dense_mlp = wide;
  } else if (kind.linear_attention) {
    f.attention = f.linear_attention = gguf ? DType::Q8_0 : DType::FP8;
  }
  if (gguf) keep_as_gguf(f);
  return f;
}

// Experts in MXFP4, the rest as published: q8_0 in GGUF, else bf16. Models without experts: their MLPs.
WeightFormat mxfp4_format(bool gguf, ModelKind kind) {
  const DType wide = gguf ? DType::Q8_0 : DType::BF16;
  WeightFormat f = filled("mxfp4", wide, wide, wide, DType::BF16);
  f.expert = DType::MXFP4;
  if (!gguf && !kind.experts) f.dense_mlp = DType::MXFP4;
  if (gguf) keep_as_gguf(f);
  return f;
}

// Requires a name of kMixtures.
WeightFormat mixture(std::string_view name, bool gguf, ModelKind kind) {
  if (name == "nvfp4") return nvfp4_format(gguf, kind);
  if (name == "mxfp4") return mxfp4_format(gguf, kind);
  if (name == "fp8_mxfp4exp") {  // DeepSeek V4
    WeightFormat f = filled(name, DType::FP8, DType::BF16, DType::BF16, DType::BF16);
    f.expert = DType::MXFP4;
    f.indexer = DType::BF16;
    return f;
  }
  if (name == "int4_int8mix") {  // QuantTrio: routed experts int4
    WeightFormat f = filled(name, DType::INT8, DType::BF16, DType::BF16, DType::BF16);
    f.expert = DType::INT4_G128;
    return f;
  }
  // ds4: routed experts in few bits (down projections a little more), the rest q8_0 or f16.
  WeightFormat f = filled(name, DType::Q8_0, DType::F16, DType::Q8_0, DType::F16);
  f.indexer = DType::F16;
  f.expert = name == "ds4_q2" ? DType::IQ2_XXS : DType::Q4_K;
  if (name == "ds4_q2") f.exceptions = {{"ffn_down_exps", Layers::All, DType::Q2_K}};
  return f;
}

bool exception_applies(Layers layers, int layer, int n_layers) {
  switch (layers) {
    case Layers::All:
      return true;
    case Layers::FirstFour:
      return layer < 4;
    case Layers::FirstEighth:
      return layer < n_layers / 8;
    case Layers::MoreBits:
      return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
  }
  std::abort();
}

// "ffn_down" names ffn_down.weight, ffn_down_exps.weight and ffn_down_shexp.weight; "attn_v" not attn_v_b.
bool names(std::string_view stem, std::string_view tensor) {
  if (!tensor.starts_with(stem)) return false;
  tensor.remove_prefix(stem.size());
  return tensor.starts_with(".") || tensor.starts_with("_exps") || tensor.starts_with("_shexp");
}

// What llama.cpp takes when a row is no whole number of blocks.
DType fallback(DType dtype, std::int64_t cols) {
  const auto fits = [cols](DType d) { return cols % dtype_info(d).block_elements == 0; };
  if (dtype_info(dtype).block_elements != 256 || fits(dtype)) return dtype;
  DType smaller = DType::IQ4_NL;  // for everything below q4_k
  if (dtype == DType::Q4_K) smaller = DType::Q5_0;
  if (dtype == DType::Q5_K) smaller = DType::Q5_1;
  if (dtype == DType::Q6_K || dtype == DType::IQ6_K) smaller = DType::Q8_0;
  return fits(smaller) ? smaller : DType::F16;
}

}  // namespace

DType WeightFormat::of(WeightClass weight) const {
  return this->*kFields[static_cast<std::size_t>(weight)];
}
DType& WeightFormat::at(WeightClass weight) {
  return this->*kFields[static_cast<std::size_t>(weight)];
}

DType WeightFormat::of(WeightClass weight, std::string_view tensor, int layer, int n_layers,
                       std::int64_t cols) const {
  DType dtype = of(weight);
  if (weight == WeightClass::NormOrBias || weight == WeightClass::Router) return dtype;
  for (const FormatException& e : exceptions) {
    if (layer < 0 || !names(e.stem, tensor) || !exception_applies(e.layers, layer, n_layers))
      continue;
    dtype = e.dtype;
    break;
  }
  return fallback(dtype, cols);
}

WeightFormat uniform_weight_format(DType dtype) {
  return filled("uniform", dtype, dtype, dtype, dtype);
}

std::vector<std::string> weight_format_names() {
  std::vector<std::string> all;
  for (const Checkpoint& c : kCheckpoints) all.emplace_back(c.name);
  for (const std::string_view m : kMixtures) all.emplace_back(m);
  for (const GgufType& t : kGgufTypes) all.emplace_back(t.name);
  return all;
}

ModelKind kind_of(const ModelConfig& model) {
  const auto linear = [](const LayerConfig& layer) {
    switch (layer.mixer) {
      case Mixer::None:
      case Mixer::Attention:
      case Mixer::Latent:
      case Mixer::Pooled:
        return false;
      case Mixer::GatedDelta:
      case Mixer::KimiDelta:
      case Mixer::Mamba2:
      case Mixer::ShortConv:
        return true;
    }
    std::abort();
  };
  const auto delta = [](const LayerConfig& layer) {
    return layer.mixer == Mixer::GatedDelta || layer.mixer == Mixer::KimiDelta;
  };
  return {.experts = model.is_moe(),
          .linear_attention = std::ranges::any_of(model.layers, linear),
          .delta_rule = std::ranges::any_of(model.layers, delta)};
}

WeightFormat weight_format(std::string_view name, WeightFile file, ModelKind kind) {
  const bool gguf = is_gguf(file);
  for (const Checkpoint& c : kCheckpoints) {
    if (c.name == name) return checkpoint_format(c, gguf);
  }
  for (const GgufType& t : kGgufTypes) {
    if (t.name == name) return gguf_format(t, file, kind);
  }
  if (std::ranges::find(kMixtures, name) != kMixtures.end()) return mixture(name, gguf, kind);
  const std::vector<std::string> known = weight_format_names();
  throw_invalid(format("unknown weights format '{}'{}; known are {}", name,
                       did_you_mean(name, known), fmt::join(known, " ")));
}

}  // namespace tinderbox
