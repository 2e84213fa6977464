#include "box/simulate.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/outages.h"
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

}  // namespace

SimulationResult simulate(const StepModel& model, const SimulateOptions& options,
                          const Progress& progress) {
  const WorkloadOptions& workload = options.workload;
  verify(workload);
  const Limits limits = limits_of(model, options);
  Scheduler scheduler(limits, pool_of(model, options, limits), policy_of(model.twin(), options));
  TableExecutor executor(model, options.by_steps);
  std::optional<BodyExecutor> body;
  if (options.body) body.emplace(executor, model, *options.body);
  VirtualClock clock;
  Recorder recorder(to_duration(Seconds(model.twin().stack.price.request_time)), options.slo,
                    options.on_finished);
  ProgressMeter meter(progress, n_requests(workload));
  const auto run = [&](Arrivals& arrivals, std::vector<Observer*> observers) {
    if (!body) {
      ObserverList list(std::move(observers));
      return run_loop(scheduler, executor, arrivals, clock, list);
    }
    Outages outages(arrivals, *body);
    observers.push_back(&outages);
    ObserverList list(std::move(observers));
    run_loop(scheduler, *body, outages, clock, list);
  };
  if (options.users == 0 && workload.turns == 1 && workload.shared_prefix == 0) {
    GeneratedArrivals arrivals(workload);
    run(arrivals, {&recorder, &meter});
  } else {
    const std::int32_t users = options.users == 0 ? 0 : in_range("users", options.users, kUsersMax);
    ConversationArrivals arrivals(workload, users, limits.context_max);
    run(arrivals, {&recorder, &meter, &arrivals});
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

nlohmann::ordered_json simulation_json(const SimulationResult& result) {
  nlohmann::ordered_json json = report_json(result.report);
  json["kv_block_tokens"] = result.kv_block_tokens;
  json["step_tokens_max"] = result.limits.step_tokens_max;
  json["sequences_max"] = result.limits.sequences_max;
  json["context_max"] = result.limits.context_max;
  json["policy"] = result.policy.name;
  json["prefix_cache"] = result.policy.prefix_cache;
  if (result.body) json.update(body_json(*result.body, result.report.output_tokens, result.unanswered));
  return json;
}

std::string simulation_table(const SimulationResult& result) {
  std::string out = report_table(result.report);
  if (result.body) out += body_table(*result.body, result.report.output_tokens, result.unanswered);
  return out;
}

}  // namespace tinderbox
