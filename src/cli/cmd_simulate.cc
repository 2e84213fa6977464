#include <nlohmann/json.hpp>

#include "box/simulate.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

int cmd_simulate(const Context& context, const SimulateOptionsCli& options) {
  const StepModel step_model(make_twin(context, options.twin));
  const SimulateOptions simulation{.workload = {.requests = options.requests,
                                                .rate = options.rate,
                                                .burstiness = options.burstiness,
                                                .prompt = static_cast<std::int32_t>(options.prompt),
                                                .gen = static_cast<std::int32_t>(options.gen),
                                                .range_ratio = options.range_ratio,
                                                .seed = options.seed},
                                   .users = options.users,
                                   .step_tokens_max = options.step_tokens_max,
                                   .sequences_max = options.sequences_max,
                                   .kv_tokens = options.kv_tokens};
  Progress progress("requests simulated");
  const SimulationResult result =
      simulate(step_model, simulation,
               [&](std::int64_t done, std::int64_t total) { progress.at(done, total); });
  if (options.json) {
    print_json(simulation_json(result));
  } else {
    print(simulation_table(result));
  }
  return 0;
}

}  // namespace tinderbox::cli
