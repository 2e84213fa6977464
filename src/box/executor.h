// The seam between the loop and whatever runs a step: the engine, the twin, or the engine paced by
// the twin.
#pragma once

#include <vector>

#include "base/clock.h"
#include "sched/request.h"

namespace tinderbox {

struct StepResult {
  TimePoint end{};               // when the step is over; the loop waits until then
  std::vector<TokenId> sampled;  // one token for each item that samples, in order
  Duration lateness{};  // how much later than the modelled machine would have ended (PacedExecutor)
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual StepResult run(const Step& step, TimePoint start) = 0;
};

}  // namespace tinderbox
