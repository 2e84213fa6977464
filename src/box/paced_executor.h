// Real tokens at the modelled machine's pace: the tokens of one executor, the time of another.
//
// When this computer is slower than the modelled machine, a step ends when its tokens are there,
// `lateness` says how much later that is than the model's end, and the next step is priced from
// this actual end. So each step's lateness is its own, their sum is how far the run fell behind,
// and a late step is not made up for by hurrying the next ones: the pace between tokens is never
// faster than the modelled machine's.
#pragma once

#include <algorithm>

#include "box/executor.h"

namespace tinderbox {

class PacedExecutor final : public Executor {
 public:
  // Both must outlive this.
  PacedExecutor(Executor& tokens, Executor& timing) : tokens_(tokens), timing_(timing) {}
  StepResult run(const Step& step, TimePoint start) override {
    const TimePoint modelled = timing_.run(step, start).end;
    StepResult result = tokens_.run(step, start);
    result.lateness = std::max(Duration::zero(), result.end - modelled);
    result.end = std::max(result.end, modelled);
    return result;
  }

 private:
  Executor& tokens_;
  Executor& timing_;
};

}  // namespace tinderbox
