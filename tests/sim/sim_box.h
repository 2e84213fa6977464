// A whole server in one thread and virtual time: clients, API, mailbox, loop, scheduler, executor,
// put together as `tinderbox serve` does (src/cli/cmd_serve.cc), from one plan.
#pragma once

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "http/text_codec.h"
#include "sim_laws.h"
#include "sim_plan.h"
#include "sim_sabotage.h"
#include "twin/step_model.h"

namespace tinderbox::sim {

// What takes long to make, once for all runs.
class Workshop {
 public:
  Workshop();
  const StepModel& model(bool body) const { return body ? warm_ : plain_; }
  Engine& engine() { return engine_; }
  const TextCodec& engine_codec() const { return *codec_; }

 private:
  StepModel plain_, warm_;
  std::shared_ptr<const Gguf> file_;
  Engine engine_;
  std::unique_ptr<const TextCodec> codec_;
};

// What came to the box, and when it took it in.
using Trace = std::vector<std::pair<TimePoint, Command>>;

struct Outcomes {
  SchedulerCounters counters;
  std::int64_t n_answers = 0, n_vanished = 0, n_steps = 0;
  double seconds = 0;  // of the box's time
  Trace trace;
};

// Throws Broken. at_once: clients read at once, whatever the plan says.
Outcomes run_box(Workshop& workshop, const Plan& plan, Bug bug, bool at_once, Log& log);
// The same arrivals from a list, in virtual time: by Loop::run, or step by step as several boxes
// are run.
void replay(Workshop& workshop, const Plan& plan, const Trace& trace, bool step_by_step, Log& log);

}  // namespace tinderbox::sim
