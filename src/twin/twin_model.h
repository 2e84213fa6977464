// What the twin is a twin of: one model in its formats, served by one stack on one machine or on
// several alike, with or without speculation. A value.
#pragma once

#include <optional>
#include <string>

#include "machine/machine.h"
#include "model/config.h"
#include "model/weight_format.h"
#include "twin/parallel.h"
#include "twin/speculation.h"
#include "twin/stack.h"

namespace tinderbox {

struct TwinModel {
  Machine machine;
  Stack stack;
  ModelConfig model;
  WeightFormat weights;
  DType kv = DType::F16;
  int micro_tokens = 0;  // of a step computed at a time; 0: the stack's
  Parallel parallel{};
  std::string link{};  // between the boxes; empty: the machine's usual one
  std::optional<Speculation> speculation{};  // how decoding sequences go on

  // 0: a step is computed at once.
  int micro_tokens_max() const { return micro_tokens > 0 ? micro_tokens : stack.micro_tokens_max; }
  // A step of decode of so many tokens is replayed from a captured graph.
  bool replays_graph(double n_tokens) const {
    const GraphLimits& limits = stack.graph_limits;
    return stack.graphs && n_tokens <= (model.n_experts > 0 ? limits.expert_tokens : limits.tokens);
  }
  // Tokens whose activations are held together.
  int computed_tokens_max() const { return micro_tokens_max() > 0 ? micro_tokens_max() : stack.step_tokens_max; }
};

}  // namespace tinderbox
