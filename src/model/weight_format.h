// Which number format each weight of a model has under a named weights format ("bf16", "fp8", "mxfp4",
// "q4_k_m", ...: the vocabulary of data/measurements/README.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/dtype.h"

namespace tinderbox {

// What kind of matrix a weight is; decides its format in mixed-precision files.
enum class WeightClass : std::uint8_t {
  Embedding, LmHead, Attention, DenseMlp, Router, Expert, NormOrBias,
  SharedExpert,
  LinearAttention,    // projections of DeltaNet, KDA, Mamba-2 and short convolutions
  PerLayerEmbedding,  // tables that are looked up, not multiplied
  Latent,             // down and up projections of latent attention
  Indexer, Mtp, Vision,
};

// GGUF mixtures give some tensors of a class more bits in some layers: "attn_v and ffn_down of half of them".
struct FormatException {
  enum class Layers : std::uint8_t {
    All,
    FirstFour,
    FirstEighth,
    MoreBits,  // llama.cpp's use_more_bits: the first and last eighth and every third between
  };
  std::string_view stem;  // "attn_v"; experts' "ffn_down_exps" counts as "ffn_down"
  Layers layers = Layers::All;
  DType dtype{};
};

struct WeightFormat {
  std::string name;  // as asked for
  DType embedding{}, lm_head{}, attention{}, dense_mlp{}, router{}, expert{}, norm_or_bias{};
  std::vector<FormatException> exceptions{};  // the first that fits wins

  // The format of most weights of the class.
  DType of(WeightClass weight) const;
  // The format of one matrix: `tensor` without its layer prefix ("attn_v.weight"), `layer` -1 outside the
  // layers. Rows of `cols` elements that do not fill whole blocks fall back as llama.cpp's quantiser does.
  DType of(WeightClass weight, std::string_view tensor, int layer, int n_layers, std::int64_t cols) const;
};

// gguf: true for stacks that read GGUF files (llama.cpp, Ollama): the rest of an "mxfp4" file is q8_0 there
// and bf16 elsewhere. Throws Error::Invalid with the known names (and the nearest) if `name` is none of them.
WeightFormat weight_format(std::string_view name, bool gguf);
std::vector<std::string> weight_format_names();

// KV-cache formats: f16 bf16 f32 fp8 int8 nvfp4 q8_0 q4_0 ... Throws Error::Invalid with the known names.
DType kv_format(std::string_view name);

}  // namespace tinderbox
