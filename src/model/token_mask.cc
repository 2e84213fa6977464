#include "model/token_mask.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tinderbox {
namespace {

constexpr std::size_t kKnownMax = 64;  // states whose masks are kept: most of a text is inside strings

}  // namespace

SortedVocabulary::SortedVocabulary(std::vector<std::string> pieces, std::vector<TokenId> ends)
    : pieces_(std::move(pieces)), ends_(std::move(ends)) {
  std::vector<bool> is_end(pieces_.size(), false);
  for (const TokenId id : ends_) {
    if (id >= 0 && static_cast<std::size_t>(id) < is_end.size()) is_end[static_cast<std::size_t>(id)] = true;
  }
  for (std::size_t id = 0; id < pieces_.size(); ++id) {
    if (!pieces_[id].empty() && !is_end[id]) entries_.push_back({static_cast<TokenId>(id), 0});
  }
  std::ranges::sort(entries_, [&](const Entry& a, const Entry& b) {
    return std::pair(piece(a.id), a.id) < std::pair(piece(b.id), b.id);
  });
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    const std::string_view a = piece(entries_[i - 1].id), b = piece(entries_[i].id);
    std::size_t n = 0;
    while (n < std::min(a.size(), b.size()) && a[n] == b[n]) ++n;
    entries_[i].shared = static_cast<std::uint32_t>(n);
  }
}

GrammarConstraint::GrammarConstraint(std::shared_ptr<const Grammar> grammar,
                                     std::shared_ptr<const SortedVocabulary> vocabulary)
    : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)), state_(grammar_->begin()) {}

void GrammarConstraint::mask(std::span<const TokenId> answer, std::span<float> logits) {
  for (; n_taken_ < answer.size(); ++n_taken_) {
    const TokenId id = answer[n_taken_];
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_->size()) continue;
    for (const char c : vocabulary_->piece(id)) state_ = grammar_->next(state_, static_cast<unsigned char>(c));
  }
  const Allowed& may = allowed();
  const std::size_t n = std::min(logits.size(), may.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (!may[i]) logits[i] = -std::numeric_limits<float>::infinity();
  }
  for (std::size_t i = n; i < logits.size(); ++i) logits[i] = -std::numeric_limits<float>::infinity();
}

const GrammarConstraint::Allowed& GrammarConstraint::allowed() {
  std::string key;
  for (const Grammar::Stack& stack : state_) {
    key.append(reinterpret_cast<const char*>(stack.data()), stack.size() * sizeof(stack[0]));
    key.append("\xFF\xFF\xFF\xFF", 4);  // no place is -1
  }
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  if (known_.size() >= kKnownMax) known_.clear();
  return known_[std::move(key)] = find_allowed();
}

// The vocabulary in order: of each token only the bytes that the one before does not share are tried.
GrammarConstraint::Allowed GrammarConstraint::find_allowed() const {
  Allowed may(vocabulary_->size(), false);
  std::vector<Grammar::State> states = {state_};  // after so many bytes of the token
  bool any = false;
  for (const SortedVocabulary::Entry& entry : vocabulary_->entries()) {
    const std::string_view piece = vocabulary_->piece(entry.id);
    states.resize(std::min<std::size_t>(states.size(), entry.shared + std::size_t{1}));
    while (states.size() <= piece.size() && !states.back().empty()) {
      const auto byte = static_cast<unsigned char>(piece[states.size() - 1]);
      states.push_back(contains(grammar_->allowed(states.back()), byte) ? grammar_->next(states.back(), byte)
                                                                         : Grammar::State());
    }
    if (states.size() > piece.size() && !states[piece.size()].empty()) {
      may[static_cast<std::size_t>(entry.id)] = true;
      any = true;
    }
  }
  if (Grammar::may_end(state_) || !any) {
    for (const TokenId id : vocabulary_->ends()) {
      if (id >= 0 && static_cast<std::size_t>(id) < may.size()) may[static_cast<std::size_t>(id)] = true;
    }
  }
  return may;
}

}  // namespace tinderbox
