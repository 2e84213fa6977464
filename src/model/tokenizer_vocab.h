// The vocabulary that both kinds of tokenizer share, as read from a GGUF file. Internal to the
// tokenizer.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/sampling.h"
#include "model/gguf.h"

namespace tinderbox {

// tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t { Normal = 1, Unknown, Control, UserDefined, Unused, Byte };

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
// Only looked up, never iterated: its order is not ours to rely on.
using TokenMap = std::unordered_map<std::string, TokenId, StringHash, std::equal_to<>>;

struct Vocabulary {
  std::vector<std::string> pieces;  // the bytes each token stands for (a control token: its name)
  std::vector<TokenType> types;
  TokenMap ids;  // pieces of the tokens that running text may become

  int size() const { return static_cast<int>(pieces.size()); }
  TokenType type(TokenId id) const { return types[static_cast<std::size_t>(id)]; }
  const std::string& piece(TokenId id) const { return pieces[static_cast<std::size_t>(id)]; }
};

// letters: pieces are spelt in GPT-2's printable letters (kind "gpt2"), otherwise with U+2581 for a
// space. Throws Error::Invalid naming file and key if arrays disagree or are too long.
Vocabulary load_vocabulary(const Gguf& file, bool letters);

// The bytes that GPT-2's letters stand for, or the text itself if it has other characters.
std::string bytes_of_letters(std::string_view text);

// One symbol of a word being merged: a doubly linked list in an array, by index.
struct MergeSymbol {
  std::int64_t previous, next;  // -1: none
  std::uint32_t begin, size;    // bytes; size 0: merged into its left neighbour
  TokenId id;                   // -1: not in the vocabulary
};

// Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019): of all neighbours, the pair that was
// learnt first is merged first, leftmost on ties. O(n log n) in the length of a word.
class Bpe {
 public:
  Bpe(const Gguf& file, const Vocabulary& vocabulary, bool whole_words);
  // Appends the ids of one word of the pre-tokenizer.
  void encode(std::string_view word, const Vocabulary& vocabulary, std::vector<TokenId>& out) const;

 private:
  struct Merge {
    std::uint32_t rank;
    TokenId result;
  };
  const Merge* merge(TokenId left, TokenId right) const;

  bool whole_words_;  // a word that is a token is that token, whatever the merges say
  std::array<TokenId, 256> byte_ids_{};
  TokenId unknown_ = -1;
  std::unordered_map<std::uint64_t, Merge> merges_;
};

// SentencePiece's BPE: neighbours whose concatenation is a token merge, highest score first,
// leftmost on ties; a character that is no token falls back to byte tokens. O(n log n).
class Spm {
 public:
  Spm(const Gguf& file, const Vocabulary& vocabulary);
  // Appends the ids of a text in which spaces are U+2581 already.
  void encode(std::string_view text, const Vocabulary& vocabulary, std::vector<TokenId>& out) const;

 private:
  std::vector<float> scores_;
  std::array<TokenId, 256> byte_ids_{};
  TokenId unknown_ = -1;
  std::size_t piece_bytes_max_ = 0;
};

}  // namespace tinderbox
