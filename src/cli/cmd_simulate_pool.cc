// simulate --model a,b: several models in one memory.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/simulate_pool.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/simulate_outputs.h"

namespace tinderbox::cli {
namespace {

// "a,b" of n models: the i-th; what names one, or none, is for all.
std::string part_of(const std::string& list, std::size_t i, std::size_t n, std::string_view option) {
  const std::vector<std::string> parts = split(list, ',');
  if (parts.size() <= 1) return list;
  if (parts.size() != n) {
    throw_invalid(format("{} '{}' names {} for {} models: give one for each, or one for all", option, list,
                         parts.size(), n));
  }
  return std::string(trim(parts[i]));
}

std::vector<std::shared_ptr<const StepModel>> models_of(const Context& context, const TwinOptions& options,
                                                        std::size_t n) {
  std::vector<std::shared_ptr<const StepModel>> models;
  for (std::size_t i = 0; i < n; ++i) {
    TwinOptions one = options;
    one.model = part_of(options.model, i, n, "--model");
    one.weights = part_of(options.weights, i, n, "--weights");
    one.stack = part_of(options.stack, i, n, "--stack");
    one.kv = part_of(options.kv, i, n, "--kv");
    models.push_back(std::make_shared<const StepModel>(make_twin(context, one)));
    require_one_replica(models.back()->twin());
  }
  return models;
}

PoolOptions pool_of(const SimulateOptionsCli& options, const std::vector<std::shared_ptr<const StepModel>>& models) {
  PoolOptions pool;
  if (!options.mix.empty()) {
    for (const std::string& part : split(options.mix, ',')) {
      const auto share = parse_double(trim(part));
      if (!share) throw_invalid(format("--mix '{}': expected numbers, one for each model, as 2,1", options.mix));
      pool.mix.push_back(*share);
    }
  }
  pool.pinned.assign(models.size(), false);
  for (const std::string& name : options.pins) {
    bool known = false;
    for (std::size_t i = 0; i < models.size(); ++i) {
      if (models[i]->twin().model.id != trim(name)) continue;
      pool.pinned[i] = true;
      known = true;
    }
    if (!known) throw_invalid(format("--pin {}: not one of --model {}", name, options.twin.model));
  }
  if (options.keep_alive) pool.keep_alive = Seconds(*options.keep_alive);
  if (!options.load_rate.empty()) pool.load_rate = parse_bytes_per_second(options.load_rate, "--load-rate");
  return pool;
}

}  // namespace

int cmd_simulate_pool(const Context& context, const SimulateOptionsCli& options) {
  const auto models = models_of(context, options.twin, split(options.twin.model, ',').size());
  const TwinModel& first = models.front()->twin();
  SimulateOptions simulation = simulation_of(*models.front(), options);
  if (!options.disaggregate.empty()) {
    throw_invalid("--disaggregate: several models in one memory do both themselves; leave it out, or name one model");
  }
  if (options.exact != kExactMax) throw_invalid("--exact is of one model; leave it out, or name one");
  std::vector<const TwinModel*> twins;
  for (const auto& model : models) twins.push_back(&model->twin());
  SimulationOutputs outputs(options, twins);
  outputs.attach(simulation);
  Progress progress("requests simulated");
  const PoolSimulation result =
      simulate_pool(models, simulation, pool_of(options, models),
                    [&](std::int64_t done, std::int64_t total) { progress.at(done, total); });
  outputs.close();
  if (options.json) {
    nlohmann::ordered_json document = {{"machine", first.machine.id},
                                       {"nodes", first.parallel.boxes()},
                                       {"parallel", first.parallel.text()},
                                       {"seed", options.seed}};
    document.update(pool_json(result));
    print_json(document);
  } else {
    print(format("{} models on {}, seed {}\n\n", models.size(), boxes_text(first), options.seed));
    print(pool_table(result) + key_table(result.result.fleet.report.keys));
  }
  return 0;
}

}  // namespace tinderbox::cli
