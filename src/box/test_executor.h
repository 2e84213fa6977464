// For tests of what stands around an executor: a step costs a fixed time and more for each token;
// every token is 7.
#pragma once

#include "box/executor.h"

namespace tinderbox {

class FixedCostExecutor final : public Executor {
 public:
  explicit FixedCostExecutor(Duration step = Duration(1000), Duration token = Duration(10))
      : step_(step), token_(token) {}
  StepResult run(const Step& step, TimePoint start) override {
    StepResult result;
    result.end = start + step_ + token_ * step.n_tokens;
    for (const StepItem& item : step.items) {
      if (item.samples) result.sampled.push_back(7);
    }
    return result;
  }

 private:
  Duration step_, token_;
};

}  // namespace tinderbox
