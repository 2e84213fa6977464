#include "sim_laws.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "sim_answers.h"

namespace tinderbox::sim {

void note_step(Log& log, const Step& step, TimePoint start, TimePoint end) {
  log.step(static_cast<std::uint64_t>(start.time_since_epoch().count()));
  log.step(static_cast<std::uint64_t>(end.time_since_epoch().count()));
  for (const StepItem& item : step.items) {
    log.step(static_cast<std::uint64_t>(item.seq));
    log.step(static_cast<std::uint64_t>(item.n_past) << 32 |
             static_cast<std::uint64_t>(item.n_new));
    for (const BlockId block : item.blocks) log.step(static_cast<std::uint64_t>(block));
  }
}

void Laws::tick(TimePoint now) {
  require(now >= now_, "time never goes back", [&] {
    return format("{} ns after {} ns", now.time_since_epoch().count(),
                  now_.time_since_epoch().count());
  });
  now_ = now;
}

// What KV at a position stands for: all tokens up to there; without ids, the contents, or whose it
// is.
std::uint64_t Laws::name_at(const Live& s, std::int64_t position, TokenId token) const {
  const std::uint64_t before = s.names.empty() ? 1 : s.names.back();
  if (!s.request.prompt.empty()) return mixed(before, static_cast<std::uint64_t>(token) + 1);
  std::int64_t end = 0;
  const bool answers = s.request.answer_continues;
  for (const Content& content : s.request.contents) {
    end += content.n_tokens;
    const bool last = answers && &content == &s.request.contents.back();
    if (position < end || last) return mixed(before, content.id + 1000);
  }
  return mixed(mixed(before, static_cast<std::uint64_t>(position)),
               static_cast<std::uint64_t>(s.request.id) + 5000);
}

std::int64_t Laws::n_waiting() const {
  return std::ranges::count_if(live_, [](const auto& entry) { return !entry.second.runs; });
}

void Laws::on_admission(const Request& request, Admission admission, TimePoint now) {
  tick(now);
  log_.note(
      "asks", now,
      {request.id, static_cast<std::int64_t>(admission), request.n_prompt, request.n_gen_max});
  const std::int64_t n_gen =
      std::min<std::int64_t>(request.n_gen_max, plan_.limits.context_max - request.n_prompt);
  const Admission expected = request.n_prompt >= plan_.limits.context_max ? Admission::TooLong
                             : blocks_for(request.n_prompt + n_gen - 1) > plan_.n_blocks
                                 ? Admission::NeverFits
                             : n_waiting() >= plan_.limits.queue_max ? Admission::QueueFull
                                                                     : Admission::Accepted;
  require(admission == expected, "who is let in", [&] {
    return format("request {}: {} instead of {}", request.id, static_cast<int>(admission),
                  static_cast<int>(expected));
  });
  const auto last = told_.empty() ? 0 : told_.rbegin()->first;
  require(request.id > last, "taken in the order of asking",
          [&] { return format("{} after {}", request.id, last); });
  const std::int64_t order = tally_.submitted++;
  told_[request.id] = {.admission = admission, .n_prompt = request.n_prompt, .events = {}};
  if (admission != Admission::Accepted) {
    ++tally_.refused;
    return;
  }
  turns_.clear();
  lift(request.key);
  Live& s = live_[request.id];
  s.request = request;
  s.rank = {request.priority, order};
  s.n_gen_max = static_cast<std::int32_t>(n_gen);
  for (std::int32_t i = 0; i < request.n_prompt; ++i) {
    const TokenId token = request.prompt.empty() ? 0 : request.prompt[static_cast<std::size_t>(i)];
    s.names.push_back(name_at(s, i, token));
  }
}

// Who comes back has saved up nothing.
void Laws::lift(std::uint64_t key) {
  std::optional<std::int64_t> least;
  for (const auto& [id, s] : live_) {
    if (s.runs) continue;
    if (s.request.key == key) return;
    least = std::min(served_[s.request.key], least.value_or(std::numeric_limits<std::int64_t>::max()));
  }
  if (least) served_[key] = std::max(served_[key], *least);
}

std::size_t Laws::place(const StepItem& item, std::int32_t i) const {
  const BlockId block = item.blocks[static_cast<std::size_t>(i / plan_.block_tokens)];
  return static_cast<std::size_t>(block) * static_cast<std::size_t>(plan_.block_tokens) +
         static_cast<std::size_t>(i % plan_.block_tokens);
}

void Laws::check_item(const StepItem& item, Live& s) {
  const auto where = [&] {
    return format("sequence {}: {} + {} of {}", item.seq, item.n_past, item.n_new, s.n_total());
  };
  if (const auto it = gone_.find(item.seq); it != gone_.end()) {
    require(it->second >= n_takes_, "nobody works for a client that is gone", where);
  }
  const bool cached = plan_.policy.prefix_cache;
  require(s.runs ? item.n_past == s.n_computed
                 : item.n_past % (cached ? plan_.block_tokens : s.n_total()) == 0,
          "goes on where it was", where);
  require(item.n_new >= 1 && item.n_past + item.n_new <= s.n_total(), "computes what is there",
          where);
  require(item.samples == (item.n_past + item.n_new == s.n_total()), "samples at its end", where);
  require(std::ssize(item.blocks) == blocks_for(item.n_past + item.n_new),
          "has the blocks it needs", where);
  const auto n_ids = s.request.prompt.empty() ? 0 : s.n_total();
  require(std::ssize(item.history) == n_ids, "has all ids so far", where);
  s.priced += alone_(item.n_past, item.n_new, item.samples);
  s.n_computed = item.n_past + item.n_new;
}

// KV is read as it was written, whoever shares it, and no place is written for two.
void Laws::check_kv(const Step& step, const Scheduler& scheduler) {
  std::set<std::size_t> written;
  for (const StepItem& item : step.items) {
    const Live& s = live_.at(item.seq);
    for (std::int32_t i = item.n_past; i < item.n_past + item.n_new; ++i) {
      const std::size_t at = place(item, i);
      require(written.insert(at).second, "no block is held twice",
              [&] { return format("place {}", at); });
      kv_.at(at) = s.names.at(static_cast<std::size_t>(i));
    }
  }
  std::set<BlockId> blocks;
  for (const StepItem& item : step.items) {
    const Live& s = live_.at(item.seq);
    blocks.insert(item.blocks.begin(), item.blocks.end());
    for (std::int32_t i = 0; i < item.n_past; ++i) {
      require(kv_.at(place(item, i)) == s.names[static_cast<std::size_t>(i)],
              "KV is read as it was written",
              [&] { return format("sequence {} at {}", item.seq, i); });
    }
  }
  const std::int64_t n_held = scheduler.kv().n_blocks() - scheduler.kv().n_free();
  require(std::ssize(blocks) <= n_held, "held blocks are not free",
          [&] { return format("{} in the step, {} held", blocks.size(), n_held); });
}

// First come, first served, within a priority; where keys are treated fairly, within a key.
void Laws::check_order(const std::set<SeqId>& admitted) const {
  const bool by_match = plan_.policy.longest_match_first && !plan_.policy.fair;
  for (const SeqId id : admitted) {
    const Live& a = live_.at(id);
    for (const auto& [other, b] : live_) {
      if (b.runs) continue;
      const auto who = [&] { return format("{} before {}", id, other); };
      require(a.rank.first <= b.rank.first, "the more urgent go first", who);
      if (by_match || (plan_.policy.fair && a.request.key != b.request.key)) continue;
      require(a.rank < b.rank, "first come, first served", who);
    }
  }
}

// Of the most urgent who wait, the first of the key that was served least.
const Laws::Live* Laws::least_served() const {
  const Live* least = nullptr;
  const auto order = [&](const Live& s) {
    const auto it = served_.find(s.request.key);
    return std::tuple(s.rank.first, it == served_.end() ? 0 : it->second, s.rank.second);
  };
  for (const auto& [id, s] : live_) {
    if (!s.runs && (least == nullptr || order(s) < order(*least))) least = &s;
  }
  return least;
}

// Called before the admitted are marked as running.
void Laws::check_fairness(const Step& step, const std::set<SeqId>& admitted) {
  if (const Live* next = least_served()) turns_.insert(next->request.id);
  for (const StepItem& item : step.items) {
    if (!admitted.contains(item.seq)) continue;
    require(turns_.contains(item.seq), "the key that was served least goes first",
            [&] { return format("sequence {}", item.seq); });
    Live& s = live_.at(item.seq);
    s.runs = true;
    served_[s.request.key] += s.n_total() - item.n_past;
    turns_.clear();
    if (const Live* next = least_served()) turns_.insert(next->request.id);
  }
}

// If who is first (or, where the order is the policy's own, everyone) fits, someone is let in.
void Laws::check_room(const Step& step, bool preempted, const Scheduler& scheduler) const {
  const auto n_running =
      std::ranges::count_if(live_, [](const auto& entry) { return entry.second.runs; });
  const bool decodes_only = std::ranges::all_of(step.items, &StepItem::decodes);
  const bool budget =
      step.n_tokens < plan_.limits.step_tokens_max || (plan_.policy.prompts_alone && decodes_only);
  const bool own_order = plan_.policy.longest_match_first || plan_.policy.fair;
  if (preempted || !budget ||
      n_running >= std::min(plan_.limits.sequences_max, plan_.limits.step_tokens_max))
    return;
  const Live* first = nullptr;
  bool any = false, all_fit = true;
  bool first_fits = false;
  for (const auto& [id, s] : live_) {
    if (s.runs) continue;
    any = true;
    const std::int64_t n = plan_.policy.slots ? s.request.n_prompt + s.n_gen_max - 1 : s.n_total();
    const bool fits = blocks_for(n) <= scheduler.kv().n_free();
    all_fit = all_fit && fits;
    if (first == nullptr || s.rank < first->rank) {
      first = &s;
      first_fits = fits;
    }
  }
  require(!any || !(own_order ? all_fit : first_fits), "whoever has room is let in",
          [&] { return format("{} blocks are free", scheduler.kv().n_free()); });
}

void Laws::check_counts(const Scheduler& scheduler) const {
  const SchedulerCounters& c = scheduler.counters();
  const Tally& t = tally_;
  require(c.submitted == t.submitted && c.refused == t.refused && c.cancelled == t.cancelled &&
              c.expired == t.expired && c.finished == t.finished,
          "its counters are what it did");
  require(t.submitted == t.refused + t.finished + t.cancelled + t.expired + std::ssize(live_),
          "submitted = finished + cancelled + refused + expired + live");
  require(scheduler.n_running() + scheduler.n_waiting() == std::ssize(live_),
          "who is live runs or waits");
}

void Laws::on_step(const Step& step, TimePoint start, const StepResult& result,
                   const Scheduler& scheduler) {
  tick(start);
  tick(result.end);
  require(result.end <= clock_.now(), "no step is over before its time");
  ++tally_.steps;
  note_step(log_, step, start, result.end);
  scheduler.verify();
  check_counts(scheduler);
  require(!step.items.empty(), "a step has something to do");
  std::int32_t n_tokens = 0;
  std::set<SeqId> in_step, admitted;
  bool prompts = false;
  for (const StepItem& item : step.items) {
    const auto it = live_.find(item.seq);
    require(it != live_.end(), "works for the living",
            [&] { return format("sequence {}", item.seq); });
    require(in_step.insert(item.seq).second, "a sequence is in a step once");
    check_item(item, it->second);
    require(start < it->second.request.deadline, "nobody works past a deadline");
    if (!it->second.runs) admitted.insert(item.seq);
    prompts |= !item.decodes;
    n_tokens += item.n_new;
  }
  if (plan_.policy.fair) check_fairness(step, admitted);
  for (const SeqId id : in_step) live_.at(id).runs = true;
  log_.note("step", start, {(result.end - start).count(), std::ssize(step.items), n_tokens});
  std::int64_t n_lost = 0;  // they ran and do not
  Rank kept{-1, 0}, lost{std::numeric_limits<std::int32_t>::max(), 0};
  for (auto& [id, s] : live_) {
    if (s.runs && in_step.contains(id)) kept = std::max(kept, s.rank);
    if (!s.runs || in_step.contains(id)) continue;
    if (plan_.policy.prompts_alone && prompts) continue;
    s.runs = false;
    lost = std::min(lost, s.rank);
    ++n_lost;
  }
  const std::int64_t n_preempted = scheduler.counters().preemptions - n_preemptions_;
  n_preemptions_ = scheduler.counters().preemptions;
  if (n_preempted > 0) {
    // Whoever is waited for is chosen anew, those who were put back among them.
    turns_.clear();
    if (const Live* next = least_served()) turns_.insert(next->request.id);
  }
  require(n_lost == n_preempted, "whoever runs has a token in every step",
          [&] { return format("{} left out, {} preempted", n_lost, n_preempted); });
  require(n_lost == 0 || kept < lost, "the last of the least urgent give way");
  require(n_tokens == step.n_tokens && n_tokens <= plan_.limits.step_tokens_max,
          "a step keeps to its budget");
  require(std::ssize(step.items) <= plan_.limits.sequences_max, "a step keeps to its sequences");
  check_kv(step, scheduler);
  check_order(admitted);
  check_room(step, n_preempted > 0, scheduler);
}

void Laws::on_token(const TokenEvent& event, TimePoint now) {
  tick(now);
  log_.note("token", now,
            {event.seq, event.token, static_cast<std::int64_t>(event.finish), event.n_generated});
  const auto it = live_.find(event.seq);
  require(it != live_.end(), "tokens are for the living",
          [&] { return format("sequence {}", event.seq); });
  Live& s = it->second;
  told_.at(event.seq).events.push_back(event);
  if (!cut_short(event.finish)) {
    require(s.n_computed == s.n_total(), "a token follows from all before it");
    if (plan_.answers == Answers::Formula) {
      const TokenId expected =
          s.request.prompt.empty()
              ? answer_token(event.seq, s.n_total())
              : answer_token(s.request.prompt, s.n_generated, plan_.end_tokens);
      require(event.token == expected, "a token is its sequence's own", [&] {
        return format("sequence {}, token {}: {} instead of {}", event.seq, s.n_generated,
                      event.token, expected);
      });
    }
    s.names.push_back(name_at(s, s.n_total(), event.token));
    if (++s.n_generated == 1) {
      tally_.prompt_tokens += s.request.n_prompt;
      require(now - s.request.arrival >= s.priced, "nothing is faster than its own prefill", [&] {
        return format("sequence {}: {} ns, {} for itself", event.seq,
                      (now - s.request.arrival).count(), s.priced.count());
      });
    }
    ++tally_.tokens;
    served_[s.request.key] += 2;
  }
  require(event.n_generated == s.n_generated && s.n_generated <= s.n_gen_max,
          "answers keep to their length");
  const auto& ends = s.request.end_tokens;
  require(
      (event.finish == FinishReason::Stop) == (std::ranges::find(ends, event.token) != ends.end()),
      "an answer stops at its end token");
  if (event.finish == FinishReason::Length)
    require(s.n_generated == s.n_gen_max, "answers are as long as asked for");
  if (event.finish == FinishReason::None) return;
  turns_.clear();
  tally_.finished += !cut_short(event.finish);
  tally_.stops += event.finish == FinishReason::Stop;
  tally_.lengths += event.finish == FinishReason::Length;
  tally_.cancelled += event.finish == FinishReason::Cancelled;
  tally_.expired += event.finish == FinishReason::Deadline;
  if (event.finish == FinishReason::Deadline)
    require(now >= s.request.deadline, "nobody is given up before his deadline");
  live_.erase(it);
}

void Laws::check_sleep(const Scheduler& scheduler) const {
  require(scheduler.idle() && live_.empty(), "the box sleeps only when nobody waits",
          [&] { return format("{} live", live_.size()); });
  require(scheduler.kv().n_free() == scheduler.kv().n_blocks(), "an idle box holds no blocks", [&] {
    return format("{} of {} free", scheduler.kv().n_free(), scheduler.kv().n_blocks());
  });
}

void Laws::check_end(const Scheduler& scheduler) const {
  check_sleep(scheduler);
  scheduler.verify();
  check_counts(scheduler);
}

}  // namespace tinderbox::sim
