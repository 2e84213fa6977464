// The running sequences whose prompt is in: each takes one token in every step, so they advance
// together and a step costs the same whatever their number. What a member has computed is kept as of
// the step it joined at. Owned by the scheduler, used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "sched/prefix_cache.h"
#include "sched/request.h"

namespace tinderbox {

// One sequence in the scheduler.
struct Sequence {
  enum class State : std::uint8_t {
    Waiting,
    Prompt,    // running, its prompt (or after a preemption its prompt and answer) not all in
    Decoding,  // running, a member of the group
    Ended      // only until the open step completes
  };

  Request request;                  // its prompt moved to tokens
  std::vector<TokenId> tokens;      // prompt and answer; empty in runs without token values
  std::span<const BlockId> blocks;  // view into the pool: those settled
  std::int64_t order = 0;           // of submission
  // Of a member as of the step `joined`; see DecodeGroup::lag().
  std::int32_t n_total = 0;  // prompt + generated
  std::int32_t n_generated = 0;
  std::int32_t n_computed = 0;  // tokens whose KV is in the pool
  std::int64_t joined = 0;
  std::int64_t n_held = 0;  // KV blocks settled, promised or shared; of a member, when it joined
  std::int64_t n_shared = 0;                       // the first of them, which are the prefix cache's
  PrefixCache::Node node = PrefixCache::kRoot;     // where they end
  std::vector<KeyRun> keys = {};                   // of full blocks, as far as they are known
  std::int32_t slot = -1;                          // of policies with slots, while running
  std::int64_t served_since = 0;                   // step in which it began to decode
  State state = State::Waiting;
  bool in_step = false;
  bool was_admitted = false;
  bool stays = false;  // it has ended and its KV has not been released

  // Lower ones go first.
  std::pair<std::int32_t, std::int64_t> rank() const { return {request.priority, order}; }
};

class DecodeGroup {
 public:
  // grows: members take blocks as they go; else they hold all they need when they join.
  explicit DecodeGroup(std::int32_t block_tokens, bool grows = true);

  // All but the last of its tokens are computed, their blocks held and, if members grow, no more.
  void join(Sequence& s);
  // Brings its counts up to date (not n_held).
  void leave(Sequence& s);
  // Every member computes a token and samples the next, n_steps times. Requires n_steps <= steps_left().
  void advance(std::int64_t n_steps);
  // The oldest member that has generated all it may, if any; it has left.
  Sequence* pop_ended();

  std::int32_t n() const { return n_; }
  std::int64_t step() const { return step_; }
  // Tokens computed, in all.
  std::int64_t n_past() const { return n_past_; }
  // Steps until a member has generated all it may. Requires n() > 0.
  std::int64_t steps_left() const { return ends_.front().step - step_; }
  // KV blocks that members take in the next n_steps steps.
  std::int64_t blocks_needed(std::int64_t n_steps) const;
  // The sum of blocks_needed(1) ... blocks_needed(n_steps).
  std::int64_t blocks_needed_sum(std::int64_t n_steps) const;
  // Steps, at most n_steps_max, for which n_blocks suffice. Requires n_blocks >= 0.
  std::int64_t steps_within(std::int64_t n_blocks, std::int64_t n_steps_max) const;
  // Tokens that s has sampled since it joined; 0 unless it is a member.
  std::int32_t lag(const Sequence& s) const {
    return s.state == Sequence::State::Decoding ? static_cast<std::int32_t>(step_ - s.joined) : 0;
  }
  // The members are elsewhere: moved(s) says where.
  void move_members(const std::function<Sequence*(const Sequence*)>& moved);
  // CHECKs the sums against the members among these.
  void verify(const std::vector<Sequence*>& running) const;

 private:
  struct End {
    std::int64_t step;
    Sequence* sequence;
    // A heap's front is its greatest.
    friend bool operator<(const End& a, const End& b) {
      return a.step != b.step ? a.step > b.step : a.sequence->rank() > b.sequence->rank();
    }
  };
  std::size_t phase_of(const Sequence& s) const;
  void remove(Sequence& s);

  bool grows_;
  std::int64_t step_ = 0;
  std::int32_t n_ = 0;
  std::int64_t n_past_ = 0;
  std::vector<std::int32_t> takers_;  // [p]: members that take a block in steps = p modulo the block's tokens
  std::vector<End> ends_;             // a heap
};

}  // namespace tinderbox
