// Which tokens of a vocabulary a grammar lets come next: constrained decoding. The vocabulary is sorted by its bytes
// once and shared; an answer's constraint follows it token by token.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
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
  static constexpr std::int32_t kUnknown = -2, kNone = -1;
  // A state of the grammar that has been met, and where each byte leads.
  struct Known {
    Grammar::State state;
    std::array<std::int32_t, 256> next;
    Allowed allowed;  // empty: not asked for yet
  };
  std::int32_t number_of(Grammar::State state);
  std::int32_t next(std::int32_t state, unsigned char byte);
  const Allowed& allowed(std::int32_t state);
  void forget();  // all but where the answer is

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const SortedVocabulary> vocabulary_;
  std::deque<Known> known_;  // by number; they do not move
  std::map<Grammar::State, std::int32_t> numbers_;
  std::int32_t state_ = kNone;
  std::size_t n_taken_ = 0;  // tokens of the answer
};

}  // namespace tinderbox
