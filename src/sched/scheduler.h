// Continuous batching with chunked prefill over paged KV: a pure state machine. No clock, thread,
// I/O or executor; the loop in box calls apply, schedule, complete in turn, from one thread.
//
// A step can be asked for item by item (schedule, complete: for real tokens) or, in runs without
// token values, as sums over many alike steps at once (schedule_run, hold_run, complete_run), which
// costs the same whatever the number of sequences and steps. A property test holds the two equal.
//
// Unless the policy says otherwise (sched/policy.h), as in vLLM v1: sequences that decode first, each with one
// token, then running ones whose prompt is not all in, then waiting ones in order (sched/waiting_queue.h),
// until the step's token budget, the sequence limit or the KV pool is exhausted. Whoever runs has a token in every
// step, but where prompts go alone. A sequence is admitted once its whole prompt fits the free blocks, which it
// then holds, so that a prompt never evicts itself half-way; whoever is first and does not fit is waited for.
// With a prefix cache it begins after the full blocks that are there already; the last token of its prompt is
// always computed. When a running sequence cannot grow, the last one of the worst priority is preempted: its
// blocks are freed and it waits to recompute prompt and answer so far; nobody is admitted in that step. The
// best can therefore always go on, and every accepted request fits the pool alone, so everything finishes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sched/decode_group.h"
#include "sched/kv_pool.h"
#include "sched/policy.h"
#include "sched/request.h"
#include "sched/service.h"
#include "sched/waiting_queue.h"

namespace tinderbox {

struct Limits {
  std::int32_t step_tokens_max = 2048;  // token budget of a step; >= 1
  std::int32_t sequences_max = 256;     // running at once; >= 1
  std::int32_t queue_max = 1024;        // waiting at once; more are refused
  std::int32_t context_max = 8192;      // prompt + generated of one sequence
};

// Unavailable: what would run it could not be made ready; said by whoever owns the scheduler.
enum class Admission : std::uint8_t { Accepted, QueueFull, TooLong, NeverFits, Duplicate, Unavailable };

struct SchedulerCounters {
  std::int64_t submitted = 0, accepted = 0, refused = 0, finished = 0, cancelled = 0,
               preemptions = 0;
  std::int64_t expired = 0;  // ended at their deadline
  // Tokens of prompts looked up in the prefix cache, when first admitted, and those found.
  std::int64_t prefix_tokens = 0, prefix_hit_tokens = 0;
};

class Scheduler {
 public:
  // Requires every limit >= 1. secret: what tokens are named with in the prefix cache; nothing that comes out
  // depends on it.
  Scheduler(Limits limits, KvPool kv, Policy policy = {}, SipKey secret = {});
  // An independent copy, to ask what would happen next. Requires that no step is open.
  Scheduler(const Scheduler& other);
  Scheduler& operator=(const Scheduler&) = delete;

  // Requires n_prompt >= 1, n_gen_max >= 1, a prompt of n_prompt ids or none, contents of at most n_prompt tokens.
  // TooLong: n_prompt + 1 > context_max (n_gen_max is cut to what fits). NeverFits: needs more
  // blocks than exist.
  Admission submit(Request request);
  // Sets aside place and KV for a request that will be submitted with n_imported > 0, which then never waits.
  // false: no room now, or others wait for it; nothing changed. Requires that the request fits the pool alone.
  bool reserve(const Request& request);
  // The request that it was set aside for does not come. false: nothing is.
  bool unreserve(SeqId seq);
  // Frees the KV of a sequence that has ended and stayed. false: there is none.
  bool release(SeqId seq);
  // What it knows of beginnings is gone: the memory behind its KV is another's now. Requires idle(), and that nothing
  // is set aside or has stayed.
  void forget();
  // Ends the sequence now and frees its KV, or, if it is in the open step, when that completes (the
  // step's spans stay valid). The event is given out by the next complete() or take_cancelled().
  // false: unknown or already finished.
  bool cancel(SeqId seq);
  // Likewise ends those whose deadline has come.
  void expire(TimePoint now);
  TimePoint next_deadline() const { return deadlines_.empty() ? TimePoint::max() : deadlines_.begin()->first; }
  // The last events of sequences cut short since they were last given out.
  std::vector<TokenEvent> take_cancelled();

  // What to run next; no items if nothing can run: when idle, or when what has stayed or is set aside leaves no
  // room for anybody. A step with items must be followed by complete() before the next schedule().
  Step schedule();
  void schedule(Step& step);  // the same, reusing the step's memory
  // What came of it: `sampled` has one token for each item that samples, in order. Items whose
  // sequence was cancelled meanwhile are dropped.
  std::vector<TokenEvent> complete(const Step& step, std::span<const TokenId> sampled);
  void complete(const Step& step, std::span<const TokenId> sampled,
                std::vector<TokenEvent>& events);  // appends

  // The steps that come next, as sums. n_steps = 0 if nothing can run, as above; otherwise hold_run() and
  // complete_run() must follow. Requires sequences without token values, and with a prefix cache that steps are
  // never asked for by items.
  void schedule_run(StepRun& run);
  // Takes only the first n_steps of them, and their KV. 1 <= n_steps <= run.n_steps.
  void hold_run(StepRun& run, std::int64_t n_steps);
  // Appends the events of prompts that are in and of sequences that ended, in the order of complete();
  // every decoding sequence has sampled a token in each step, token 0.
  void complete_run(const StepRun& run, std::vector<TokenEvent>& events);

  bool idle() const { return running_.empty() && waiting_.empty(); }
  // Who runs or waits, by id. Requires that no step is open.
  std::vector<SeqId> live() const;
  const Policy& policy() const { return policy_; }
  std::int32_t n_running() const { return static_cast<std::int32_t>(running_.size()); }
  std::int32_t n_waiting() const { return static_cast<std::int32_t>(waiting_.size()); }
  std::int32_t n_reserved() const { return static_cast<std::int32_t>(reserved_.size()); }
  const KvPool& kv() const { return kv_; }
  // Blocks in use in each of the first n_steps steps of the run that is held, summed over them.
  // Requires that it is, and n_steps <= run.n_steps.
  std::int64_t kv_blocks_sum(const StepRun& run, std::int64_t n_steps) const;
  const SchedulerCounters& counters() const { return counters_; }
  const Limits& limits() const { return limits_; }
  // All that its future depends on: equal for schedulers that will do the same whatever comes. Requires that no step
  // is open.
  std::vector<std::uint64_t> state() const;
  // CHECKs the laws of a serving box: submitted = refused + finished + cancelled + live; blocks
  // conserved, none held twice; nothing computed beyond its blocks; running, then waiting ones are
  // in order of submission.
  void verify() const;

 private:
  using State = Sequence::State;

  // A place for a sequence and for what the last one left there.
  struct Slot {
    PrefixCache::Node root = PrefixCache::kRoot;
    bool busy = false;
    std::vector<KeyRun> keys;       // of what was left
    std::int64_t last_used = 0;
  };

  bool end(SeqId seq, FinishReason reason);
  std::int64_t n_held(const Sequence& s) const;
  std::int64_t n_needed(const Sequence& s) const;
  void keep(Sequence& s, bool comes_back);
  void share(Sequence& s, std::int64_t n_blocks);
  void release(Sequence& s, bool comes_back);
  void leave_running(Sequence& s);
  void preempt_last(StepRun& run);
  PrefixCache::Match match(const Sequence& s, PrefixCache::Node root) const;
  std::int32_t choose_slot(const Sequence& s) const;
  Sequence& choose_waiting() const;
  bool has_room(const Sequence& s, const PrefixCache::Match& found) const;
  bool has_room(const Sequence& s) const { return has_room(s, match(s, PrefixCache::kRoot)); }
  bool has_place() const;
  bool admit(Sequence& s);
  void begin_imported(Sequence& s);
  void occupy(Sequence& s, std::int32_t slot_idx);
  void start(Sequence& s);
  void plan(StepRun& run);
  void plan_decoding(StepRun& run);
  void admit_waiting(StepRun& run);
  void add_chunk(StepRun& run, Sequence& s);
  void add_item(Step& step, Sequence& s, std::int32_t n_past, std::int32_t n_new, bool samples);
  TokenEvent accept(Sequence& s, TokenId token);
  void finished(Sequence& s);
  void complete_chunk(Sequence& s, const PromptChunk& chunk, TokenId token, std::vector<TokenEvent>& events);
  void take_cancelled(std::vector<TokenEvent>& events);
  void erase(Sequence& s);
  void verify_sequence(const Sequence& s) const;

  Limits limits_;
  KvPool kv_;
  Policy policy_;
  SipKey secret_;
  DecodeGroup group_;
  std::unordered_map<SeqId, Sequence> sequences_;  // owns; its nodes do not move
  std::vector<Sequence*> running_;                 // by rank
  std::vector<Sequence*> prompts_;                 // those of them that do not decode yet
  WaitingQueue waiting_;
  // Who is waited for; nobody after any event but the passing of steps, so that a run of steps chooses as often
  // as its steps one by one.
  Sequence* next_ = nullptr;
  Service service_;                                // if the policy is fair
  std::set<std::pair<TimePoint, SeqId>> deadlines_;
  std::map<SeqId, std::int64_t> reserved_;         // KV blocks set aside for what is to be imported
  std::set<SeqId> stayed_;
  std::vector<Slot> slots_;                        // if the policy has some and a cache
  std::int64_t n_slot_uses_ = 0;
  std::vector<Sequence*> chunks_;      // of the open step's prompts, in order
  std::vector<Sequence*> open_;        // of the open step's items, in order; empty if none is open
  std::vector<Sequence*> ended_;       // used within complete_run()
  StepRun plan_;                       // the open step, if it is asked for by items
  bool run_open_ = false, held_ = false;
  bool by_items_ = false, by_runs_ = false;  // has been asked for
  std::vector<TokenEvent> cancelled_;  // not yet given out
  SchedulerCounters counters_;
};

}  // namespace tinderbox
