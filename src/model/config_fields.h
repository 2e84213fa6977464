// Inside of config.cc: typed, bounded fields of a JSON object, the limits of every count, and the
// readers of the parts that stand in files of their own.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "base/text.h"
#include "model/config.h"

namespace tinderbox::config {

// Above every published model by an order of magnitude, and small enough that products fit in 63
// bits.
inline constexpr int kLayersMax = 1024, kHeadsMax = 4096, kHeadDimMax = 8192, kWidthMax = 1 << 18,
                     kFfMax = 1 << 20, kVocabMax = 1 << 24, kContextMax = 1 << 30,
                     kExpertsMax = 8192, kConvMax = 64;

// A JSON object, which outlives it, and where it stands, for messages. Null counts as absent, as in
// Hugging Face's files. Each reader throws Error::Invalid naming file and key if the value is of
// another kind or out of bounds.
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where)
      : object_(&object), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  const nlohmann::json* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  [[noreturn]] void fail(std::string_view key, std::string_view expected) const;

  std::optional<double> number(std::string_view key, double low, double high) const;
  std::optional<int> integer(std::string_view key, int low, int high) const;
  int required(std::string_view key, int low, int high) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  std::optional<Fields> object(std::string_view key) const;
  // The array of that name, of n items.
  std::optional<std::vector<std::string>> texts(std::string_view key, std::size_t n) const;
  std::optional<std::vector<int>> integers(std::string_view key, std::size_t n, int low,
                                           int high) const;
  std::optional<std::vector<Fields>> objects(std::string_view key, std::size_t n) const;
  // An array of up to n_max indices below `end`.
  std::optional<std::vector<int>> indices(std::string_view key, std::size_t n_max, int end) const;
  // An array of `n` numbers in [low, high]; missing is an error.
  std::vector<double> numbers(std::string_view key, std::size_t n, double low, double high) const;

 private:
  // The array of that name, nullptr if it is missing.
  const nlohmann::json* list(std::string_view key, std::size_t n_least, std::size_t n_most) const;

  const nlohmann::json* object_;
  std::string where_;
};

// Throws Error::Unsupported: the family needs something that has no graph.
[[noreturn]] void unsupported(const Fields& f, std::string_view family, std::string_view missing);

// config_families.cc. What sets a family apart; the shape is read already. check_family throws
// Error::Unsupported for families without a graph.
void check_family(const Fields& f, const std::string& family);
void read_family(const Fields& f, ModelConfig& m);
// The fields of Hugging Face's class where config.json leaves them out.
struct ClassDefaults {
  int n_ctx = 2048;  // LlamaConfig's
  double norm_eps = 1e-6;
};
ClassDefaults class_defaults(std::string_view family);

// config_rope.cc: rotations of all layers.
void read_ropes(const Fields& f, ModelConfig& m);

// config_families.cc: parts that several families share.
void read_routing(const Fields& f, ModelConfig& m);
void read_shared_experts(const Fields& f, ModelConfig& m);
void read_deepseek(const Fields& f, ModelConfig& m);
void read_qwen_hybrid(const Fields& f, ModelConfig& m);

// config_sparse.cc
void read_sparse_latent(const Fields& f, ModelConfig& m);
void read_glm5_next(const Fields& f, ModelConfig& m);
void read_deepseek_v4(const Fields& f, ModelConfig& m);
void read_deepseek_v41(const Fields& f, ModelConfig& m);
void read_qwen4_exp(const Fields& f, ModelConfig& m);
void read_kimi_delta(const Fields& f, ModelConfig& m);

// config_hybrids.cc
void read_glm4_moe(const Fields& f, ModelConfig& m);
void read_minimax_m2(const Fields& f, ModelConfig& m);
void read_minimax_m3(const Fields& f, ModelConfig& m);
void read_laguna(const Fields& f, ModelConfig& m);
void read_step(const Fields& f, ModelConfig& m);
void read_lfm2(const Fields& f, ModelConfig& m);
void read_nemotron_nas(const Fields& f, ModelConfig& m);
void read_kimi_linear(const Fields& f, ModelConfig& m);
void read_bailing_hybrid(const Fields& f, ModelConfig& m);
void read_inkling(const Fields& f, ModelConfig& m);

// config_layers.cc
LayerConfig plain_layer(const ModelConfig& m);  // of attention as the scalars say, with an MLP or experts
void read_windows(const Fields& f, ModelConfig& m);
void read_experts(const Fields& f, std::string_view n_experts_key, std::string_view d_ff_key,
                  ModelConfig& m);
void read_qwen_hybrid_layers(const Fields& f, ModelConfig& m);
int global_head_dim(const Fields& f, const ModelConfig& m);  // of layers that see everything
void read_gemma_layers(const Fields& f, ModelConfig& m);
void read_nemotron_layers(const Fields& f, ModelConfig& m);
void read_muse_layers(const Fields& f, ModelConfig& m);
void read_latent_layers(const Fields& f, ModelConfig& m);

}  // namespace tinderbox::config
