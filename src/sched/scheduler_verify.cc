#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sched/scheduler.h"

namespace tinderbox {

void Scheduler::verify_sequence(const Sequence& s) const {
  const std::int32_t lag = group_.lag(s);
  const std::int32_t n_total = s.n_total + lag, n_computed = s.n_computed + lag;
  CHECK(n_total == s.request.n_prompt + s.n_generated + lag);
  CHECK(s.n_generated + lag < s.request.n_gen_max && n_total <= limits_.context_max);
  CHECK(s.tokens.empty() || std::cmp_equal(s.tokens.size(), n_total));
  CHECK(n_computed >= 0 && n_computed < n_total);
  const std::span<const BlockId> settled = kv_.blocks(s.request.id);
  CHECK(settled.data() == s.blocks.data() && settled.size() == s.blocks.size());
  CHECK(std::ssize(settled) <= n_held(s) && kv_.blocks_for(n_computed) <= n_held(s));
  if (s.state == State::Waiting) CHECK(n_held(s) == 0 && n_computed == 0 && !s.in_step);
  if (s.state == State::Prompt) CHECK(n_held(s) == n_needed(s));
  CHECK(s.n_shared * kv_.block_tokens() <= n_computed);
  CHECK(settled.empty() || std::ssize(settled) >= s.n_shared);
}

void Scheduler::verify() const {
  CHECK(!run_open_);
  kv_.verify();
  group_.verify(running_);
  CHECK(counters_.submitted == counters_.accepted + counters_.refused);
  CHECK(counters_.accepted ==
        counters_.finished + counters_.cancelled + counters_.expired + n_running() + n_waiting());
  CHECK(counters_.prefix_hit_tokens <= counters_.prefix_tokens);
  CHECK(n_running() <= limits_.sequences_max && n_running() <= limits_.step_tokens_max);
  CHECK(n_running() + n_reserved() <= std::min(limits_.sequences_max, limits_.step_tokens_max));

  std::int64_t n_private = 0, n_settled = 0;
  std::size_t n_prompts = 0;
  const auto see = [&](const Sequence& s) {
    n_private += n_held(s) - s.n_shared;
    n_settled += std::max<std::int64_t>(0, std::ssize(s.blocks) - s.n_shared);
  };
  for (const auto& [seq, n_blocks] : reserved_) {
    CHECK(!sequences_.contains(seq));
    n_private += n_blocks;
  }
  for (const SeqId seq : stayed_) {
    const Sequence& s = sequences_.at(seq);
    CHECK(s.stays && s.state == State::Ended && !s.in_step);
    see(s);
  }
  const Sequence* before = nullptr;
  for (const Sequence* s : running_) {
    CHECK(s->state == State::Prompt || s->state == State::Decoding);
    CHECK(before == nullptr || before->rank() < s->rank());
    before = s;
    verify_sequence(*s);
    see(*s);
    if (s->state == State::Prompt) CHECK(prompts_[n_prompts++] == s);
  }
  CHECK(n_prompts == prompts_.size());
  before = nullptr;
  std::int64_t n_waiting_seen = 0;
  waiting_.for_each([&](const Sequence& s) {
    CHECK(s.state == State::Waiting && ++n_waiting_seen <= waiting_.size());
    CHECK(before == nullptr || before->request.priority <= s.request.priority);
    before = &s;
    verify_sequence(s);
  });
  CHECK(n_waiting_seen == waiting_.size());
  std::size_t n_ended = 0;
  for (const Sequence* s : open_) {
    CHECK(s->in_step && s->state != State::Waiting);
    if (s->state != State::Ended) continue;
    ++n_ended;
    see(*s);
  }
  CHECK(sequences_.size() == running_.size() + static_cast<std::size_t>(n_waiting_seen) + n_ended + stayed_.size());
  const std::int64_t n_used = kv_.cache().n_used();
  CHECK(n_private + n_used == kv_.n_blocks() - kv_.n_free());
  const std::int64_t n_nameless = by_runs_ ? n_used + kv_.cache().n_idle() : 0;
  CHECK(n_private - n_settled + n_nameless == kv_.n_promised());
}

std::vector<std::uint64_t> Scheduler::state() const {
  CHECK(open_.empty() && !run_open_ && cancelled_.empty());
  std::vector<std::uint64_t> words;
  const auto add = [&](std::int64_t word) { words.push_back(static_cast<std::uint64_t>(word)); };
  const auto add_keys = [&](const std::vector<KeyRun>& keys) {
    add(std::ssize(keys));
    for (const KeyRun& run : keys) words.insert(words.end(), {run.key.high, run.key.low});
    add(n_blocks(keys));
  };
  const auto see = [&](const Sequence& s) {
    const std::int32_t lag = group_.lag(s);
    for (const std::int64_t word : {s.request.id, std::int64_t{s.n_total} + lag, std::int64_t{s.n_computed} + lag,
                                    n_held(s), s.n_shared, std::ssize(s.blocks), std::int64_t{s.slot}})
      add(word);
    add(static_cast<std::int64_t>(s.state));
    add_keys(s.keys);
  };
  add(n_running());
  for (const Sequence* s : running_) see(*s);
  waiting_.for_each(see);
  add(next_ == nullptr ? -1 : next_->request.id);
  service_.for_each_key([&](std::uint64_t key) { add(service_.of(key, group_.step())); });
  for (const Slot& slot : slots_) {
    add(slot.busy);
    add(std::ranges::count_if(slots_, [&](const Slot& other) { return other.last_used < slot.last_used; }));
    add_keys(slot.keys);
  }
  add(kv_.n_free());
  kv_.cache().append_state(words);
  return words;
}

}  // namespace tinderbox
