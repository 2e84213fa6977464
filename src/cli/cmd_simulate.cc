#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/simulate.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

int cmd_simulate(const Context& context, const SimulateOptionsCli& options) {
  const StepModel step_model(make_twin(context, options.twin));
  require_one_replica(step_model.twin());
  const SimulateOptions simulation{.workload = {.requests = options.requests,
                                                .rate = options.rate,
                                                .burstiness = options.burstiness,
                                                .prompt = options.prompt,
                                                .gen = options.gen,
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
  const TwinModel& twin = step_model.twin();
  if (options.json) {
    nlohmann::ordered_json document = {{"machine", twin.machine.id},
                                       {"model", twin.model.id},
                                       {"weights", twin.weights.name},
                                       {"stack", twin.stack.id},
                                       {"nodes", twin.parallel.boxes()},
                                       {"parallel", twin.parallel.text()},
                                       {"seed", options.seed}};
    document.update(simulation_json(result));
    print_json(document);
  } else {
    print(format("{} in {} by {} on {}, seed {}\n\n", twin.model.id, twin.weights.name,
                 twin.stack.name, boxes_text(twin), options.seed));
    print(simulation_table(result));
  }
  return 0;
}

}  // namespace tinderbox::cli
