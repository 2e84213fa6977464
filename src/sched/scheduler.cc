#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

Scheduler::Scheduler(Limits limits, KvPool kv)
    : limits_(limits), kv_(std::move(kv)), group_(kv_.block_tokens()) {
  CHECK(limits.step_tokens_max >= 1 && limits.sequences_max >= 1);
  CHECK(limits.queue_max >= 1 && limits.context_max >= 1);
}

Scheduler::Scheduler(const Scheduler& other)
    : limits_(other.limits_),
      kv_(other.kv_),
      group_(other.group_),
      sequences_(other.sequences_),
      cancelled_(other.cancelled_),
      counters_(other.counters_) {
  CHECK(other.open_.empty() && !other.run_open_);
  for (auto& [id, s] : sequences_) s.blocks = kv_.blocks(id);
  const auto own = [&](const Sequence* s) { return &sequences_.at(s->request.id); };
  for (const Sequence* s : other.running_) running_.push_back(own(s));
  for (const Sequence* s : other.prompts_) prompts_.push_back(own(s));
  for (const Sequence* s : other.waiting_) waiting_.push_back(own(s));
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
  CHECK(!run_open_);
  const auto it = sequences_.find(seq);
  if (it == sequences_.end() || it->second.state == State::Ended) return false;
  Sequence& s = it->second;
  ++counters_.cancelled;
  if (s.state == State::Waiting) {
    waiting_.erase(std::ranges::find(waiting_, &s));
  } else {
    leave_running(s);
  }
  cancelled_.push_back(
      {.seq = seq, .token = -1, .finish = FinishReason::Cancelled, .n_generated = s.n_generated});
  s.state = State::Ended;
  if (!s.in_step) erase(s);
  return true;
}

std::vector<TokenEvent> Scheduler::take_cancelled() { return std::exchange(cancelled_, {}); }

void Scheduler::take_cancelled(std::vector<TokenEvent>& events) {
  events.insert(events.end(), cancelled_.begin(), cancelled_.end());
  cancelled_.clear();
}

// Blocks settled or promised: of a prompt all it needs, of a decoding sequence what it has computed,
// with the open step's.
std::int64_t Scheduler::n_held(const Sequence& s) const {
  if (s.state != State::Decoding) return s.n_held;
  return kv_.blocks_for(s.n_computed + group_.lag(s) + (s.in_step ? 1 : 0));
}

void Scheduler::release(Sequence& s) {
  kv_.forgive(s.n_held - std::ssize(s.blocks));
  if (!s.blocks.empty()) kv_.release(s.request.id);
  s.blocks = {};
  s.n_held = 0;
  s.n_computed = 0;
}

void Scheduler::erase(Sequence& s) {
  release(s);
  sequences_.erase(SeqId(s.request.id));
}

// Its counts are then up to date; what it holds, it keeps.
void Scheduler::leave_running(Sequence& s) {
  const auto erase_from = [&](std::vector<Sequence*>& by_order) {
    const auto it = std::ranges::lower_bound(by_order, s.order, {}, &Sequence::order);
    CHECK(it != by_order.end() && *it == &s);
    by_order.erase(it);
  };
  erase_from(running_);
  if (s.state == State::Prompt) {
    erase_from(prompts_);
    return;
  }
  s.n_held = n_held(s);
  group_.leave(s);
}

void Scheduler::preempt_youngest(StepRun& run) {
  Sequence& s = *running_.back();
  leave_running(s);
  release(s);
  s.state = State::Waiting;
  waiting_.push_front(&s);
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
}

void Scheduler::plan(StepRun& run) {
  CHECK(open_.empty() && !run_open_);
  run.prompts.clear();
  run.preempted.clear();
  chunks_.clear();
  // Prompts hold their blocks since admission, so a shortage is of blocks for one more token each.
  while (!kv_.promise(group_.blocks_needed(1))) preempt_youngest(run);
  run.n_decoding = group_.n();
  run.n_past = group_.n_past();
  for (Sequence* s : prompts_) add_chunk(run, *s);
  // After a preemption this admits nobody: the first in the queue is the victim, who needs more
  // than it freed.
  while (!waiting_.empty() && n_running() < limits_.sequences_max &&
         run.n_tokens() < limits_.step_tokens_max) {
    Sequence& s = *waiting_.front();
    if (!kv_.promise(kv_.blocks_for(s.n_total))) break;
    s.n_held = kv_.blocks_for(s.n_total);
    waiting_.pop_front();
    s.state = State::Prompt;
    running_.push_back(&s);
    prompts_.push_back(&s);
    add_chunk(run, s);
  }
  if (run.prompts.empty() && run.n_decoding == 0) {
    CHECK(idle());
    run.n_steps = 0;
  } else if (!run.prompts.empty()) {
    run.n_steps = 1;
  } else {
    const std::int64_t n_blocks = kv_.n_free() + group_.blocks_needed(1);
    run.n_steps = group_.steps_within(n_blocks, group_.steps_left());
  }
}

// Fills the item in place: built first and then copied, it costs three times as much (stalled store
// forwarding), and this is the hottest place of a server's scheduler.
void Scheduler::add_item(Step& step, Sequence& s, std::int32_t n_past, std::int32_t n_new, bool samples) {
  const std::int32_t n_end = n_past + n_new;
  // A whole prompt is promised before it is all computed, and settled at once.
  if (n_end > std::ssize(s.blocks) * kv_.block_tokens()) {
    kv_.settle(s.request.id, std::max<std::int64_t>(n_end, s.n_held * kv_.block_tokens()));
    s.blocks = kv_.blocks(s.request.id);
  }
  StepItem& item = step.items.emplace_back();
  item.seq = s.request.id;
  item.n_past = n_past;
  item.n_new = n_new;
  item.decodes = s.state == State::Decoding;
  item.samples = samples;
  item.history = s.tokens;
  if (!s.tokens.empty()) {
    item.tokens = item.history.subspan(static_cast<std::size_t>(n_past), static_cast<std::size_t>(n_new));
  }
  item.blocks = samples ? s.blocks : s.blocks.first(static_cast<std::size_t>(kv_.blocks_for(n_end)));
  item.sampling = &s.request.sampling;
  step.n_tokens += n_new;
  s.in_step = true;
  open_.push_back(&s);
}

void Scheduler::schedule(Step& step) {
  plan(plan_);
  step.items.clear();
  step.n_tokens = 0;
  for (Sequence* s : running_) {
    if (s->state == State::Decoding) add_item(step, *s, s->n_computed + group_.lag(*s), 1, true);
  }
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const PromptChunk& chunk = plan_.prompts[i];
    add_item(step, *chunks_[i], chunk.n_past, chunk.n_new, chunk.samples);
  }
}

Step Scheduler::schedule() {
  Step step;
  schedule(step);
  return step;
}

void Scheduler::schedule_run(StepRun& run) {
  plan(run);
  run_open_ = run.n_steps > 0;
  held_ = false;
}

void Scheduler::hold_run(StepRun& run, std::int64_t n_steps) {
  CHECK(run_open_ && !held_ && n_steps >= 1 && n_steps <= run.n_steps);
  run.n_steps = n_steps;
  held_ = true;
  CHECK(kv_.promise(group_.blocks_needed(n_steps) - group_.blocks_needed(1)));
}

void Scheduler::complete_run(const StepRun& run, std::vector<TokenEvent>& events) {
  CHECK(run_open_ && held_);
  run_open_ = false;
  take_cancelled(events);
  group_.advance(run.n_steps);
  while (Sequence* s = group_.pop_ended()) {
    events.push_back({.seq = s->request.id,
                      .token = 0,
                      .finish = FinishReason::Length,
                      .n_generated = s->n_generated});
    s->n_held = kv_.blocks_for(s->n_computed);
    running_.erase(std::ranges::lower_bound(running_, s->order, {}, &Sequence::order));
    ++counters_.finished;
    erase(*s);
  }
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    CHECK(chunks_[i]->tokens.empty());
    complete_chunk(*chunks_[i], run.prompts[i], 0, events);
    if (chunks_[i]->state == State::Ended) erase(*chunks_[i]);
  }
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
    ++counters_.finished;
  }
  return {.seq = s.request.id, .token = token, .finish = finish, .n_generated = n_generated};
}

void Scheduler::complete_chunk(Sequence& s, const PromptChunk& chunk, TokenId token,
                               std::vector<TokenEvent>& events) {
  s.n_computed += chunk.n_new;
  if (!chunk.samples) return;
  ++s.n_generated;
  ++s.n_total;
  events.push_back(accept(s, token));
  if (s.state == State::Ended) return;
  prompts_.erase(std::ranges::lower_bound(prompts_, s.order, {}, &Sequence::order));
  group_.join(s);
}

void Scheduler::complete(const Step& step, std::span<const TokenId> sampled,
                         std::vector<TokenEvent>& events) {
  CHECK(!open_.empty() && step.items.size() == open_.size());
  take_cancelled(events);
  group_.advance(1);
  const std::size_t n_decoding = open_.size() - chunks_.size();
  std::size_t n_taken = 0;
  bool any_ended = false;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const StepItem& item = step.items[i];
    Sequence& s = *open_[i];
    CHECK(item.seq == s.request.id && s.in_step);
    s.in_step = false;
    CHECK(!item.samples || n_taken < sampled.size());
    const TokenId token = item.samples ? sampled[n_taken++] : -1;
    if (s.state == State::Decoding) {
      events.push_back(accept(s, token));
    } else if (s.state == State::Prompt) {
      complete_chunk(s, plan_.prompts[i - n_decoding], token, events);
    }
    any_ended |= s.state == State::Ended;
  }
  CHECK(n_taken == sampled.size());
  if (any_ended) {
    for (Sequence* s : open_) {
      if (s->state == State::Ended) erase(*s);
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
  if (s.state == State::Prompt) CHECK(n_held(s) == kv_.blocks_for(n_total));
}

void Scheduler::verify() const {
  CHECK(!run_open_);
  kv_.verify();
  group_.verify(running_);
  CHECK(counters_.submitted == counters_.accepted + counters_.refused);
  CHECK(counters_.accepted == counters_.finished + counters_.cancelled + n_running() + n_waiting());
  CHECK(n_running() <= limits_.sequences_max && n_running() <= limits_.step_tokens_max);

  std::int64_t n_held_in_all = 0, order = -1, n_settled = 0;
  std::size_t n_prompts = 0;
  const auto see = [&](const Sequence& s) {
    n_held_in_all += n_held(s);
    n_settled += std::ssize(s.blocks);
  };
  const auto in_order = [&](const Sequence& s, bool running) {
    CHECK(s.state != State::Ended && (s.state != State::Waiting) == running && s.order > order);
    order = s.order;
    verify_sequence(s);
    see(s);
    if (s.state == State::Prompt) CHECK(prompts_[n_prompts++] == &s);
  };
  for (const Sequence* s : running_) in_order(*s, true);
  for (const Sequence* s : waiting_) in_order(*s, false);
  CHECK(n_prompts == prompts_.size());
  std::size_t n_ended = 0;
  for (const Sequence* s : open_) {
    CHECK(s->in_step && s->state != State::Waiting);
    if (s->state != State::Ended) continue;
    ++n_ended;
    see(*s);
  }
  CHECK(sequences_.size() == running_.size() + waiting_.size() + n_ended);
  CHECK(n_held_in_all == kv_.n_blocks() - kv_.n_free());
  CHECK(n_held_in_all - n_settled == kv_.n_promised());
}

}  // namespace tinderbox
