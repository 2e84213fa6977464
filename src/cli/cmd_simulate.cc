#include <limits>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/load_margin.h"
#include "box/trace.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/simulate_outputs.h"

namespace tinderbox::cli {
namespace {

// A number is a length for --range-ratio to vary; everything else says itself how it varies.
void set_lengths(const std::string& text, std::string_view option, std::int64_t& mean,
                 std::optional<Lengths>& lengths) {
  const Lengths parsed = parse_lengths(text, option);
  if (parsed.kind == Lengths::Kind::Uniform && parsed.low == parsed.high) {
    mean = parsed.low;
  } else {
    lengths = parsed;
  }
}

WorkloadOptions workload_of(const SimulateOptionsCli& o, std::shared_ptr<const Trace> given) {
  WorkloadOptions workload{.requests = o.requests,
                           .rate = o.rate,
                           .burstiness = o.burstiness,
                           .range_ratio = o.range_ratio,
                           .seed = o.seed,
                           .diurnal = o.diurnal,
                           .day = o.day,
                           .turns = o.turns,
                           .think = o.think,
                           .shared_prefix = o.shared_prefix,
                           .keys = o.keys,
                           .priorities = o.priorities,
                           .timeout = o.timeout.value_or(std::numeric_limits<double>::infinity())};
  set_lengths(o.prompt, "--prompt", workload.prompt, workload.prompts);
  set_lengths(o.gen, "--gen", workload.gen, workload.gens);
  workload.trace = std::move(given);
  if (o.trace.empty() || workload.trace) return workload;
  workload.trace = read_trace(o.trace, {.strict = o.strict, .speed = o.speed});
  return workload;
}

// Faults at a rate are drawn for so long; a run may last longer.
constexpr double kFaultSeconds = 30 * 86'400.0;

}  // namespace

std::shared_ptr<const Trace> read_trace(const std::string& path, const TraceOptions& options) {
  Trace trace = load_trace(path, options);
  for (const std::string& note : trace.notes) log("tinderbox: " + note);
  if (trace.n_skipped > 0) log(format("tinderbox: {}: {} of {} rows skipped", path, trace.n_skipped, trace.n_rows));
  return std::make_shared<const Trace>(std::move(trace));
}

SimulateOptions simulation_of(const StepModel& model, const SimulateOptionsCli& options,
                              std::shared_ptr<const Trace> trace) {
  SimulateOptions simulation{.workload = workload_of(options, std::move(trace)),
                             .users = options.users,
                             .in_flight_max = options.in_flight_max,
                             .step_tokens_max = options.step_tokens_max,
                             .sequences_max = options.sequences_max,
                             .kv_tokens = options.kv_tokens,
                             .policy = options.policy,
                             .fair = options.fair,
                             .slo = {.ttft = options.slo_ttft, .tpot = options.slo_tpot, .e2e = options.slo_e2e}};
  if (options.prefix_cache) simulation.prefix_cache = *options.prefix_cache == "on";
  simulation.body =
      body_options_of(options.body, model.twin().machine, to_duration(Seconds(kFaultSeconds)), options.seed);
  simulation.boxes = options.boxes;
  simulation.routing = parse_router(options.router, "--router");
  if (options.faulty_boxes) simulation.faulty_boxes = *options.faulty_boxes;
  simulation.n_threads = options.threads;
  simulation.exact_max = options.exact;
  return simulation;
}

nlohmann::ordered_json simulation_document(const TwinModel& twin, const SimulateOptionsCli& options,
                                           const SimulationResult& result) {
  nlohmann::ordered_json document = {{"machine", twin.machine.id},
                                     {"model", twin.model.id},
                                     {"weights", twin.weights.name},
                                     {"stack", twin.stack.id},
                                     {"nodes", twin.parallel.boxes()},
                                     {"parallel", twin.parallel.text()},
                                     {"seed", options.seed}};
  document.update(simulation_json(result));
  return document;
}

int cmd_simulate(const Context& context, const SimulateOptionsCli& options) {
  if (options.twin.model.find(',') != std::string::npos) return cmd_simulate_pool(context, options);
  if (!options.mix.empty() || !options.pins.empty() || options.keep_alive || !options.load_rate.empty()) {
    throw_invalid("--mix, --pin, --keep-alive and --load-rate are of several models in one memory: name them as "
                  "--model a,b");
  }
  const StepModel step_model(make_twin(context, options.twin));
  require_one_replica(step_model.twin());
  SimulateOptions simulation = simulation_of(step_model, options);
  std::optional<StepModel> decode_model;
  simulation.disaggregation = disaggregation_of(context, options, decode_model);
  SimulationOutputs outputs(options, {&step_model.twin()});
  outputs.attach(simulation);
  Progress progress("requests simulated");
  const SimulationResult result =
      simulate(step_model, simulation,
               [&](std::int64_t done, std::int64_t total) { progress.at(done, total); });
  outputs.close();
  const LoadMargin margin = load_margin(step_model, simulation, result);
  const TwinModel& twin = step_model.twin();
  if (options.json) {
    nlohmann::ordered_json document = simulation_document(twin, options, result);
    document["load_margin"] = load_margin_json(margin);
    print_json(document);
  } else {
    print(format("{} in {} by {} on {}, seed {}\n\n", twin.model.id, twin.weights.name,
                 twin.stack.name, boxes_text(twin), options.seed));
    print(simulation_table(result) + load_margin_text(margin) + key_table(result.report.keys));
  }
  return 0;
}

}  // namespace tinderbox::cli
