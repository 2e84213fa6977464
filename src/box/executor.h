// The seam between the loop and whatever runs a step: the engine, the twin, or the engine paced by
// the twin.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "sched/request.h"

namespace tinderbox {

struct StepResult {
  TimePoint end{};               // when the step is over; the loop waits until then
  std::vector<TokenId> sampled;  // one token for each item that samples, in order
  // Of each of these what its request asked to be told; empty if none did.
  std::vector<std::shared_ptr<const TokenDetail>> details = {};
  Duration lateness{};  // how much later than the modelled machine would have ended (PacedExecutor)
};

// When the steps of a run are over. Equal steps in a row take one entry.
struct RunTimes {
  struct Piece {
    Duration step{};
    std::int64_t n = 0;
  };
  std::vector<Piece> pieces;
  std::int64_t n_steps = 0;
  TimePoint end{};
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual StepResult run(const Step& step, TimePoint start) = 0;
  // Steps can also be run many at once, told by their sums; what comes out is the same.
  virtual bool takes_runs() const { return false; }
  // The first steps of `steps`, up to the one that ends at `until` or later. Requires takes_runs().
  virtual void run(const StepRun& /*steps*/, TimePoint /*start*/, TimePoint /*until*/, RunTimes& /*times*/) {}
};

}  // namespace tinderbox
