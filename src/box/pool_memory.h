// How several models share a machine's memory: what each needs for itself, and what KV each gets of the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "twin/step_model.h"

namespace tinderbox {

struct MemoryNeed {
  Bytes fixed;  // beside its KV: weights, activations, the stack's own; not the host's
  Bytes kv_per_token;
  std::int64_t longest = 0, sequences = 0;  // tokens of a longest request; so many at once
  Bytes kv_of(std::int64_t tokens) const { return kv_per_token * static_cast<double>(tokens); }
  std::int64_t bytes_with(std::int64_t kv_tokens) const;
};

// longest is cut to the model's context. Requires sequences >= 1.
MemoryNeed memory_need(const StepModel& model, std::int64_t longest, std::int64_t sequences);

// What is safe for models on their machine, which is the same for all, beside the host and its processes.
Bytes memory_room(const std::vector<std::shared_ptr<const StepModel>>& models);

// Tokens of KV that each gets of `room`: if all fit at once with a longest request each, what its limits can need, at
// most an even share of what the rest leaves; otherwise what it would have alone, so that they take turns.
std::vector<std::int64_t> share_kv(const std::vector<MemoryNeed>& needs, Bytes room);

}  // namespace tinderbox
