#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

Scheduler::Scheduler(Limits limits, KvPool kv) : limits_(limits), kv_(std::move(kv)) {
  CHECK(limits.step_tokens_max >= 1 && limits.sequences_max >= 1);
  CHECK(limits.queue_max >= 1 && limits.context_max >= 1);
}

Scheduler::Scheduler(const Scheduler& other)
    : limits_(other.limits_),
      kv_(other.kv_),
      sequences_(other.sequences_),
      cancelled_(other.cancelled_),
      counters_(other.counters_) {
  CHECK(other.open_.empty());
  for (auto& [id, s] : sequences_) s.blocks = kv_.blocks(id);
  for (const Sequence* s : other.running_) running_.push_back(&sequences_.at(s->request.id));
  for (const Sequence* s : other.waiting_) waiting_.push_back(&sequences_.at(s->request.id));
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
    if (n_waiting() >= limits_.queue_max) return Admission::QueueFull;
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
  waiting_.push_back(&s);
  return Admission::Accepted;
}

bool Scheduler::cancel(SeqId seq) {
  const auto it = sequences_.find(seq);
  if (it == sequences_.end() || it->second.state == State::Ended) return false;
  Sequence& s = it->second;
  ++counters_.cancelled;
  cancelled_.push_back({.seq = seq, .token = -1, .finish = FinishReason::Cancelled});
  if (s.state == State::Running) {
    running_.erase(std::ranges::find(running_, &s));
  } else {
    waiting_.erase(std::ranges::find(waiting_, &s));
  }
  s.state = State::Ended;
  if (!s.in_step) {
    release(s);
    sequences_.erase(it);
  }
  return true;
}

std::vector<TokenEvent> Scheduler::take_cancelled() { return std::exchange(cancelled_, {}); }

// Makes room for n_tokens in all; cheap if the blocks held already suffice.
bool Scheduler::reserve(Sequence& s, std::int64_t n_tokens) {
  if (n_tokens <= static_cast<std::int64_t>(s.blocks.size()) * kv_.block_tokens()) return true;
  if (!kv_.grow(s.request.id, n_tokens)) return false;
  s.blocks = kv_.blocks(s.request.id);
  return true;
}

void Scheduler::release(Sequence& s) {
  if (!s.blocks.empty()) kv_.release(s.request.id);
  s.blocks = {};
  s.n_computed = 0;
}

void Scheduler::preempt_youngest() {
  Sequence& s = *running_.back();
  running_.pop_back();
  release(s);
  s.state = State::Waiting;
  waiting_.push_front(&s);
  ++counters_.preemptions;
}

// Gives s what is left of the step's budget, as far as it needs it. Fills the item in place: built
// first and then copied, it costs three times as much (stalled store forwarding), and this is the
// hottest place of a simulation.
void Scheduler::add_item(Step& step, Sequence& s) {
  const std::int32_t n_new =
      std::min(s.n_total - s.n_computed, limits_.step_tokens_max - step.n_tokens);
  const std::int32_t n_end = s.n_computed + n_new;
  StepItem& item = step.items.emplace_back();
  item.seq = s.request.id;
  item.n_past = s.n_computed;
  item.n_new = n_new;
  item.samples = n_end == s.n_total;
  item.history = s.tokens;
  if (!s.tokens.empty()) {
    item.tokens = item.history.subspan(static_cast<std::size_t>(s.n_computed),
                                       static_cast<std::size_t>(n_new));
  }
  // A whole prompt is reserved before it is all computed.
  item.blocks =
      item.samples ? s.blocks : s.blocks.first(static_cast<std::size_t>(kv_.blocks_for(n_end)));
  item.sampling = &s.request.sampling;
  step.n_tokens += n_new;
  s.in_step = true;
  open_.push_back(&s);
}

void Scheduler::admit(Step& step) {
  while (!waiting_.empty() && step.n_tokens < limits_.step_tokens_max &&
         n_running() < limits_.sequences_max) {
    Sequence& s = *waiting_.front();
    if (!reserve(s, s.n_total)) return;
    waiting_.pop_front();
    s.state = State::Running;
    running_.push_back(&s);
    add_item(step, s);
  }
}

void Scheduler::schedule(Step& step) {
  CHECK(open_.empty());
  step.items.clear();
  step.n_tokens = 0;
  for (std::size_t i = 0; i < running_.size() && step.n_tokens < limits_.step_tokens_max; ++i) {
    Sequence& s = *running_[i];
    // Prompts are reserved on admission, so a shortage is one block for one more token. The victim
    // is s itself or younger, so it has no item in this step yet.
    while (s.state == State::Running && !reserve(s, s.n_total)) preempt_youngest();
    if (s.state == State::Running) add_item(step, s);
  }
  // After a preemption this admits nobody: the first in the queue is the victim, who needs more
  // than it freed.
  admit(step);
  CHECK(!step.items.empty() || idle());
}

Step Scheduler::schedule() {
  Step step;
  schedule(step);
  return step;
}

TokenEvent Scheduler::accept(Sequence& s, TokenId token) {
  ++s.n_generated;
  ++s.n_total;
  if (!s.tokens.empty()) s.tokens.push_back(token);
  FinishReason finish = FinishReason::None;
  if (std::ranges::find(s.request.end_tokens, token) != s.request.end_tokens.end()) {
    finish = FinishReason::Stop;
  } else if (s.n_generated == s.request.n_gen_max) {
    finish = FinishReason::Length;
  }
  if (finish != FinishReason::None) {
    s.state = State::Ended;
    ++counters_.finished;
  }
  return {.seq = s.request.id, .token = token, .finish = finish};
}

void Scheduler::complete(const Step& step, std::span<const TokenId> sampled,
                         std::vector<TokenEvent>& events) {
  CHECK(!open_.empty() && step.items.size() == open_.size());
  events.insert(events.end(), cancelled_.begin(), cancelled_.end());
  cancelled_.clear();
  std::size_t n_taken = 0;
  bool any_ended = false;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const StepItem& item = step.items[i];
    Sequence& s = *open_[i];
    CHECK(item.seq == s.request.id && s.in_step);
    s.in_step = false;
    CHECK(!item.samples || n_taken < sampled.size());
    const TokenId token = item.samples ? sampled[n_taken++] : -1;
    if (s.state == State::Running) {
      s.n_computed += item.n_new;
      if (item.samples) events.push_back(accept(s, token));
    }
    any_ended |= s.state == State::Ended;
  }
  CHECK(n_taken == sampled.size());
  if (any_ended) {
    std::erase_if(running_, [](const Sequence* s) { return s->state == State::Ended; });
    for (Sequence* s : open_) {
      if (s->state != State::Ended) continue;
      release(*s);
      sequences_.erase(s->request.id);
    }
  }
  open_.clear();
}

std::vector<TokenEvent> Scheduler::complete(const Step& step, std::span<const TokenId> sampled) {
  std::vector<TokenEvent> events;
  complete(step, sampled, events);
  return events;
}

void Scheduler::verify_sequence(const Sequence& s) const {
  CHECK(s.n_total == s.request.n_prompt + s.n_generated && s.n_generated < s.request.n_gen_max);
  CHECK(s.n_total <= limits_.context_max);
  CHECK(s.tokens.empty() || std::cmp_equal(s.tokens.size(), s.n_total));
  CHECK(s.n_computed >= 0 && s.n_computed < s.n_total);
  const std::span<const BlockId> held = kv_.blocks(s.request.id);
  CHECK(held.data() == s.blocks.data() && held.size() == s.blocks.size());
  CHECK(kv_.blocks_for(s.n_computed) <= static_cast<std::int64_t>(held.size()));
  if (s.state == State::Waiting) CHECK(held.empty() && s.n_computed == 0 && !s.in_step);
}

void Scheduler::verify() const {
  kv_.verify();
  CHECK(counters_.submitted == counters_.accepted + counters_.refused);
  CHECK(counters_.accepted == counters_.finished + counters_.cancelled + n_running() + n_waiting());
  CHECK(n_running() <= limits_.sequences_max);

  std::size_t n_held = 0;
  std::int64_t order = -1;
  const auto in_order = [&](const Sequence& s, State state) {
    CHECK(s.state == state && s.order > order);
    order = s.order;
    verify_sequence(s);
    n_held += s.blocks.size();
  };
  for (const Sequence* s : running_) in_order(*s, State::Running);
  for (const Sequence* s : waiting_) in_order(*s, State::Waiting);
  std::size_t n_ended = 0;
  for (const Sequence* s : open_) {
    CHECK(s->in_step && s->state != State::Waiting);
    if (s->state != State::Ended) continue;
    ++n_ended;
    n_held += s->blocks.size();
  }
  CHECK(sequences_.size() == running_.size() + waiting_.size() + n_ended);
  CHECK(std::cmp_equal(n_held, kv_.n_blocks() - kv_.n_free()));
}

}  // namespace tinderbox
