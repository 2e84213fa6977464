// Inside of config.cc: typed, bounded fields of a JSON object, and the limits of every count.
#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "model/config.h"

namespace tinderbox::config {

// Above every published model by an order of magnitude, and small enough that products fit in 63
// bits.
inline constexpr int kLayersMax = 1024, kHeadsMax = 4096, kHeadDimMax = 8192, kWidthMax = 1 << 18,
                     kFfMax = 1 << 20, kVocabMax = 1 << 24, kContextMax = 1 << 30,
                     kExpertsMax = 8192, kConvMax = 64;

// A JSON object and where it stands, for messages. Null counts as absent, as in Hugging Face's
// files.
class Fields {
 public:
  Fields(const nlohmann::json& object, std::string where) : object_(&object), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  const nlohmann::json* find(std::string_view key) const {
    const auto it = object_->find(key);
    return it == object_->end() || it->is_null() ? nullptr : &*it;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }

  [[noreturn]] void fail(std::string_view key, std::string_view expected) const {
    const nlohmann::json* value = find(key);
    std::string found = "is missing";
    if (value != nullptr && value->is_primitive())
      found = "is " + value->dump(-1, ' ', true).substr(0, 60);
    if (value != nullptr && !value->is_primitive()) found = format("is an {}", value->type_name());
    throw_invalid(format("{}: '{}' {}, expected {}", where_, key, found, expected));
  }

  std::optional<double> number(std::string_view key, double low, double high) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    const double x = value->is_number() ? value->get<double>() : std::nan("");
    if (!(x >= low && x <= high)) fail(key, format("a number from {} to {}", low, high));
    return x;
  }
  std::optional<int> integer(std::string_view key, int low, int high) const {
    const nlohmann::json* value = find(key);
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
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
  }
  std::optional<std::string> string(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) fail(key, "a text");
    return value->get<std::string>();
  }
  std::optional<Fields> object(std::string_view key) const {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) fail(key, "an object");
    return Fields(*value, format("{}: {}", where_, key));
  }
  // The array of that name, of `n` items; nullptr if it is missing.
  const nlohmann::json* list(std::string_view key, std::size_t n) const {
    const nlohmann::json* value = find(key);
    if (value != nullptr && (!value->is_array() || value->size() != n)) {
      fail(key, format("a list of {} items", n));
    }
    return value;
  }
  // The texts of such an array, one a layer.
  std::optional<std::vector<std::string>> texts(std::string_view key, std::size_t n) const {
    const nlohmann::json* value = list(key, n);
    if (value == nullptr) return std::nullopt;
    std::vector<std::string> result;
    for (const nlohmann::json& item : *value) {
      if (!item.is_string()) fail(key, format("{} texts", n));
      result.push_back(item.get<std::string>());
    }
    return result;
  }
  // An array of `n` numbers in [low, high].
  std::vector<double> numbers(std::string_view key, std::size_t n, double low, double high) const {
    const nlohmann::json* value = find(key);
    const std::string expected = format("{} numbers from {} to {}", n, low, high);
    if (value == nullptr || !value->is_array() || value->size() != n) fail(key, expected);
    std::vector<double> result;
    for (const nlohmann::json& item : *value) {
      const double x = item.is_number() ? item.get<double>() : std::nan("");
      if (!(x >= low && x <= high)) fail(key, expected);
      result.push_back(x);
    }
    return result;
  }

 private:
  const nlohmann::json* object_;
  std::string where_;
};

// Throws Error::Unsupported: the family needs something that has no graph.
[[noreturn]] inline void unsupported(const Fields& f, std::string_view family,
                                     std::string_view missing) {
  throw_unsupported(format("{}: family '{}' needs {}, which this version has no ops for", f.where(),
                           family, missing));
}

// config_families.cc: what sets a family apart; the shape is read already. Throws for families
// without a graph.
void read_family(const Fields& f, ModelConfig& m);
// The fields of Hugging Face's class where config.json leaves them out.
struct ClassDefaults {
  int n_ctx = 2048;  // LlamaConfig's
  double norm_eps = 1e-6;
};
ClassDefaults class_defaults(std::string_view family);

// config_rope.cc: rotations of all layers.
void read_ropes(const Fields& f, ModelConfig& m);

// config_layers.cc
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
