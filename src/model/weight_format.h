// Which number format each weight of a model has under a named weights format ("bf16", "fp8", "mxfp4",
// "q4_k_m", ...: the vocabulary of data/measurements/README.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/dtype.h"

namespace tinderbox {

// What kind of matrix a weight is; decides its format in mixed-precision files.
enum class WeightClass : std::uint8_t {
  Embedding, LmHead, Attention, DenseMlp, Router, Expert, NormOrBias,
  SharedExpert,       // experts that every token uses
  LinearAttention,    // projections of Gated DeltaNet, KDA, Mamba-2, short convolutions
  PerLayerEmbedding,  // tables beside the token embedding: Gemma E2B and E4B, n-grams
  Latent,             // down and up projections of multi-head latent attention
  Indexer,            // of sparse attention
  Mtp,                // layers that predict further tokens
  Vision,
};
inline constexpr int kWeightClasses = 14;

// GGUF mixtures give some tensors of a class more bits in some layers: "attn_v and ffn_down of half of them".
struct FormatException {
  enum class Layers : std::uint8_t {
    All,
    FirstFour,
    FirstEighth,
    MoreBits,  // llama.cpp's use_more_bits: the first and last eighth and every third between
  };
  std::string_view stem;  // "attn_v"; experts' "ffn_down_exps" and "ffn_down_shexp" count as "ffn_down"
  Layers layers = Layers::All;
  DType dtype{};
};

struct WeightFormat {
  std::string name;  // as asked for
  DType embedding{}, lm_head{}, attention{}, dense_mlp{}, router{}, expert{}, norm_or_bias{};
  DType shared_expert{}, linear_attention{}, per_layer_embedding{}, latent{}, indexer{}, mtp{}, vision{};
  std::vector<FormatException> exceptions{};  // the first that fits wins

  // The format of most weights of the class.
  DType of(WeightClass weight) const;
  DType& at(WeightClass weight);
  // The format of one matrix: `tensor` without its layer prefix ("attn_v.weight"), `layer` -1 outside the
  // layers. Rows of `cols` elements that do not fill whole blocks fall back as llama.cpp's quantiser does.
  DType of(WeightClass weight, std::string_view tensor, int layer, int n_layers, std::int64_t cols) const;
};

// The kinds of files that stacks read: GGUF (llama.cpp, ik_llama.cpp), GGUF of Ollama's library, which its own
// quantiser made, Hugging Face checkpoints (vLLM, SGLang, TensorRT-LLM, PyTorch), MLX.
enum class WeightFile : std::uint8_t { Gguf, OllamaGguf, Checkpoint, Mlx };
constexpr bool is_gguf(WeightFile file) {
  return file == WeightFile::Gguf || file == WeightFile::OllamaGguf;
}

// Every weight in one format.
WeightFormat uniform_weight_format(DType dtype);

// What the makers of checkpoints look at before they choose which modules to quantise.
struct ModelKind {
  bool experts = false;
  bool linear_attention = false;  // some layers are Gated DeltaNet, KDA, Mamba-2 or short convolutions
  bool delta_rule = false;        // ditto, Gated DeltaNet or KDA
};

ModelKind kind_of(const ModelConfig& model);

// file: the same name stands for other mixtures in other files: the rest of an "mxfp4" file is q8_0 in GGUF
// and bf16 elsewhere. Where publishers differ, this is what most do (weight_format.cc says which).
// Throws Error::Invalid with the known names (and the nearest) if `name` is none of them.
WeightFormat weight_format(std::string_view name, WeightFile file, ModelKind kind = {});
std::vector<std::string> weight_format_names();

// The format corrected by what a source says about its file, such as the column weights_note of
// data/measurements: "routed experts NVFP4; attention, router, lm_head bf16", "experts mxfp4, the rest q8_0".
// The first statement about a module counts; "the rest" are the matrices of the layers. Anything that is not
// module names followed by a format name changes nothing.
WeightFormat with_note(WeightFormat format, std::string_view note);
// Likewise in place; what the note spoke of.
std::set<WeightClass> apply_note(WeightFormat& format, std::string_view note);

// Whether files of this kind exist in the format; false for unknown names.
bool exists_as(std::string_view name, WeightFile file);
inline bool is_gguf_format(std::string_view name) { return exists_as(name, WeightFile::Gguf); }
inline bool is_checkpoint_format(std::string_view name) {
  return exists_as(name, WeightFile::Checkpoint);
}
// Throws Error::Unsupported naming format, stack and the stacks that do read it, if a stack that reads such
// files cannot load it; Error::Invalid as weight_format.
void require_readable(std::string_view name, WeightFile file, std::string_view stack);

// KV-cache formats: f16 bf16 f32 fp8 int8 nvfp4 q8_0 q4_0 turbo4 ... Throws Error::Invalid with the known names.
DType kv_format(std::string_view name);

}  // namespace tinderbox
