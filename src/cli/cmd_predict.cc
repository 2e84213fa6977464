#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/predict_power.h"
#include "twin/concurrency.h"
#include "twin/predict.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

// What each resource alone would take of a step; host overhead counts as launch.
std::array<Seconds, kBounds> alone(const StepCost& step) {
  std::array<Seconds, kBounds> out{};
  for (const ClassCost& c : step.classes) {
    out[static_cast<std::size_t>(Bound::Compute)] += c.compute;
    out[static_cast<std::size_t>(Bound::Memory)] += c.memory;
    out[static_cast<std::size_t>(Bound::Launch)] += c.launch;
  }
  out[static_cast<std::size_t>(Bound::Launch)] += step.overhead;
  out[static_cast<std::size_t>(Bound::Link)] += step.communication;
  return out;
}

// The resource that would bind if the one that does were free, and the speed it would allow.
struct Next {
  Bound bound{};
  double speedup = 0;
};
Next next_bound(const StepCost& step) {
  const std::array<Seconds, kBounds> times = alone(step);
  Next next;
  Seconds most;
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (static_cast<Bound>(i) == step.bound || times[i] < most) continue;
    most = times[i];
    next.bound = static_cast<Bound>(i);
  }
  next.speedup = most > Seconds(0) ? step.time / most : 0;
  return next;
}

// "memory (mat_mul 81 %), then compute at 12x".
std::string bound_text(const StepCost& step) {
  const ClassCost* largest = nullptr;
  for (const ClassCost& c : step.classes) {
    if (largest == nullptr || c.time > largest->time) largest = &c;
  }
  const std::string bound(bound_name(step.bound));
  if (largest == nullptr) return bound;
  const Next next = next_bound(step);
  const std::string what =
      step.bound == Bound::Link
          ? format("{:.0f} %", 100 * (step.communication / step.time))
          : format("{} {:.0f} %", op_class_name(largest->op_class), 100 * (largest->time / step.time));
  if (next.speedup <= 0) return format("{} ({})", bound, what);
  return format("{} ({}), then {} at {:.2g}x", bound, what, bound_name(next.bound), next.speedup);
}

// Nine in ten measurements lie between the two.
struct Range {
  double low, high;
};
Range rate_range(const TwinModel& twin, Metric metric, const Point& point, double value) {
  const Interval interval = interval_of(twin, metric, point);
  return {value * interval.low, value * interval.high};
}
Metric decode_metric(const Point& point) {
  return point.concurrency > 1 ? Metric::DecodeBatch : Metric::Decode;
}
// A time per token is as uncertain as the rate it is the inverse of.
Range tpot_range(const TwinModel& twin, const Point& point, Seconds tpot) {
  const Interval interval = interval_of(twin, decode_metric(point), point);
  return {tpot.value() / interval.high, tpot.value() / interval.low};
}

Json range_json(const Range& range) { return {{"low", range.low}, {"high", range.high}}; }

Json intervals_json(const TwinModel& twin, const Point& point, const Prediction& p) {
  return {{"share", 0.9},
          {"prefill_tok_per_s", range_json(rate_range(twin, Metric::Prefill, point, p.prefill_tok_per_s))},
          {"decode_tok_per_s",
           range_json(rate_range(twin, decode_metric(point), point, p.decode_tok_per_s))},
          {"ttft_s", range_json(rate_range(twin, Metric::Ttft, point, p.ttft.value()))},
          {"tpot_s", range_json(tpot_range(twin, point, p.tpot))}};
}

Json next_json(const StepCost& step) {
  const Next next = next_bound(step);
  return {{"bound", bound_name(next.bound)}, {"speedup", next.speedup}};
}

Json classes_json(const StepCost& step) {
  Json out = Json::array();
  for (const ClassCost& c : step.classes) {
    out.push_back({{"op_class", op_class_name(c.op_class)},
                   {"n_ops", c.n_ops},
                   {"flops", (c.work.matmul + c.work.vector).value()},
                   {"weight_bytes", c.work.weights.value()},
                   {"kv_bytes", (c.work.kv_read + c.work.kv_write).value()},
                   {"activation_bytes", c.work.activations.value()},
                   {"time_s", c.time.value()},
                   {"compute_s", c.compute.value()},
                   {"memory_s", c.memory.value()},
                   {"launch_s", c.launch.value()},
                   {"bound", bound_name(c.bound)}});
  }
  return out;
}

Json memory_json(const MemoryPlan& plan) {
  return {{"weights_bytes", plan.weights.value()},
          {"kv_bytes", plan.kv.value()},
          {"activations_bytes", plan.activations.value()},
          {"runtime_bytes", plan.runtime.value()},
          {"reserved_bytes", plan.reserved.value()},
          {"total_bytes", plan.total.value()},
          {"kv_per_token_bytes", plan.kv_per_token.value()},
          {"safe_bytes", plan.safe.value()},
          {"visible_bytes", plan.visible.value()},
          {"kv_tokens_max", plan.kv_tokens_max},
          {"verdict", fit_name(plan.fit)}};
}

Json prediction_json(const TwinModel& twin, const PredictOptions& o, const Point& point,
                     const Prediction& p) {
  const bool devices = twin.link == "peer";  // of one box
  Json out = {{"machine", devices ? o.twin.machine : twin.machine.id},
              {"model", twin.model.id},
              {"weights", twin.weights.name},
              {"kv", dtype_info(twin.kv).name},
              {"stack", twin.stack.id},
              {"nodes", devices ? 1 : twin.parallel.boxes()},
              {"devices", devices ? twin.parallel.boxes() : twin.machine.n_devices},
              {"parallel", twin.parallel.text()},
              {"prompt_tokens", o.prompt},
              {"gen_tokens", o.gen},
              {"depth_tokens", o.depth},
              {"concurrency", point.concurrency},
              {"prefill_tok_per_s", p.prefill_tok_per_s},
              {"decode_tok_per_s", p.decode_tok_per_s},
              {"ttft_s", p.ttft.value()},
              {"tpot_s", p.tpot.value()},
              {"total_s", p.total.value()},
              {"prefill_bound", bound_name(p.prefill_step.bound)},
              {"decode_bound", bound_name(p.decode_step.bound)},
              {"prefill_next", next_json(p.prefill_step)},
              {"decode_next", next_json(p.decode_step)},
              {"interval", intervals_json(twin, point, p)},
              {"memory", memory_json(p.memory)}};
  if (const auto& s = twin.speculation) {
    out["speculation"] = {{"method", s->id},
                          {"draft_tokens", s->n_draft},
                          {"accepted_tokens", s->accepted},
                          {"decode_low_ratio", s->interval.low},
                          {"decode_high_ratio", s->interval.high}};
  }
  if (o.explain) {
    out["explain"] = {{"prefill", classes_json(p.prefill_step)},
                      {"prefill_overhead_s", p.prefill_step.overhead.value()},
                      {"prefill_communication_s", p.prefill_step.communication.value()},
                      {"decode", classes_json(p.decode_step)},
                      {"decode_overhead_s", p.decode_step.overhead.value()},
                      {"decode_communication_s", p.decode_step.communication.value()}};
  }
  return out;
}

std::string explain_table(std::string_view title, const StepCost& step) {
  Table table({std::string(title), "ops", "FLOP", "weights", "KV", "compute", "memory", "launch",
               "time", "share", "bound"},
              "lrrrrrrrrrl");
  for (const ClassCost& c : step.classes) {
    table.add({std::string(op_class_name(c.op_class)), format("{}", c.n_ops),
               human_number((c.work.matmul + c.work.vector).value() / 1e9, 3) + " G",
               human(c.work.weights), human(c.work.kv_read + c.work.kv_write), human(c.compute),
               human(c.memory), human(c.launch), human(c.time),
               format("{:.1f} %", 100 * (c.time / step.time)), std::string(bound_name(c.bound))});
  }
  if (step.communication > Seconds(0)) {
    table.add({"communication", "", "", "", "", "", "", "", human(step.communication),
               format("{:.1f} %", 100 * (step.communication / step.time)), "link"});
  }
  table.add({"host overhead", "", "", "", "", "", "", "", human(step.overhead),
             format("{:.1f} %", 100 * (step.overhead / step.time)), ""});
  table.add({"total", "", "", "", "", "", "", "", human(step.time), "100 %",
             std::string(bound_name(step.bound))});
  return table.str();
}

std::string speed_table(const TwinModel& twin, const Point& point, const Prediction& p) {
  Table speed({"", "", "90 % interval", "bound"}, "lrrl");
  const auto rate = [&](const char* name, double value, Metric metric, const StepCost& step) {
    const Range range = rate_range(twin, metric, point, value);
    speed.add({name, human_number(value) + " tok/s",
               human_number(range.low, 3) + " to " + human_number(range.high, 3), bound_text(step)});
  };
  const auto time = [&](const char* name, Seconds value, const Range& range) {
    speed.add({name, human(value), human(Seconds(range.low)) + " to " + human(Seconds(range.high)), ""});
  };
  rate("prefill", p.prefill_tok_per_s, Metric::Prefill, p.prefill_step);
  rate("decode", p.decode_tok_per_s, decode_metric(point), p.decode_step);
  time("time to first token", p.ttft, rate_range(twin, Metric::Ttft, point, p.ttft.value()));
  time("time per output token", p.tpot, tpot_range(twin, point, p.tpot));
  speed.add({"whole request", human(p.total), "", ""});
  if (twin.speculation) {
    const Speculation& s = *twin.speculation;
    speed.add({"speculation", format("{}: {:.3g} of {} kept", s.id, s.accepted, s.n_draft), "", ""});
  }
  return speed.str();
}

std::string prediction_text(const TwinModel& twin, const PredictOptions& o, const Point& point,
                            const Prediction& p) {
  std::string out = format("{} in {} by {} on {}\n", twin.model.id, twin.weights.name,
                           twin.stack.name, boxes_text(twin));
  out += format("prompt {}, gen {}, depth {}, concurrency {}, KV {}\n\n", o.prompt, o.gen, o.depth,
                point.concurrency, dtype_info(twin.kv).name);
  out += speed_table(twin, point, p) + "\n";
  const MemoryPlan& m = p.memory;
  const char* of_each = twin.link == "peer" ? "memory of each device" : "memory of each box";
  Table memory({twin.parallel.boxes() > 1 ? of_each : "memory", ""}, "lr");
  memory.add({"weights", human(m.weights)});
  memory.add({format("KV ({} a token)", human(m.kv_per_token)), human(m.kv)});
  memory.add({"activations", human(m.activations)});
  memory.add({"runtime and system", human(m.runtime)});
  if (m.reserved > Bytes(0)) memory.add({"rest of the KV pool", human(m.reserved)});
  memory.add({"total", human(m.total)});
  memory.add({"safe on this machine", human(m.safe)});
  memory.add({"verdict", std::string(fit_name(m.fit))});
  out += memory.str();
  if (o.explain) {
    out += "\n" + explain_table("prefill, whole prompt", p.prefill_step);
    out += "\n" + explain_table("decode, one step", p.decode_step);
  }
  return out;
}

}  // namespace

int cmd_predict(const Context& context, const PredictOptions& options) {
  const StepModel step_model(make_twin(context, options.twin));
  Point point{.prompt = options.prompt, .gen = options.gen, .depth = options.depth};
  point.concurrency = options.concurrency != kConcurrencyMax
                          ? options.concurrency
                          : std::max<std::int64_t>(1, concurrency_max(step_model, point));  // 1: see the verdict
  // Always explained: the table names the class of ops behind the bound.
  const Prediction prediction = predict(step_model, point, true);
  const auto power = predicted_power(step_model, point, prediction, options.surroundings);
  if (options.sustained && !power) {
    throw_unsupported(format("--sustained: {} has no [body.*]: its power and heat are not known; dgx-spark's are",
                             step_model.twin().machine.id));
  }
  if (options.json) {
    Json out = prediction_json(step_model.twin(), options, point, prediction);
    if (power) out["power"] = power_json(*power);
    print_json(out);
  } else {
    print(prediction_text(step_model.twin(), options, point, prediction));
    if (power) print("\n" + power_text(*power, options));
  }
  return prediction.memory.fit == Fit::Freezes ? 1 : 0;
}

}  // namespace tinderbox::cli
