// Which tokens of a vocabulary a grammar lets come next: constrained decoding. The vocabulary is sorted by its bytes
// once and shared; an answer's constraint follows it token by token.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/sampling.h"
#include "model/grammar.h"

namespace tinderbox {

// The bytes that every token stands for, in their order. Immutable; any thread.
class SortedVocabulary {
 public:
  // pieces[id]: "" for tokens that stand for no text and are never let through. ends: let through where a text may end.
  SortedVocabulary(std::vector<std::string> pieces, std::vector<TokenId> ends);

  struct Entry {
    TokenId id;
    std::uint32_t shared;  // bytes that it has in common with the entry before
  };
  const std::vector<Entry>& entries() const { return entries_; }
  std::string_view piece(TokenId id) const { return pieces_[static_cast<std::size_t>(id)]; }
  std::size_t size() const { return pieces_.size(); }
  const std::vector<TokenId>& ends() const { return ends_; }

 private:
  std::vector<std::string> pieces_;
  std::vector<TokenId> ends_;
  std::vector<Entry> entries_;
};

class GrammarConstraint final : public TokenConstraint {
 public:
  GrammarConstraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const SortedVocabulary> vocabulary);
  void mask(std::span<const TokenId> answer, std::span<float> logits) override;

 private:
  using Allowed = std::vector<bool>;  // by token
  const Allowed& allowed();
  Allowed find_allowed() const;

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const SortedVocabulary> vocabulary_;
  Grammar::State state_;
  std::size_t n_taken_ = 0;  // tokens of the answer
  std::unordered_map<std::string, Allowed> known_;  // by state; looked up, never iterated
};

}  // namespace tinderbox
