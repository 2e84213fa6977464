// Who goes next, and what of his prompt is there already.
#include <algorithm>

#include "base/check.h"
#include "sched/scheduler.h"

namespace tinderbox {
namespace {

// So few that it pays to look at every one (SGLang goes back to the order of arrival beyond 128).
constexpr std::int64_t kMatchedMax = 128;
// A slot is taken for what it holds if that is so much of the prompt, else the one that was left
// first (llama-server: --slot-prompt-similarity).
constexpr double kSimilarity = 0.1;

}  // namespace

// The last token is always computed, because it samples.
PrefixCache::Match Scheduler::match(const Sequence& s, PrefixCache::Node root) const {
  if (!policy_.prefix_cache || s.keys.empty()) return {};
  return kv_.cache().match(root, s.keys, (s.n_total - 1) / kv_.block_tokens());
}

std::int32_t Scheduler::choose_slot(const Sequence& s) const {
  const auto enough = static_cast<std::int64_t>(kSimilarity * s.n_total / kv_.block_tokens());
  std::int32_t chosen = -1;
  std::int64_t n_most = 0;
  for (std::int32_t i = 0; i < std::ssize(slots_); ++i) {
    const Slot& slot = slots_[static_cast<std::size_t>(i)];
    if (slot.busy) continue;
    const std::int64_t n_found = match(s, slot.root).n_blocks;
    const std::int64_t n = n_found > enough ? n_found : 0;
    const auto older = [&] {
      return slot.last_used < slots_[static_cast<std::size_t>(chosen)].last_used;
    };
    if (chosen < 0 || n > n_most || (n == n_most && older())) {
      chosen = i;
      n_most = n;
    }
  }
  CHECK(chosen >= 0);
  return chosen;
}

Sequence& Scheduler::choose_waiting() const {
  Sequence& first = waiting_.first(service_, group_.step());
  if (!policy_.longest_match_first || policy_.fair || waiting_.size() > kMatchedMax) return first;
  Sequence* chosen = &first;
  std::int64_t n_most = match(first, PrefixCache::kRoot).n_blocks;
  waiting_.for_each([&](Sequence& s) {
    if (s.request.priority != first.request.priority) return;
    if (const std::int64_t n = match(s, PrefixCache::kRoot).n_blocks; n > n_most) {
      chosen = &s;
      n_most = n;
    }
  });
  return *chosen;
}

bool Scheduler::has_room(const Sequence& s, const PrefixCache::Match& found) const {
  return n_needed(s) - found.n_blocks <= kv_.n_free() - found.n_idle;
}

// From waiting to running; false: there is no room yet.
bool Scheduler::admit(Sequence& s) {
  std::int32_t slot_idx = -1;
  PrefixCache::Node root = PrefixCache::kRoot;
  if (!slots_.empty()) {
    slot_idx = choose_slot(s);
    root = slots_[static_cast<std::size_t>(slot_idx)].root;
  }
  const PrefixCache::Match found = match(s, root);
  if (!has_room(s, found)) return false;
  const std::int64_t n = n_needed(s);
  s.node = kv_.cache().acquire(root, s.keys, found.n_blocks);
  occupy(s, slot_idx);
  CHECK(kv_.promise(n - found.n_blocks));
  s.n_held = n;
  s.n_shared = found.n_blocks;
  s.n_computed = static_cast<std::int32_t>(found.n_blocks * kv_.block_tokens());
  if (policy_.fair) service_.reads(s.request.key, s.n_total - s.n_computed);
  if (policy_.prefix_cache && !s.was_admitted) {
    counters_.prefix_tokens += s.n_total;
    counters_.prefix_hit_tokens += s.n_computed;
  }
  waiting_.erase(s);
  start(s);
  return true;
}

// The slot forgets what was left there, but for what s has found.
void Scheduler::occupy(Sequence& s, std::int32_t slot_idx) {
  if (slot_idx < 0) return;
  Slot& slot = slots_[static_cast<std::size_t>(slot_idx)];
  kv_.drop(slot.root, slot.keys);
  slot.busy = true;
  s.slot = slot_idx;
}

void Scheduler::start(Sequence& s) {
  s.was_admitted = true;
  s.state = Sequence::State::Prompt;
  for (std::vector<Sequence*>* by_rank : {&running_, &prompts_}) {
    if (by_rank->empty() || by_rank->back()->rank() < s.rank()) {  // in order of arrival
      by_rank->push_back(&s);
    } else {
      by_rank->insert(std::ranges::upper_bound(*by_rank, s.rank(), {}, &Sequence::rank), &s);
    }
  }
}

}  // namespace tinderbox
