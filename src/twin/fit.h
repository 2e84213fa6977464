// Whether a model serves so many streams of so much context on a machine without filling its
// memory, how far that goes, and the flags of the stack that achieve it. A search over plan_memory,
// which holds the physics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "twin/memory_plan.h"

namespace tinderbox {

struct FitReport {
  MemoryPlan plan;  // what was asked
  // As the stack sizes its pool when nobody tells it; only where that differs from `plan`.
  std::optional<MemoryPlan> by_default;
  std::int64_t context_max = 0;      // largest safe context at this concurrency; 0: none
  std::int64_t concurrency_max = 0;  // largest safe concurrency at this context; 0: none
  double share_needed = 0;           // smallest share of the pool rule that holds the KV; 0: no pool
  std::string flags;                 // of the stack, for what was asked; empty unless it fits
};

// Throws Error::Invalid naming the number: context, concurrency or a limit of a step that is not
// within 1 to 2^24 (2^20 sequences), a share not within (0, 1], a context beyond the model's.
FitReport fit(const TwinModel& twin, const Footprint& footprint, const MemoryDemand& demand);

}  // namespace tinderbox
