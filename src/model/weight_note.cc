// Reads notes on weight files: clauses of module names, each list followed by a format name.
#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

using Classes = std::vector<WeightClass>;
using enum WeightClass;

// The matrices of the layers without tables, router and norms.
const Classes& linear_classes() {
  static const Classes classes = {Attention, DenseMlp, Expert,  SharedExpert,
                                  Latent,    Indexer,  LinearAttention};
  return classes;
}

// Words in their singular, lower case.
struct Module {
  std::string_view word;
  Classes classes;
};
const std::vector<Module>& modules() {
  static const std::vector<Module> all = {
      {"embedding", {Embedding}},
      {"lm_head", {LmHead}},
      {"head", {LmHead}},
      {"attention", {Attention, Latent}},
      {"self-attention", {Attention, Latent}},
      {"mla", {Latent}},
      {"indexer", {Indexer}},
      {"deltanet", {LinearAttention}},
      {"kda", {LinearAttention}},
      {"mamba", {LinearAttention}},
      {"mlp", {DenseMlp}},
      {"router", {Router}},
      {"expert", {Expert}},
      {"mtp", {Mtp}},
      {"vision", {Vision}},
      {"n-gram", {PerLayerEmbedding}},
      {"per-layer", {PerLayerEmbedding}},
      {"linear", linear_classes()},
      {"rest", linear_classes()},
      {"else", linear_classes()},
      // Of a model with routed experts: what is not routed.
      {"dense", {Attention, DenseMlp, SharedExpert, Latent, LinearAttention}},
      // Recognised so that their formats count for nothing else.
      {"kv", {}},
      {"norm", {}},
  };
  return all;
}

bool is_word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
}

std::vector<std::string> words_of(std::string_view clause) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : lower(clause) + " ") {
    if (is_word_char(c)) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

struct Format {
  std::optional<DType> dtype;  // none: "fp4", "4 bit": whatever the file's name says
};
std::optional<Format> format_of(std::string_view word) {
  if (word == "fp4" || word == "bit") return Format{};
  if (word == "fp16") return Format{DType::F16};
  if (word == "int4") return Format{DType::INT4_G128};
  for (int i = 0; i < kWeightDTypes; ++i) {
    if (dtype_info(static_cast<DType>(i)).name == word) return Format{static_cast<DType>(i)};
  }
  return std::nullopt;
}

class Reader {
 public:
  explicit Reader(WeightFormat& format) : format_(format) {}

  void clause(const std::vector<std::string>& words) {
    pending_.clear();
    dangling_.reset();
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] == "not" && i + 1 < words.size() && format_of(words[i + 1])) {
        ++i;  // "not NVFP4 (bf16)"
      } else if (const auto format = format_of(words[i])) {
        apply(*format);
      } else {
        add_module(words, i);
      }
    }
    if (dangling_ && !pending_.empty()) apply(*dangling_);  // "fp8 dense"
  }
  const std::set<WeightClass>& stated() const { return stated_; }

 private:
  void add_module(const std::vector<std::string>& words, std::size_t& i) {
    const std::string_view next = i + 1 < words.size() ? std::string_view(words[i + 1]) : "";
    std::string_view word = words[i];
    if (word.ends_with('s')) word.remove_suffix(1);
    if (word == "shared" && next.starts_with("expert")) {
      pending_.push_back({SharedExpert});
      ++i;
    } else if (word == "linear" && next == "attention") {
      pending_.push_back({LinearAttention});
      ++i;
    } else if (word != "dense" || !next.starts_with("mlp")) {
      for (const Module& m : modules()) {
        if (m.word == word) pending_.push_back(m.classes);
      }
    }
  }

  void apply(Format format) {
    if (pending_.empty()) {
      dangling_ = format;
      return;
    }
    for (const Classes& classes : pending_) {
      for (const WeightClass weight : classes) {
        if (stated_.insert(weight).second && format.dtype) set(weight, *format.dtype);
      }
    }
    pending_.clear();
    dangling_.reset();
  }

  // What the file's name says about single tensors no longer holds for a class in another format.
  void set(WeightClass weight, DType dtype) {
    if (format_.of(weight) == dtype) return;
    format_.at(weight) = dtype;
    const std::string_view stem = weight == Attention         ? "attn_"
                                  : weight == LinearAttention ? "ssm_"
                                  : weight == DenseMlp || weight == Expert || weight == SharedExpert
                                      ? "ffn_"
                                      : "none";
    std::erase_if(format_.exceptions,
                  [stem](const FormatException& e) { return e.stem.starts_with(stem); });
  }

  WeightFormat& format_;
  std::set<WeightClass> stated_;
  std::vector<Classes> pending_;    // modules named, format still to come
  std::optional<Format> dangling_;  // a format without modules before it
};

}  // namespace

std::set<WeightClass> apply_note(WeightFormat& format, std::string_view note) {
  Reader reader(format);
  for (const std::string& clause : split(note, ';')) reader.clause(words_of(clause));
  return reader.stated();
}

WeightFormat with_note(WeightFormat format, std::string_view note) {
  apply_note(format, note);
  return format;
}

}  // namespace tinderbox
