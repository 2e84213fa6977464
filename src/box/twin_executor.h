// A step takes the time that the twin prices for it; its tokens are placeholders. Owned by the box
// thread.
#pragma once

#include <vector>

#include "box/executor.h"
#include "twin/step_model.h"

namespace tinderbox {

// Ids for sequences that have token values: drawn from [0, n_ids) by (the request's seed,
// position), so that an answer does not depend on its batch. Sequences without token values sample
// id 0.
struct Placeholders {
  std::int32_t n_ids = 1;
};

class TwinExecutor final : public Executor {
 public:
  // model must outlive this.
  explicit TwinExecutor(const StepModel& model, Placeholders placeholders = {});
  StepResult run(const Step& step, TimePoint start) override;

 private:
  const StepModel& model_;
  Placeholders placeholders_;
  std::vector<Segment> segments_;
};

// start + duration, saturating at the end of time.
TimePoint after(TimePoint start, Duration duration);

}  // namespace tinderbox
