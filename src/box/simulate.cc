#include "box/simulate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "box/fleet.h"
#include "box/outages.h"
#include "box/capped_arrivals.h"
#include "box/serving_policy.h"
#include "box/table_executor.h"
#include "twin/memory_plan.h"

namespace tinderbox {
namespace {

constexpr std::int64_t kUsersMax = 1 << 20, kSequencesMax = 1 << 20, kStepTokensMax = 1 << 24;

std::int32_t in_range(std::string_view name, std::int64_t value, std::int64_t max) {
  if (value < 1 || value > max) {
    throw_invalid(format("simulate: {} is {}, but must be 1 to {}", name, value, max));
  }
  return static_cast<std::int32_t>(value);
}

class ProgressMeter final : public Observer {
 public:
  ProgressMeter(const Progress& progress, std::int64_t n_requests)
      : progress_(progress),
        n_requests_(n_requests),
        every_(std::max<std::int64_t>(1, n_requests / 100)) {}
  void on_token(const TokenEvent& event, TimePoint) override {
    if (event.finish == FinishReason::None) return;
    if (++n_over_ % every_ == 0 && progress_) progress_(n_over_, n_requests_);
  }

 private:
  const Progress& progress_;
  std::int64_t n_requests_, every_, n_over_ = 0;
};

// Requests of a trace and turns of a conversation come as they are, and are refused one by one if they are
// too long; sizes that were asked for are refused at once.
bool as_they_come(const WorkloadOptions& workload) { return workload.trace || workload.turns > 1; }

Limits limits_of(const StepModel& model, const SimulateOptions& options) {
  const Stack& stack = model.twin().stack;
  Limits limits;
  limits.step_tokens_max = in_range(
      "step_tokens_max", options.step_tokens_max.value_or(stack.step_tokens_max), kStepTokensMax);
  limits.sequences_max =
      in_range("sequences_max", options.sequences_max.value_or(stack.sequences_max), kSequencesMax);
  limits.queue_max = static_cast<std::int32_t>(n_requests(options.workload));
  limits.context_max = model.twin().model.n_ctx;
  const std::int64_t longest = longest_request(options.workload);
  if (longest > limits.context_max && !as_they_come(options.workload)) {
    throw Error(Error::Code::TooLarge, format("simulate: prompt and generation of up to {} tokens "
                                              "exceed the context of {} ({} tokens); "
                                              "choose shorter ones",
                                              longest, model.twin().model.id, limits.context_max));
  }
  return limits;
}

KvPool pool_of(const StepModel& model, const SimulateOptions& options, const Limits& limits) {
  const TwinModel& twin = model.twin();
  const std::int32_t block_tokens = std::max(1, twin.stack.block_tokens);
  const std::int64_t longest =
      std::min<std::int64_t>(limits.context_max, longest_request(options.workload));
  const std::int64_t concurrency =
      std::min<std::int64_t>(limits.sequences_max, n_requests(options.workload));
  const MemoryPlan plan = plan_memory(twin, model.footprint(), longest, concurrency);
  const std::int64_t n_tokens = options.kv_tokens.value_or(plan.kv_tokens_max);
  const std::int64_t n_blocks = n_tokens / block_tokens;
  // The last token of an answer is never fed back.
  const std::int64_t needed =
      as_they_come(options.workload) ? 1 : (longest - 1 + block_tokens - 1) / block_tokens;
  if (n_blocks < needed) {
    throw Error(
        Error::Code::TooLarge,
        format("simulate: the KV cache holds {} tokens, too few for a request of {}: of {} safe "
               "memory on {}, "
               "weights take {}, activations {}, the stack {}; choose smaller weights, a smaller "
               "KV format or "
               "shorter requests",
               std::max<std::int64_t>(n_tokens, 0), longest, human(plan.safe), twin.machine.id,
               human(plan.weights), human(plan.activations), human(plan.runtime)));
  }
  constexpr std::int64_t kBlocksMax = std::numeric_limits<std::int32_t>::max();
  return KvPool(static_cast<std::int32_t>(std::min(n_blocks, kBlocksMax)), block_tokens);
}

Policy policy_of(const TwinModel& twin, const SimulateOptions& options) {
  Policy policy = serving_policy(twin);
  if (options.policy) {
    policy = policy_named(*options.policy, "--policy");
    policy.prefix_cache = policy.prefix_cache && !has_recurrent_state(twin.model);
  }
  policy.prefix_cache = options.prefix_cache.value_or(policy.prefix_cache);
  policy.fair = options.fair;
  return policy;
}

constexpr std::int64_t kFleetMax = 100'000;

}  // namespace

Scheduler scheduler_of(const StepModel& model, const SimulateOptions& options) {
  const Limits limits = limits_of(model, options);
  return {limits, pool_of(model, options, limits), policy_of(model.twin(), options)};
}

UserSide user_side(const StepModel& model, const Scheduler& scheduler) {
  return {.context_max = scheduler.limits().context_max,
          .request_time = to_duration(Seconds(model.twin().stack.price.request_time))};
}

Traffic traffic_of(const SimulateOptions& options, const std::vector<UserSide>& models) {
  const WorkloadOptions& workload = options.workload;
  const bool reacts = options.users > 0 || workload.turns > 1 || workload.shared_prefix > 0;
  if (options.in_flight_max && (*options.in_flight_max < 1 || reacts)) {
    throw_invalid("--in-flight: at least 1, of requests that depend on no answers; without --users, --turns and "
                  "--shared-prefix");
  }
  if (reacts) {
    const std::int32_t users = options.users == 0 ? 0 : in_range("users", options.users, kUsersMax);
    auto source = std::make_unique<ConversationArrivals>(workload, users, models);
    Observer* listener = source.get();
    return {.source = std::move(source), .listener = listener};
  }
  auto generated = std::make_unique<GeneratedArrivals>(workload);
  if (!options.in_flight_max) return {.source = std::move(generated)};
  auto capped = std::make_unique<CappedArrivals>(*generated, *options.in_flight_max, models);
  Observer* listener = capped.get();
  return {.source = std::move(capped), .listener = listener, .within = std::move(generated)};
}

BodyReport all_of(const std::vector<BodyReport>& bodies) {
  BodyReport all = bodies.front();
  for (std::size_t i = 1; i < bodies.size(); ++i) {
    const BodyReport& b = bodies[i];
    all.joules += b.joules;
    all.wall_joules += b.wall_joules;
    all.gpu_max = std::max(all.gpu_max, b.gpu_max);
    all.gpu_end = std::max(all.gpu_end, b.gpu_end);
    all.zone_max = std::max(all.zone_max, b.zone_max);
    all.fan_max = std::max(all.fan_max, b.fan_max);
    all.slowest = std::min(all.slowest, b.slowest);
    all.mean_speed += (b.mean_speed - all.mean_speed) / static_cast<double>(i + 1);
    for (std::size_t k = 0; k < all.limited.size(); ++k) all.limited[k] += b.limited[k];
    all.down += b.down;
    if (b.down_from) all.down_from = std::min(*b.down_from, all.down_from.value_or(*b.down_from));
  }
  return all;
}

namespace {

// Of requests of mean length.
std::int64_t knee(const StepModel& model, const WorkloadOptions& workload, const Limits& limits) {
  double prompt = mean_length(prompt_lengths(workload)), gen = mean_length(gen_lengths(workload));
  if (workload.trace && !workload.trace->requests.empty()) {
    const std::vector<Request>& all = workload.trace->requests;
    const auto mean_of = [&](std::int32_t Request::* what) {
      return std::accumulate(all.begin(), all.end(), 0.0, [&](double sum, const Request& r) { return sum + r.*what; }) /
             static_cast<double>(all.size());
    };
    prompt = mean_of(&Request::n_prompt);
    gen = mean_of(&Request::n_gen_max);
  }
  const auto whole = [](double n) { return std::max<std::int64_t>(1, std::llround(n)); };
  return knee_of(model, whole(prompt), whole(gen), limits.sequences_max);
}

}  // namespace

FleetOptions fleet_of(const StepModel& model, const SimulateOptions& options, const Limits& limits) {
  if (options.routing == RouterPolicy::PowerAware && !options.body) {
    throw_invalid("--router power-aware looks at the power and heat of the boxes: ask for them with --body, or choose "
                  "least-loaded");
  }
  return {.n_boxes = static_cast<std::size_t>(in_range("boxes", options.boxes, kFleetMax)),
          .routing = options.routing,
          .seed = options.workload.seed,
          .n_threads = options.n_threads,
          .body = options.body,
          .n_faulty = static_cast<std::size_t>(std::max<std::int64_t>(0, options.faulty_boxes)),
          .knee = options.routing == RouterPolicy::PowerAware ? knee(model, options.workload, limits) : 1,
          .request_time = to_duration(Seconds(model.twin().stack.price.request_time)),
          .slo = options.slo,
          .exact_max = n_requests(options.workload) > kExactMax ? kExactMax / 10 : kExactMax,
          .on_finished = options.on_finished,
          .watch = options.watch,
          .n_keys = options.workload.keys,
          .by_steps = options.by_steps};
}

std::function<void(std::int64_t)> told_of(const Progress& progress, std::int64_t n_requests) {
  if (!progress) return {};
  const std::int64_t every = std::max<std::int64_t>(1, n_requests / 100);
  return [&progress, n_requests, every](std::int64_t n) {
    if (n % every == 0) progress(n, n_requests);
  };
}

namespace {

SimulationResult result_of(FleetResult of, const Scheduler& scheduler, const WorkloadOptions& workload) {
  SimulationResult result{.report = of.report,
                          .limits = scheduler.limits(),
                          .kv_block_tokens = scheduler.kv().block_tokens(),
                          .policy = scheduler.policy(),
                          .boxes = std::move(of.boxes)};
  if (!of.bodies.empty()) {
    result.body = all_of(of.bodies);
    result.unanswered = n_requests(workload) - result.report.submitted;
  }
  return result;
}

SimulationResult simulate_roles(const StepModel& model, const Scheduler& scheduler, const SimulateOptions& options,
                                const Progress& progress) {
  const WorkloadOptions& workload = options.workload;
  const Disaggregation& roles = *options.disaggregation;
  const StepModel& decode_model = roles.decode != nullptr ? *roles.decode : model;
  const Scheduler decode = scheduler_of(decode_model, options);
  const auto n_boxes = [](std::string_view name, std::int64_t n) {
    return static_cast<std::size_t>(in_range(name, n, kFleetMax));
  };
  const FleetRole reading{model, scheduler, n_boxes("boxes that read", roles.n_prefill)};
  const FleetRole generating{decode_model, decode, n_boxes("boxes that generate", roles.n_decode)};
  KvPath path = kv_path(model.twin(), roles.bandwidth);
  path.layerwise = roles.layerwise;
  const FleetOptions fleet = fleet_of(model, options, scheduler.limits());
  const Traffic traffic =
      traffic_of(options, {{.context_max = std::min(scheduler.limits().context_max, decode.limits().context_max),
                            .request_time = fleet.request_time}});
  DisaggregateResult of = run_disaggregated(reading, generating, path, fleet, *traffic.source, traffic.listener,
                                            told_of(progress, n_requests(workload)));
  SimulationResult result = result_of(std::move(of.fleet), scheduler, workload);
  result.transfers = of.transfers;
  return result;
}

SimulationResult simulate_fleet(const StepModel& model, const Scheduler& scheduler, const SimulateOptions& options,
                                const Progress& progress) {
  const WorkloadOptions& workload = options.workload;
  const FleetOptions fleet = fleet_of(model, options, scheduler.limits());
  const auto come = told_of(progress, n_requests(workload));
  const auto make = [&] { return traffic_of(options, {user_side(model, scheduler)}); };
  return result_of(run_fleet(model, scheduler, fleet, make, come), scheduler, workload);
}

}  // namespace

SimulationResult simulate(const StepModel& model, const SimulateOptions& options,
                          const Progress& progress) {
  const WorkloadOptions& workload = options.workload;
  verify(workload);
  Scheduler scheduler = scheduler_of(model, options);
  const Limits& limits = scheduler.limits();
  if (options.disaggregation && (options.watch || options.in_flight_max || workload.keys > 1)) {
    throw_invalid("--disaggregate: --perfetto, --svg, --in-flight and --keys are of boxes that do both; "
                  "leave them out");
  }
  if (options.exact_max != kExactMax && (options.disaggregation || options.boxes != 1)) {
    throw_invalid("--exact is of one box; leave it out, or --boxes and --disaggregate");
  }
  if (options.disaggregation) return simulate_roles(model, scheduler, options, progress);
  if (options.boxes != 1) return simulate_fleet(model, scheduler, options, progress);
  StepTable table(model);
  TableExecutor executor(table, options.by_steps);
  std::optional<BodyExecutor> body;
  const auto watches = options.watch ? options.watch(0, 0) : std::vector<BoxWatch*>{};
  if (options.body) {
    BodyOptions with = *options.body;
    with.on_window = tell_body(std::move(with.on_window), watches);
    body.emplace(executor, model, std::move(with));
  }
  VirtualClock clock;
  const Duration request_time = to_duration(Seconds(model.twin().stack.price.request_time));
  Recorder recorder(request_time, options.slo, options.on_finished, workload.keys, options.exact_max);
  ProgressMeter meter(progress, n_requests(workload));
  const Traffic traffic = traffic_of(options, {user_side(model, scheduler)});
  std::vector<Observer*> observers = {&recorder, &meter};
  if (traffic.listener != nullptr) observers.push_back(traffic.listener);
  observers.insert(observers.end(), watches.begin(), watches.end());
  if (body) {
    Outages outages(*traffic.source, *body, scheduler);
    observers.push_back(&outages);
    ObserverList list(std::move(observers));
    run_loop(scheduler, *body, outages, clock, list);
  } else {
    ObserverList list(std::move(observers));
    run_loop(scheduler, executor, *traffic.source, clock, list);
  }
  SimulationResult result{.report = recorder.report(),
                          .limits = limits,
                          .kv_block_tokens = scheduler.kv().block_tokens(),
                          .policy = scheduler.policy()};
  if (body) {
    result.body = body->report(clock.now());
    result.unanswered = n_requests(workload) - result.report.submitted;
  }
  return result;
}

nlohmann::ordered_json boxes_json(const std::vector<Report>& boxes) {
  nlohmann::ordered_json json;
  for (const Report& box : boxes) {
    json.push_back({{"finished", box.finished},
                    {"output_tokens", box.output_tokens},
                    {"busy_s", box.busy.value()},
                    {"kv_blocks_peak", box.kv_blocks_peak},
                    {"prefix_hit_tokens", box.prefix_hit_tokens}});
  }
  return json;
}

std::string boxes_line(const std::vector<Report>& boxes) {
  const auto [least, most] = std::ranges::minmax_element(boxes, {}, &Report::finished);
  return format("boxes            {}, of which each finished {} to {} requests\n", boxes.size(), least->finished,
                most->finished);
}

nlohmann::ordered_json simulation_json(const SimulationResult& result) {
  nlohmann::ordered_json json = report_json(result.report);
  json["kv_block_tokens"] = result.kv_block_tokens;
  json["step_tokens_max"] = result.limits.step_tokens_max;
  json["sequences_max"] = result.limits.sequences_max;
  json["context_max"] = result.limits.context_max;
  json["policy"] = result.policy.name;
  json["prefix_cache"] = result.policy.prefix_cache;
  if (!result.boxes.empty()) json["boxes"] = boxes_json(result.boxes);
  if (result.transfers) json.update(transfer_json(*result.transfers));
  if (result.body) json.update(body_json(*result.body, result.report.output_tokens, result.unanswered));
  return json;
}

std::string simulation_table(const SimulationResult& result) {
  std::string out = report_table(result.report);
  if (result.transfers) {
    out += transfer_table(*result.transfers);
  } else if (!result.boxes.empty()) {
    out += boxes_line(result.boxes);
  }
  if (result.body) out += body_table(*result.body, result.report.output_tokens, result.unanswered);
  return out;
}

}  // namespace tinderbox
