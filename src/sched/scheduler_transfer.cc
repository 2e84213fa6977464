// Sequences whose KV goes from box to box: the one that reads the prompt keeps it until it has been
// sent, the one that generates sets room aside before it is.
#include <algorithm>

#include "base/check.h"
#include "sched/scheduler.h"

namespace tinderbox {

// Of those that run at once. What has stayed takes no part in a step, but keeps its slot.
bool Scheduler::has_place() const {
  const std::int32_t n_slots = slots_.empty() ? 0 : static_cast<std::int32_t>(stayed_.size());
  return n_running() + n_reserved() + n_slots <
         std::min(limits_.sequences_max, limits_.step_tokens_max);
}

bool Scheduler::reserve(const Request& request) {
  CHECK(!run_open_ && request.n_imported >= 1 && request.n_imported < request.n_prompt);
  CHECK(request.n_prompt < limits_.context_max);
  CHECK(!sequences_.contains(request.id) && !reserved_.contains(request.id));
  const std::int32_t n_gen_max =
      std::min(request.n_gen_max, limits_.context_max - request.n_prompt);
  const std::int64_t n_all = kv_.blocks_for(request.n_prompt + n_gen_max - 1);
  CHECK(n_all <= kv_.n_blocks());
  const std::int64_t n = policy_.slots ? n_all : kv_.blocks_for(request.n_prompt);
  if (!waiting_.empty() || !has_place() || !kv_.promise(n)) return false;
  reserved_.emplace(request.id, n);
  next_ = nullptr;
  return true;
}

bool Scheduler::unreserve(SeqId seq) {
  CHECK(!run_open_);
  const auto reserved = reserved_.find(seq);
  if (reserved == reserved_.end()) return false;
  kv_.forgive(reserved->second);
  reserved_.erase(reserved);
  next_ = nullptr;
  return true;
}

// What was sent is there, whatever the prefix cache knows.
void Scheduler::begin_imported(Sequence& s) {
  const auto reserved = reserved_.find(s.request.id);
  CHECK(reserved != reserved_.end() && s.request.n_imported < s.request.n_prompt);
  s.n_held = reserved->second;
  reserved_.erase(reserved);
  CHECK(s.n_held == n_needed(s));
  const std::int32_t slot_idx = slots_.empty() ? -1 : choose_slot(s);
  const PrefixCache::Node root =
      slot_idx < 0 ? PrefixCache::kRoot : slots_[static_cast<std::size_t>(slot_idx)].root;
  s.node = kv_.cache().acquire(root, s.keys, 0);
  occupy(s, slot_idx);
  s.n_computed = s.request.n_imported;
  if (policy_.fair) service_.reads(s.request.key, s.n_total - s.n_computed);
  start(s);
}

bool Scheduler::release(SeqId seq) {
  CHECK(!run_open_);
  if (stayed_.erase(seq) == 0) return false;
  Sequence& s = sequences_.at(seq);
  s.stays = false;
  erase(s);
  next_ = nullptr;
  return true;
}

void Scheduler::forget() {
  CHECK(idle() && !run_open_ && reserved_.empty() && stayed_.empty());
  kv_.forget();
  for (Slot& slot : slots_) slot.keys.clear();
}

}  // namespace tinderbox
