// Steps asked for item by item.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sched/scheduler.h"

namespace tinderbox {

// Fills the item in place: built first and then copied, it costs three times as much (stalled store
// forwarding), and this is the hottest place of a server's scheduler.
void Scheduler::add_item(Step& step, Sequence& s, std::int32_t n_past, std::int32_t n_new, bool samples) {
  const std::int32_t n_end = n_past + n_new;
  if (s.blocks.empty() && s.n_shared > 0) {
    kv_.adopt(s.request.id, s.node);
    s.blocks = kv_.blocks(s.request.id);
  }
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
  item.blocks = samples && !policy_.slots ? s.blocks : s.blocks.first(static_cast<std::size_t>(kv_.blocks_for(n_end)));
  item.sampling = &s.request.sampling;
  step.n_tokens += n_new;
  s.in_step = true;
  open_.push_back(&s);
}

void Scheduler::schedule(Step& step) {
  CHECK(!policy_.prefix_cache || !by_runs_);
  by_items_ = true;
  plan(plan_);
  step.items.clear();
  step.n_tokens = 0;
  for (Sequence* s : running_) {
    if (plan_.pauses) break;
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

void Scheduler::complete(const Step& step, std::span<const TokenId> sampled,
                         std::vector<TokenEvent>& events) {
  CHECK(!open_.empty() && step.items.size() == open_.size());
  take_cancelled(events);
  if (!plan_.pauses) group_.advance(1);
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

}  // namespace tinderbox
