// A step takes the time that a table of the twin's prices says (twin/step_table.h), by itself or in
// runs of many: for simulations, whose tokens have no values. Owned by the box thread.
#pragma once

#include "box/executor.h"
#include "twin/step_table.h"

namespace tinderbox {

class TableExecutor final : public Executor {
 public:
  // table must outlive this. by_steps: takes no runs, for tests of what runs must equal.
  explicit TableExecutor(StepTable& table, bool by_steps = false);
  StepResult run(const Step& step, TimePoint start) override;
  bool takes_runs() const override { return !by_steps_; }
  void run(const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times) override;

 private:
  StepTable& table_;
  bool by_steps_;
};

}  // namespace tinderbox
