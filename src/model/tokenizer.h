// Text <-> token ids by the vocabulary in a GGUF file: kind "gpt2" (byte-level BPE with the
// pre-tokenizer named by tokenizer.ggml.pre) and kind "llama" (SentencePiece-style BPE with scores
// and byte fallback). Immutable after load; any thread may use it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sampling.h"
#include "model/gguf.h"

namespace tinderbox {

class Tokenizer {
 public:
  // Throws Error::Unsupported for another kind, Error::Invalid if ids are out of range or arrays
  // disagree.
  static Tokenizer from_gguf(const Gguf& file);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  int n_vocab() const;
  // Any bytes are accepted (ill-formed UTF-8 falls back to bytes). parse_special: control tokens
  // written in the text
  // ("<|im_end|>") become their ids, as a rendered chat template needs; otherwise they are plain
  // text. add_bos: put the BOS token first if the model wants one.
  std::vector<TokenId> encode(std::string_view text, bool parse_special, bool add_bos) const;
  // The bytes of one token as they stand in running text; control tokens give "" unless `special`.
  std::string_view piece(TokenId id) const;
  std::string_view special_piece(TokenId id) const;  // also control tokens' text
  std::string decode(const std::vector<TokenId>& ids) const;

  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  // Every token that ends an answer: eos, eot and known end-of-turn control tokens. Sorted.
  const std::vector<TokenId>& end_tokens() const;
  bool is_control(TokenId id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tinderbox
