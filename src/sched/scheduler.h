// Continuous batching with chunked prefill over paged KV: a pure state machine. No clock, thread,
// I/O or executor; the loop in box calls apply, schedule, complete in turn, from one thread.
//
// A step can be asked for item by item (schedule, complete: for real tokens) or, in runs without
// token values, as sums over many alike steps at once (schedule_run, hold_run, complete_run), which
// costs the same whatever the number of sequences and steps. A property test holds the two equal.
//
// Policy (after vLLM v1): sequences that decode first, each with one token, then running ones whose
// prompt is not all in, then waiting ones in order of arrival, until the step's token budget, the
// sequence limit or the KV pool is exhausted. Whoever runs has a token in every step. A sequence is
// admitted once its whole prompt fits the free blocks, which it then holds, so that a prompt never
// evicts itself half-way. When a running sequence
// cannot grow, the youngest running one is preempted: its blocks are freed and it waits, at the
// front, to recompute prompt and answer so far. The oldest can therefore always go on, and every
// accepted request fits the pool alone, so everything finishes.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sched/decode_group.h"
#include "sched/kv_pool.h"
#include "sched/request.h"

namespace tinderbox {

struct Limits {
  std::int32_t step_tokens_max = 2048;  // token budget of a step; >= 1
  std::int32_t sequences_max = 256;     // running at once; >= 1
  std::int32_t queue_max = 1024;        // waiting at once; more are refused
  std::int32_t context_max = 8192;      // prompt + generated of one sequence
};

enum class Admission : std::uint8_t { Accepted, QueueFull, TooLong, NeverFits, Duplicate };

struct SchedulerCounters {
  std::int64_t submitted = 0, accepted = 0, refused = 0, finished = 0, cancelled = 0,
               preemptions = 0;
};

class Scheduler {
 public:
  // Requires every limit >= 1.
  Scheduler(Limits limits, KvPool kv);
  // An independent copy, to ask what would happen next. Requires that no step is open.
  Scheduler(const Scheduler& other);
  Scheduler& operator=(const Scheduler&) = delete;

  // Requires n_prompt >= 1, n_gen_max >= 1 and a prompt of n_prompt ids or none.
  // TooLong: n_prompt + 1 > context_max (n_gen_max is cut to what fits). NeverFits: needs more
  // blocks than exist.
  Admission submit(Request request);
  // Ends the sequence now and frees its KV, or, if it is in the open step, when that completes (the
  // step's spans stay valid). The event is given out by the next complete() or take_cancelled().
  // false: unknown or already finished.
  bool cancel(SeqId seq);
  // The last events of sequences cancelled since they were last given out.
  std::vector<TokenEvent> take_cancelled();

  // What to run next; no items if nothing can run, which is so only when idle. A step with items
  // must be followed by complete() before the next schedule().
  Step schedule();
  void schedule(Step& step);  // the same, reusing the step's memory
  // What came of it: `sampled` has one token for each item that samples, in order. Items whose
  // sequence was cancelled meanwhile are dropped.
  std::vector<TokenEvent> complete(const Step& step, std::span<const TokenId> sampled);
  void complete(const Step& step, std::span<const TokenId> sampled,
                std::vector<TokenEvent>& events);  // appends

  // The steps that come next, as sums. n_steps = 0 only when idle; otherwise hold_run() and
  // complete_run() must follow. Requires sequences without token values.
  void schedule_run(StepRun& run);
  // Takes only the first n_steps of them, and their KV. 1 <= n_steps <= run.n_steps.
  void hold_run(StepRun& run, std::int64_t n_steps);
  // Appends the events of prompts that are in and of sequences that ended, in the order of complete();
  // every decoding sequence has sampled a token in each step, token 0.
  void complete_run(const StepRun& run, std::vector<TokenEvent>& events);

  bool idle() const { return running_.empty() && waiting_.empty(); }
  std::int32_t n_running() const { return static_cast<std::int32_t>(running_.size()); }
  std::int32_t n_waiting() const { return static_cast<std::int32_t>(waiting_.size()); }
  const KvPool& kv() const { return kv_; }
  const SchedulerCounters& counters() const { return counters_; }
  const Limits& limits() const { return limits_; }
  // CHECKs the laws of a serving box: submitted = refused + finished + cancelled + live; blocks
  // conserved, none held twice; nothing computed beyond its blocks; running, then waiting ones are
  // in order of submission.
  void verify() const;

 private:
  using State = Sequence::State;

  std::int64_t n_held(const Sequence& s) const;
  void release(Sequence& s);
  void leave_running(Sequence& s);
  void preempt_youngest(StepRun& run);
  void plan(StepRun& run);
  void add_chunk(StepRun& run, Sequence& s);
  void add_item(Step& step, Sequence& s, std::int32_t n_past, std::int32_t n_new, bool samples);
  TokenEvent accept(Sequence& s, TokenId token);
  void complete_chunk(Sequence& s, const PromptChunk& chunk, TokenId token, std::vector<TokenEvent>& events);
  void take_cancelled(std::vector<TokenEvent>& events);
  void erase(Sequence& s);
  void verify_sequence(const Sequence& s) const;

  Limits limits_;
  KvPool kv_;
  DecodeGroup group_;
  std::unordered_map<SeqId, Sequence> sequences_;  // owns; its nodes do not move
  std::vector<Sequence*> running_;                 // by submission
  std::vector<Sequence*> prompts_;                 // those of them that do not decode yet
  std::deque<Sequence*> waiting_;      // by submission; preempted ones are older than all others
  std::vector<Sequence*> chunks_;      // of the open step's prompts, in order
  std::vector<Sequence*> open_;        // of the open step's items, in order; empty if none is open
  StepRun plan_;                       // the open step, if it is asked for by items
  bool run_open_ = false, held_ = false;
  std::vector<TokenEvent> cancelled_;  // not yet given out
  SchedulerCounters counters_;
};

}  // namespace tinderbox
