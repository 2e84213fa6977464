// What the scheduler is told and what it tells: plain values.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/sampling.h"

namespace tinderbox {

using SeqId = std::int64_t;
using BlockId = std::int32_t;

// So many tokens that are the same wherever this id stands at the same place after the same tokens: what a
// prompt shares with others, in runs without token values.
struct Content {
  std::uint64_t id = 0;
  std::int32_t n_tokens = 0;
  friend bool operator==(const Content&, const Content&) = default;
};

// One sequence to run. prompt is empty in runs without token values (simulation): then only
// n_prompt counts.
struct Request {
  SeqId id = 0;
  TimePoint arrival{};
  std::vector<TokenId> prompt;
  std::int32_t n_prompt = 0;   // = prompt.size() if there is one; >= 1
  std::int32_t n_gen_max = 0;  // >= 1
  std::vector<TokenId>
      end_tokens;  // sampling one of these finishes the sequence; empty: only n_gen_max does
  SamplingParams sampling;
  std::vector<Content> contents = {};  // of the prompt's first tokens; what is not named is like no other
  bool answer_continues = false;       // the contents name the whole prompt, and their last one goes on in the answer
  std::int32_t priority = 0;           // lower ones go first
  std::uint64_t key = 0;               // whose request it is, for fairness
  TimePoint deadline = TimePoint::max();  // ended then if it is not over
  // Of the prompt's first tokens, fewer than n_prompt: their KV comes from another box, into what
  // Scheduler::reserve() has set aside. After a preemption they are computed here.
  std::int32_t n_imported = 0;
  bool stays = false;  // unless it was cut short, its KV stays until it is released
  std::int32_t n_answers = 1;  // that its prompt was asked for; 0: another request for the same counts them
  std::int32_t model = 0;      // whom it asks, of several that a box holds
};

struct Cancel {
  SeqId id = 0;
};

// Of one that stays: its KV may go.
struct Release {
  SeqId id = 0;
};

using Command = std::variant<Request, Cancel, Release>;

// One sequence's share of a step. The spans stay valid until the step's complete().
struct StepItem {
  SeqId seq = 0;
  std::int32_t n_past = 0, n_new = 0;
  bool decodes = false;  // its prompt was in before this step
  bool samples =
      false;  // true once the whole prompt is in: the step yields this sequence's next token
  std::span<const TokenId>
      tokens;  // n_new ids at positions n_past...; empty in runs without token values
  std::span<const TokenId> history;  // all ids so far, prompt first (for the repetition penalty)
  std::span<const BlockId> blocks;   // KV blocks of positions 0 ... n_past + n_new - 1
  const SamplingParams* sampling = nullptr;
};

struct Step {
  std::vector<StepItem> items;
  std::int32_t n_tokens = 0;  // sum of n_new
};

// What a step does with a prompt, or with prompt and answer after a preemption.
struct PromptChunk {
  SeqId seq = 0;
  std::int32_t n_past = 0, n_new = 0;
  bool samples = false;
};

// Steps told by their sums, for runs without token values: n_steps alike ones, of which each decodes
// one token for n_decoding sequences; the first also works on prompts, and is then the only one.
struct StepRun {
  std::vector<PromptChunk> prompts;
  std::int32_t n_decoding = 0;
  std::int64_t n_past = 0;  // sum over the decoding sequences in the first step; n_decoding more in each further one
  std::int64_t n_steps = 0;  // as many as can follow one another if nothing arrives; 0: nothing to run
  bool pauses = false;       // sequences that decode wait for the prompts; n_decoding is then 0
  std::vector<SeqId> preempted;  // before the first step

  std::int64_t n_tokens() const {  // of a step
    std::int64_t n = n_decoding;
    for (const PromptChunk& chunk : prompts) n += chunk.n_new;
    return n;
  }
};

enum class FinishReason : std::uint8_t { None, Stop, Length, Cancelled, Deadline };

// From outside: the last event has no token.
inline bool cut_short(FinishReason reason) {
  return reason == FinishReason::Cancelled || reason == FinishReason::Deadline;
}

// One sampled token as it leaves the scheduler; finish != None on a sequence's last event. The last event of a
// sequence that was cut short has token -1. n_generated counts this token too.
struct TokenEvent {
  SeqId seq = 0;
  TokenId token = -1;
  FinishReason finish = FinishReason::None;
  std::int32_t n_generated = 0;
};

}  // namespace tinderbox
