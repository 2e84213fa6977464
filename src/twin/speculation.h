// Speculative decoding: a drafter guesses K tokens of every sequence, the model reads them with the one it
// is sure of in one step, and keeps those that it would have said itself:
//
//   step    = price of 1 + K new tokens a sequence + draft      (memory-bound: barely more than one token, but more
//             experts are touched, and with many sequences arithmetic binds)
//   draft   = passes * (body_share * body + head_share * head)  body, head: the model's own step without and of its
//             LM head; a sequential drafter passes K times with one token, a parallel one once with K
//   rate    = (1 + accepted) / step
//
// How many are accepted depends on the text more than on the machine: an input, with a fitted default and
// its wide spread. Left out: the drafter's memory, its reading of the prompt, and drafts that are trees.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "machine/machine.h"
#include "model/graph.h"
#include "twin/stack.h"

namespace tinderbox {

class StepModel;
struct StepCost;

// A method of data/speculation, with its choices.
struct Speculation {
  std::string id, name;
  bool sequential = true;   // one pass for each drafted token; else one for all
  std::int64_t n_draft = 0;  // K
  double accepted = 0;       // mean of the drafted tokens that a step keeps: 0 to n_draft
  double body_share = 0;     // of the model's step without LM head, a pass; 0 if n_layers says it
  double n_layers = 0;       // a pass runs so many layers of the model's size
  double head_share = 0;     // of the model's LM head, a pass
  Interval interval{};       // of decode rates; {1, 1}: acceptance was given
  std::vector<Fact> facts{};
  std::vector<Source> sources{};

  double tokens_per_step() const { return 1 + accepted; }
};

// name stands for the path in messages. Throws Error::Invalid naming "file:line: key", as parse_stack.
Speculation parse_speculation(std::string_view toml, std::string_view name);

// The method drafting and accepting so many. With n_draft alone, acceptance falls off with the position as a
// constant chance a token that gives the method's own mean at its own K. Throws Error::Invalid
// unless n_draft is from 1 to 64 and accepted from 0 to it.
Speculation with_choice(Speculation method, std::optional<std::int64_t> n_draft,
                        std::optional<double> accepted);

// One step that reads prompts and lets other sequences speculate: `decoding` has n_new 1. Requires a
// speculating twin and at least one decoding sequence.
StepCost speculative_step(const StepModel& model, std::span<const Segment> reading,
                          std::span<const Segment> decoding, bool explain = false);

// For schedulers that take one token a step: the time of the segments' step, with that of decoding sequences (one new
// token after a context) divided by the tokens that a step gives each. Without speculation the plain price.
Seconds time_of_step(const StepModel& model, std::span<const Segment> segments);

}  // namespace tinderbox
