// Continuous batching with chunked prefill over paged KV: a pure state machine. No clock, thread,
// I/O or executor; the loop in box calls apply, schedule, complete in turn, from one thread.
//
// Policy (after vLLM v1): running sequences first, each decoding one token or continuing its
// prompt, then waiting ones in order of arrival, until the step's token budget, the sequence limit
// or the KV pool is exhausted. A sequence is admitted once its whole prompt fits the free blocks,
// which it then holds, so that a prompt never evicts itself half-way. When a running sequence
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
  enum class State : std::uint8_t {
    Waiting,
    Running,
    Ended
  };  // Ended: only until the open step completes

  struct Sequence {
    Request request;                  // its prompt moved to tokens
    std::vector<TokenId> tokens;      // prompt and answer; empty in runs without token values
    std::span<const BlockId> blocks;  // view into kv_; empty while waiting
    std::int64_t order = 0;           // of submission
    std::int32_t n_total = 0;         // prompt + generated
    std::int32_t n_generated = 0;
    std::int32_t n_computed = 0;  // tokens whose KV is in the pool
    State state = State::Waiting;
    bool in_step = false;
  };

  bool reserve(Sequence& s, std::int64_t n_tokens);
  void release(Sequence& s);
  void preempt_youngest();
  void admit(Step& step);
  void add_item(Step& step, Sequence& s);
  TokenEvent accept(Sequence& s, TokenId token);
  void verify_sequence(const Sequence& s) const;

  Limits limits_;
  KvPool kv_;
  std::unordered_map<SeqId, Sequence> sequences_;  // owns; its nodes do not move
  std::vector<Sequence*> running_;                 // by submission
  std::deque<Sequence*> waiting_;      // by submission; preempted ones are older than all others
  std::vector<Sequence*> open_;        // of the open step's items, in order; empty if none is open
  std::vector<TokenEvent> cancelled_;  // not yet given out
  SchedulerCounters counters_;
};

}  // namespace tinderbox
