#include "model/token_mask.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tinderbox {
namespace {

constexpr std::size_t kKnownMax = 4096;  // states that are remembered: texts come back to most of theirs

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
    : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)), state_(number_of(grammar_->begin())) {}

std::int32_t GrammarConstraint::number_of(Grammar::State state) {
  if (state.empty()) return kNone;
  const auto [found, is_new] = numbers_.try_emplace(std::move(state), static_cast<std::int32_t>(known_.size()));
  if (is_new) {
    Known known{.state = found->first, .next = {}, .allowed = {}};
    known.next.fill(kUnknown);
    known_.push_back(std::move(known));
  }
  return found->second;
}

std::int32_t GrammarConstraint::next(std::int32_t state, unsigned char byte) {
  std::int32_t& after = known_[static_cast<std::size_t>(state)].next[byte];
  if (after == kUnknown) after = number_of(grammar_->next(known_[static_cast<std::size_t>(state)].state, byte));
  return after;
}

void GrammarConstraint::forget() {
  Grammar::State here = state_ == kNone ? Grammar::State() : known_[static_cast<std::size_t>(state_)].state;
  known_.clear();
  numbers_.clear();
  state_ = number_of(std::move(here));
}

void GrammarConstraint::mask(std::span<const TokenId> answer, std::span<float> logits) {
  for (; n_taken_ < answer.size(); ++n_taken_) {
    const TokenId id = answer[n_taken_];
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_->size()) continue;
    for (const char c : vocabulary_->piece(id)) {
      if (state_ != kNone) state_ = next(state_, static_cast<unsigned char>(c));
    }
  }
  if (known_.size() > kKnownMax) forget();
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const Allowed none(vocabulary_->size(), false);
  const Allowed& may = state_ == kNone ? none : allowed(state_);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (i >= may.size() || !may[i]) logits[i] = kNever;
  }
}

// The vocabulary in order: of each token only the bytes that the one before does not share are tried.
const GrammarConstraint::Allowed& GrammarConstraint::allowed(std::int32_t state) {
  Allowed& may = known_[static_cast<std::size_t>(state)].allowed;
  if (!may.empty()) return may;
  may.assign(vocabulary_->size(), false);
  std::vector<std::int32_t> states = {state};  // after so many bytes of the token
  bool any = false;
  for (const SortedVocabulary::Entry& entry : vocabulary_->entries()) {
    const std::string_view piece = vocabulary_->piece(entry.id);
    states.resize(std::min<std::size_t>(states.size(), entry.shared + std::size_t{1}));
    while (states.size() <= piece.size() && states.back() != kNone) {
      states.push_back(next(states.back(), static_cast<unsigned char>(piece[states.size() - 1])));
    }
    if (states.size() > piece.size() && states[piece.size()] != kNone) {
      may[static_cast<std::size_t>(entry.id)] = true;
      any = true;
    }
  }
  if (Grammar::may_end(known_[static_cast<std::size_t>(state)].state) || !any) {
    for (const TokenId id : vocabulary_->ends()) {
      if (id >= 0 && static_cast<std::size_t>(id) < may.size()) may[static_cast<std::size_t>(id)] = true;
    }
  }
  return may;
}

}  // namespace tinderbox
