// Named formats -> one DType for each class of weights, and the exceptions of GGUF's mixtures.
// Source of the GGUF rules: llama.cpp src/llama-quant.cpp, llama_tensor_get_type;
// weight_format_test.cc holds them against file sizes.
#include "model/weight_format.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using Layers = FormatException::Layers;

// All matrices of the layers in one format, the rest in 16 bits: how FP8, NVFP4 and INT4
// checkpoints are made.
struct Checkpoint {
  std::string_view name;
  DType linear, rest;
};
constexpr std::array<Checkpoint, 11> kCheckpoints = {{
    {"f32", DType::F32, DType::F32},
    {"f16", DType::F16, DType::F16},
    {"bf16", DType::BF16, DType::BF16},
    {"fp8", DType::FP8, DType::BF16},
    {"int8", DType::INT8, DType::BF16},
    {"nvfp4", DType::NVFP4, DType::BF16},
    {"int4", DType::INT4_G128, DType::BF16},
    {"nf4", DType::MXFP4, DType::BF16},  // 4.13 bits with double quantisation, counted as 4.25
    {"exl3_4bpw", DType::INT4_G128, DType::BF16},  // 4 bits, counted as 4.19
    {"mlx_4bit", DType::Q4_0,
     DType::Q4_0},  // group 64 with f16 scale and bias: 4.5 bits, as q4_0 has
    {"mlx_8bit", DType::Q8_0, DType::Q8_0},  // likewise 8.5 bits
}};

// llama.cpp's quantiser: layers and embedding in `base`, head in `head`.
struct GgufType {
  std::string_view name;
  DType base, embedding, head;
  std::array<FormatException, 4> exceptions{};
};
constexpr FormatException kMoreV{"attn_v", Layers::MoreBits, DType::Q6_K};
constexpr FormatException kMoreDown{"ffn_down", Layers::MoreBits, DType::Q6_K};

// Unsloth's "_xl" files count as the type of their name; bare "q4_k" and "q5_k" are Ollama's names
// of the _m files.
constexpr std::array<GgufType, 22> kGgufTypes = {{
    {"q4_0", DType::Q4_0, DType::Q4_0, DType::Q6_K, {}},
    {"q4_1", DType::Q4_1, DType::Q4_1, DType::Q6_K, {}},
    {"q5_0", DType::Q5_0, DType::Q5_0, DType::Q6_K, {}},
    {"q5_1", DType::Q5_1, DType::Q5_1, DType::Q6_K, {}},
    {"q8_0", DType::Q8_0, DType::Q8_0, DType::Q8_0, {}},
    {"q8_k_xl", DType::Q8_0, DType::Q8_0, DType::Q8_0, {}},
    {"q6_k", DType::Q6_K, DType::Q6_K, DType::Q6_K, {}},
    {"iq6_k", DType::Q6_K, DType::Q6_K, DType::Q6_K, {}},  // ik_llama.cpp, 6.63 bits, counted
                                                           // as 6.56
    {"q5_k_m", DType::Q5_K, DType::Q5_K, DType::Q6_K, {{kMoreV, kMoreDown}}},
    {"q5_k_xl", DType::Q5_K, DType::Q5_K, DType::Q6_K, {{kMoreV, kMoreDown}}},
    {"q5_k", DType::Q5_K, DType::Q5_K, DType::Q6_K, {{kMoreV, kMoreDown}}},
    {"q5_k_s", DType::Q5_K, DType::Q5_K, DType::Q6_K, {}},
    {"q4_k_m", DType::Q4_K, DType::Q4_K, DType::Q6_K, {{kMoreV, kMoreDown}}},
    {"q4_k_xl", DType::Q4_K, DType::Q4_K, DType::Q6_K, {{kMoreV, kMoreDown}}},
    {"q4_k", DType::Q4_K, DType::Q4_K, DType::Q6_K, {{kMoreV, kMoreDown}}},
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
       {"ffn_down", Layers::MoreBits, DType::Q4_K}}}},
    {"q2_k",
     DType::Q2_K,
     DType::Q2_K,
     DType::Q6_K,
     {{{"attn_v", Layers::All, DType::Q4_K},
       {"attn_output", Layers::All, DType::Q3_K},
       {"ffn_down", Layers::All, DType::Q3_K}}}},
    {"iq4_nl",
     DType::IQ4_NL,
     DType::IQ4_NL,
     DType::Q6_K,
     {{{"attn_v", Layers::All, DType::Q5_K}, {"ffn_down", Layers::FirstEighth, DType::Q5_K}}}},
    {"iq4_xs",
     DType::IQ4_XS,
     DType::IQ4_XS,
     DType::Q6_K,
     {{{"attn_v", Layers::All, DType::Q5_K}, {"ffn_down", Layers::FirstEighth, DType::Q5_K}}}},
    // iq3_s and iq2_s (3.44 and 2.56 bits) have no DType of their own; q3_k and q2_k are as large.
    {"iq3_xxs",
     DType::IQ3_XXS,
     DType::Q3_K,
     DType::Q6_K,
     {{{"attn_v", Layers::All, DType::Q4_K},
       {"attn_k", Layers::All, DType::Q2_K},
       {"attn_output", Layers::All, DType::Q3_K},
       {"ffn_down", Layers::All, DType::Q3_K}}}},
    {"iq2_xxs",
     DType::IQ2_XXS,
     DType::Q2_K,
     DType::Q5_K,
     {{{"attn_v", Layers::All, DType::Q4_K}, {"ffn_down", Layers::FirstEighth, DType::Q2_K}}}},
}};

WeightFormat checkpoint_format(const Checkpoint& c, bool gguf) {
  WeightFormat format;
  format.name = c.name;
  format.attention = format.dense_mlp = format.expert = c.linear;
  format.embedding = format.lm_head = format.router = format.norm_or_bias = c.rest;
  // Converted files keep vectors and the router in f32.
  if (gguf) format.router = format.norm_or_bias = DType::F32;
  return format;
}

WeightFormat gguf_format(const GgufType& type) {
  WeightFormat format;
  format.name = type.name;
  format.attention = format.dense_mlp = format.expert = type.base;
  format.embedding = type.embedding;
  format.lm_head = type.head;
  format.router = format.norm_or_bias = DType::F32;
  for (const FormatException& exception : type.exceptions) {
    if (!exception.stem.empty()) format.exceptions.push_back(exception);
  }
  return format;
}

// Experts in MXFP4; `rest` for attention and tables, `dense` for MLPs of models without experts.
WeightFormat mxfp4_format(std::string_view name, DType rest, DType dense, bool gguf) {
  WeightFormat format;
  format.name = name;
  format.expert = DType::MXFP4;
  format.attention = rest;
  format.dense_mlp = dense;
  format.embedding = format.lm_head = gguf ? DType::Q8_0 : DType::BF16;
  format.router = format.norm_or_bias = gguf ? DType::F32 : DType::BF16;
  return format;
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

// What llama.cpp takes when a row is no whole number of blocks.
DType fallback(DType dtype, std::int64_t cols) {
  const auto fits = [cols](DType d) { return cols % dtype_info(d).block_elements == 0; };
  if (dtype_info(dtype).block_elements != 256 || fits(dtype)) return dtype;
  DType smaller = DType::IQ4_NL;  // for everything below q4_k
  if (dtype == DType::Q4_K) smaller = DType::Q5_0;
  if (dtype == DType::Q5_K) smaller = DType::Q5_1;
  if (dtype == DType::Q6_K) smaller = DType::Q8_0;
  return fits(smaller) ? smaller : DType::F16;
}

constexpr std::array<std::pair<std::string_view, DType>, 11> kKvFormats = {{
    {"f16", DType::F16},
    {"bf16", DType::BF16},
    {"f32", DType::F32},
    {"fp8", DType::FP8},
    {"int8", DType::INT8},
    {"nvfp4", DType::NVFP4},
    {"q8_0", DType::Q8_0},
    {"q5_1", DType::Q5_1},
    {"q5_0", DType::Q5_0},
    {"q4_1", DType::Q4_1},
    {"q4_0", DType::Q4_0},
}};

}  // namespace

DType WeightFormat::of(WeightClass weight) const {
  switch (weight) {
    case WeightClass::Embedding:
    case WeightClass::PerLayerEmbedding:
    case WeightClass::Vision:
      return embedding;
    case WeightClass::LmHead:
      return lm_head;
    case WeightClass::Attention:
    case WeightClass::LinearAttention:
    case WeightClass::Latent:
    case WeightClass::Indexer:
      return attention;
    case WeightClass::DenseMlp:
    case WeightClass::SharedExpert:
    case WeightClass::Mtp:
      return dense_mlp;
    case WeightClass::Router:
      return router;
    case WeightClass::Expert:
      return expert;
    case WeightClass::NormOrBias:
      return norm_or_bias;
  }
  std::abort();
}

DType WeightFormat::of(WeightClass weight, std::string_view tensor, int layer, int n_layers,
                       std::int64_t cols) const {
  DType dtype = of(weight);
  if (weight == WeightClass::NormOrBias || weight == WeightClass::Router) return dtype;
  for (const FormatException& e : exceptions) {
    const bool named = tensor.starts_with(e.stem) && tensor.size() > e.stem.size() &&
                       (tensor[e.stem.size()] == '.' || tensor[e.stem.size()] == '_');
    if (layer < 0 || !named || !exception_applies(e.layers, layer, n_layers)) continue;
    dtype = e.dtype;
    break;
  }
  return fallback(dtype, cols);
}

std::vector<std::string> weight_format_names() {
  std::vector<std::string> names;
  for (const Checkpoint& c : kCheckpoints) names.emplace_back(c.name);
  names.emplace_back("mxfp4");
  names.emplace_back("fp8_mxfp4exp");
  for (const GgufType& t : kGgufTypes) names.emplace_back(t.name);
  return names;
}

WeightFormat weight_format(std::string_view name, bool gguf) {
  for (const Checkpoint& c : kCheckpoints) {
    if (c.name == name) return checkpoint_format(c, gguf);
  }
  for (const GgufType& t : kGgufTypes) {
    if (t.name == name) return gguf_format(t);
  }
  if (name == "mxfp4") {
    return gguf ? mxfp4_format(name, DType::Q8_0, DType::Q8_0, true)
                : mxfp4_format(name, DType::BF16, DType::MXFP4, false);
  }
  if (name == "fp8_mxfp4exp") return mxfp4_format(name, DType::FP8, DType::FP8, false);
  const std::vector<std::string> known = weight_format_names();
  throw_invalid(format("unknown weights format '{}'{}; known are {}", name,
                       did_you_mean(name, known), fmt::join(known, " ")));
}

DType kv_format(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [kv_name, dtype] : kKvFormats) {
    if (kv_name == name) return dtype;
    known.emplace_back(kv_name);
  }
  throw_invalid(format("unknown KV-cache format '{}'{}; known are {}", name,
                       did_you_mean(name, known), fmt::join(known, " ")));
}

}  // namespace tinderbox
