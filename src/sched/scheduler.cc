#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

Scheduler::Scheduler(Limits limits, KvPool kv, Policy policy, SipKey secret)
    : limits_(limits),
      kv_(std::move(kv)),
      policy_(policy),
      secret_(secret),
      group_(kv_.block_tokens(), !policy.slots),
      waiting_(policy.fair) {
  CHECK(limits.step_tokens_max >= 1 && limits.sequences_max >= 1);
  CHECK(limits.queue_max >= 1 && limits.context_max >= 1);
  if (!policy.slots || !policy.prefix_cache) return;
  slots_.resize(static_cast<std::size_t>(limits.sequences_max));
  for (Slot& slot : slots_) slot.root = kv_.cache().add_root();
}

Scheduler::Scheduler(const Scheduler& other)
    : limits_(other.limits_),
      kv_(other.kv_),
      policy_(other.policy_),
      secret_(other.secret_),
      group_(other.group_),
      sequences_(other.sequences_),
      waiting_(other.policy_.fair),
      service_(other.service_),
      deadlines_(other.deadlines_),
      reserved_(other.reserved_),
      stayed_(other.stayed_),
      slots_(other.slots_),
      n_slot_uses_(other.n_slot_uses_),
      by_items_(other.by_items_),
      by_runs_(other.by_runs_),
      cancelled_(other.cancelled_),
      counters_(other.counters_) {
  CHECK(other.open_.empty() && !other.run_open_);
  for (auto& [id, s] : sequences_) s.blocks = kv_.blocks(id);
  const auto own = [&](const Sequence* s) { return &sequences_.at(s->request.id); };
  for (const Sequence* s : other.running_) running_.push_back(own(s));
  for (const Sequence* s : other.prompts_) prompts_.push_back(own(s));
  other.waiting_.for_each([&](const Sequence& s) { waiting_.push(*own(&s)); });
  if (other.next_ != nullptr) next_ = own(other.next_);
  group_.move_members(own);
}

Admission Scheduler::submit(Request request) {
  CHECK(request.n_prompt >= 1 && request.n_gen_max >= 1);
  CHECK(request.prompt.empty() || std::cmp_equal(request.prompt.size(), request.n_prompt));
  const SeqId id = request.id;
  const auto refusal = [&] {
    if (sequences_.contains(id)) return Admission::Duplicate;
    if (request.n_prompt >= limits_.context_max) return Admission::TooLong;
    request.n_gen_max = std::min(request.n_gen_max, limits_.context_max - request.n_prompt);
    // The last token is given out, never fed back: its KV is not stored.
    if (kv_.blocks_for(request.n_prompt + request.n_gen_max - 1) > kv_.n_blocks()) {
      return Admission::NeverFits;
    }
    if (n_waiting() >= limits_.queue_max && request.n_imported == 0) return Admission::QueueFull;
    return Admission::Accepted;
  }();
  const std::int64_t order = counters_.submitted++;
  if (refusal != Admission::Accepted) {
    ++counters_.refused;
    return refusal;
  }
  ++counters_.accepted;
  Sequence& s = sequences_[id];
  s.request = std::move(request);
  s.tokens = std::exchange(s.request.prompt, {});
  s.order = order;
  s.n_total = s.request.n_prompt;
  if (policy_.prefix_cache) {
    s.keys = keys_of(s.request.contents, kv_.block_tokens());
    if (!s.tokens.empty()) append_keys(s.keys, s.tokens, kv_.block_tokens(), secret_);
    CHECK(n_blocks(s.keys) <= kv_.blocks_for(s.n_total));
  }
  if (s.request.deadline != TimePoint::max()) deadlines_.emplace(s.request.deadline, id);
  next_ = nullptr;
  if (s.request.n_imported > 0) {
    begin_imported(s);
    return Admission::Accepted;
  }
  if (policy_.fair && !waiting_.empty() && !waiting_.any_of(s.request.key)) {
    service_.lift(s.request.key, waiting_.least_served(service_, group_.step()), group_.step());
  }
  if (policy_.fair) service_.forget_idle([&](std::uint64_t key) { return waiting_.any_of(key); });
  waiting_.push(s);
  return Admission::Accepted;
}

bool Scheduler::end(SeqId seq, FinishReason reason) {
  CHECK(!run_open_);
  const auto it = sequences_.find(seq);
  if (it == sequences_.end() || it->second.state == State::Ended) return false;
  Sequence& s = it->second;
  if (s.state == State::Waiting) {
    waiting_.erase(s);
  } else {
    leave_running(s);
  }
  cancelled_.push_back({.seq = seq, .token = -1, .finish = reason, .n_generated = s.n_generated});
  s.state = State::Ended;
  next_ = nullptr;
  if (s.request.deadline != TimePoint::max()) deadlines_.erase({s.request.deadline, seq});
  if (!s.in_step) erase(s);
  return true;
}

bool Scheduler::cancel(SeqId seq) {
  if (!end(seq, FinishReason::Cancelled)) return false;
  ++counters_.cancelled;
  return true;
}

void Scheduler::expire(TimePoint now) {
  while (next_deadline() <= now) {
    CHECK(end(deadlines_.begin()->second, FinishReason::Deadline));
    ++counters_.expired;
  }
}

std::vector<SeqId> Scheduler::live() const {
  std::vector<SeqId> ids;
  for (const Sequence* s : running_) ids.push_back(s->request.id);
  waiting_.for_each([&](const Sequence& s) { ids.push_back(s.request.id); });
  std::ranges::sort(ids);
  return ids;
}

std::vector<TokenEvent> Scheduler::take_cancelled() { return std::exchange(cancelled_, {}); }

void Scheduler::take_cancelled(std::vector<TokenEvent>& events) {
  events.insert(events.end(), cancelled_.begin(), cancelled_.end());
  cancelled_.clear();
}

// Blocks settled, promised or shared: of a prompt all it needs, of a decoding sequence what it has computed,
// with the open step's.
std::int64_t Scheduler::n_held(const Sequence& s) const {
  if (s.state != State::Decoding || policy_.slots) return s.n_held;
  return kv_.blocks_for(s.n_computed + group_.lag(s) + (s.in_step ? 1 : 0));
}

// Blocks that s holds from its admission on.
std::int64_t Scheduler::n_needed(const Sequence& s) const {
  return kv_.blocks_for(policy_.slots ? s.request.n_prompt + s.request.n_gen_max - 1 : s.n_total);
}

// Puts its blocks up to n_blocks, all computed, into the prefix cache.
void Scheduler::share(Sequence& s, std::int64_t n_blocks) {
  if (n_blocks <= s.n_shared) return;
  s.node = kv_.share(s.request.id, s.node, s.keys, s.n_shared, n_blocks);
  s.n_shared = n_blocks;
}

// All its full blocks. Those that nobody can ask for are there too, and go when they are the oldest, as in
// the programs that we imitate.
void Scheduler::keep(Sequence& s, bool comes_back) {
  const std::int64_t n_full = s.n_computed / kv_.block_tokens();
  // What was imported and has not been in a step has no blocks yet but promised ones.
  if (n_full <= s.n_shared || s.request.n_imported > 0) return;
  const std::int32_t n_answer = s.n_computed - s.request.n_prompt;
  if (!s.tokens.empty()) {
    const std::span tokens = std::span(s.tokens).first(static_cast<std::size_t>(s.n_computed));
    append_keys(s.keys, tokens, kv_.block_tokens(), secret_);
  } else if (s.request.answer_continues && n_answer > 0) {
    std::vector<Content> contents = s.request.contents;
    contents.back().n_tokens += n_answer;
    s.keys = keys_of(contents, kv_.block_tokens());
  }
  const std::int64_t n_own = n_full - n_blocks(s.keys);
  const bool findable = comes_back || policy_.slots;
  if (findable && n_own > 0) s.keys.push_back({own_key(s.request.id), n_own});
  share(s, findable ? n_full : std::min(n_full, n_blocks(s.keys)));
  if (s.n_shared == n_full) return;
  kv_.leave(s.request.id, s.node, s.n_shared, n_full);
  s.n_shared = n_full;
}

void Scheduler::release(Sequence& s, bool comes_back) {
  if (policy_.prefix_cache) keep(s, comes_back);
  const std::int64_t n_settled = std::max<std::int64_t>(0, std::ssize(s.blocks) - s.n_shared);
  kv_.forgive(s.n_held - s.n_shared - n_settled);
  if (!s.blocks.empty()) kv_.release(s.request.id, s.n_shared);
  kv_.cache().release(s.node);
  s.blocks = {};
  s.node = PrefixCache::kRoot;
  s.n_held = s.n_shared = 0;
  s.n_computed = 0;
}

void Scheduler::erase(Sequence& s) {
  if (s.stays) {
    stayed_.insert(s.request.id);
    return;
  }
  release(s, false);
  if (s.slot >= 0) {
    Slot& slot = slots_[static_cast<std::size_t>(s.slot)];
    slot.busy = false;
    slot.keys = std::move(s.keys);
    slot.last_used = ++n_slot_uses_;
  }
  sequences_.erase(SeqId(s.request.id));
}

// Its counts are then up to date; what it holds, it keeps.
void Scheduler::leave_running(Sequence& s) {
  const auto erase_from = [&](std::vector<Sequence*>& by_rank) {
    const auto it = std::ranges::lower_bound(by_rank, s.rank(), {}, &Sequence::rank);
    CHECK(it != by_rank.end() && *it == &s);
    by_rank.erase(it);
  };
  next_ = nullptr;
  erase_from(running_);
  if (s.state == State::Prompt) {
    erase_from(prompts_);
    return;
  }
  s.n_held = n_held(s);
  if (policy_.fair) service_.ends(s.request.key, s.served_since, group_.step());
  group_.leave(s);
}

void Scheduler::preempt_last(StepRun& run) {
  Sequence& s = *running_.back();
  leave_running(s);
  release(s, true);
  s.state = State::Waiting;
  waiting_.push(s);
  run.preempted.push_back(s.request.id);
  ++counters_.preemptions;
}

// Gives s what is left of the step's budget, as far as it needs it.
void Scheduler::add_chunk(StepRun& run, Sequence& s) {
  const std::int64_t n_left = limits_.step_tokens_max - run.n_tokens();
  CHECK(n_left > 0);
  const auto n_new =
      static_cast<std::int32_t>(std::min<std::int64_t>(s.n_total - s.n_computed, n_left));
  run.prompts.push_back({.seq = s.request.id,
                         .n_past = s.n_computed,
                         .n_new = n_new,
                         .samples = s.n_computed + n_new == s.n_total});
  chunks_.push_back(&s);
  s.request.n_imported = 0;
}

// What decodes has one token each.
void Scheduler::plan_decoding(StepRun& run) {
  // Prompts hold their blocks since admission, so a shortage is of blocks for one more token each.
  while (!kv_.promise(group_.blocks_needed(1))) preempt_last(run);
  run.n_decoding = group_.n();
  run.n_past = group_.n_past();
}

void Scheduler::admit_waiting(StepRun& run) {
  while (!waiting_.empty() && has_place() && run.n_tokens() < limits_.step_tokens_max) {
    if (next_ == nullptr) next_ = &choose_waiting();
    if (!admit(*next_)) return;
    add_chunk(run, *std::exchange(next_, nullptr));
  }
}

void Scheduler::plan(StepRun& run) {
  CHECK(open_.empty() && !run_open_);
  run.prompts.clear();
  run.preempted.clear();
  run.n_decoding = 0;
  run.n_past = 0;
  chunks_.clear();
  if (!policy_.prompts_alone) plan_decoding(run);
  for (Sequence* s : prompts_) {
    // What was imported came beside a prompt that may take the whole budget.
    if (run.n_tokens() < limits_.step_tokens_max) add_chunk(run, *s);
  }
  if (run.preempted.empty()) admit_waiting(run);
  run.pauses = policy_.prompts_alone && !run.prompts.empty();
  if (policy_.prompts_alone && !run.pauses) plan_decoding(run);
  if (!run.preempted.empty() && next_ == nullptr) next_ = &choose_waiting();
  if (run.prompts.empty() && run.n_decoding == 0) {
    CHECK(idle() || !reserved_.empty() || !stayed_.empty());
    run.n_steps = 0;
  } else if (!run.prompts.empty() || (!run.preempted.empty() && has_room(*next_))) {
    run.n_steps = 1;
  } else {
    const std::int64_t n_blocks = kv_.n_free() + group_.blocks_needed(1);
    run.n_steps = group_.steps_within(n_blocks, group_.steps_left());
  }
}

void Scheduler::schedule_run(StepRun& run) {
  CHECK(!policy_.prefix_cache || !by_items_);
  by_runs_ = true;
  plan(run);
  run_open_ = run.n_steps > 0;
  held_ = false;
}

void Scheduler::hold_run(StepRun& run, std::int64_t n_steps) {
  CHECK(run_open_ && !held_ && n_steps >= 1 && n_steps <= run.n_steps);
  run.n_steps = n_steps;
  held_ = true;
  if (run.n_decoding > 0) CHECK(kv_.promise(group_.blocks_needed(n_steps) - group_.blocks_needed(1)));
}

// The pool has what they hold in the last step.
std::int64_t Scheduler::kv_blocks_sum(const StepRun& run, std::int64_t n_steps) const {
  CHECK(run_open_ && held_ && n_steps >= 0 && n_steps <= run.n_steps);
  const std::int64_t n_last = kv_.n_blocks() - kv_.n_free();
  if (run.n_decoding == 0 || run.n_steps == 1) return n_steps * n_last;
  return n_steps * (n_last - group_.blocks_needed(run.n_steps)) + group_.blocks_needed_sum(n_steps);
}

void Scheduler::complete_run(const StepRun& run, std::vector<TokenEvent>& events) {
  CHECK(run_open_ && held_);
  run_open_ = false;
  take_cancelled(events);
  ended_.clear();
  if (!run.pauses) group_.advance(run.n_steps);
  while (Sequence* s = group_.pop_ended()) {
    events.push_back({.seq = s->request.id,
                      .token = 0,
                      .finish = FinishReason::Length,
                      .n_generated = s->n_generated});
    if (!policy_.slots) s->n_held = kv_.blocks_for(s->n_computed);
    running_.erase(std::ranges::lower_bound(running_, s->rank(), {}, &Sequence::rank));
    if (policy_.fair) service_.ends(s->request.key, s->served_since, group_.step());
    s->state = State::Ended;
    finished(*s);
    ended_.push_back(s);
  }
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    CHECK(chunks_[i]->tokens.empty());
    complete_chunk(*chunks_[i], run.prompts[i], 0, events);
    if (chunks_[i]->state == State::Ended) ended_.push_back(chunks_[i]);
  }
  for (Sequence* s : ended_) erase(*s);
}

void Scheduler::finished(Sequence& s) {
  s.stays = s.request.stays;
  ++counters_.finished;
  next_ = nullptr;
  if (s.request.deadline != TimePoint::max()) deadlines_.erase({s.request.deadline, s.request.id});
}

// The token that s has just sampled; it is counted already.
TokenEvent Scheduler::accept(Sequence& s, TokenId token) {
  if (!s.tokens.empty()) s.tokens.push_back(token);
  const std::int32_t n_generated = s.n_generated + group_.lag(s);
  FinishReason finish = FinishReason::None;
  if (std::ranges::find(s.request.end_tokens, token) != s.request.end_tokens.end()) {
    finish = FinishReason::Stop;
  } else if (n_generated == s.request.n_gen_max) {
    finish = FinishReason::Length;
  }
  if (finish != FinishReason::None) {
    leave_running(s);
    s.state = State::Ended;
    finished(s);
  }
  return {.seq = s.request.id, .token = token, .finish = finish, .n_generated = n_generated};
}

void Scheduler::complete_chunk(Sequence& s, const PromptChunk& chunk, TokenId token,
                               std::vector<TokenEvent>& events) {
  s.n_computed += chunk.n_new;
  if (!s.keys.empty()) {
    share(s, std::min<std::int64_t>(s.n_computed / kv_.block_tokens(), n_blocks(s.keys)));
  }
  if (!chunk.samples) return;
  ++s.n_generated;
  ++s.n_total;
  if (policy_.fair) service_.generates(s.request.key, 1);
  events.push_back(accept(s, token));
  if (s.state == State::Ended) return;
  prompts_.erase(std::ranges::lower_bound(prompts_, s.rank(), {}, &Sequence::rank));
  group_.join(s);
  s.served_since = group_.step();
  if (policy_.fair) service_.begins(s.request.key, s.served_since);
}

}  // namespace tinderbox
