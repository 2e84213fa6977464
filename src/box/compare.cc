#include "box/compare.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kSecondsPerHour = 3600;
constexpr double kJoulesPerKwh = 3.6e6;
constexpr double kDaysPerYear = 365;

void check(const Tariff& t) {
  const auto amount = [](double x) { return std::isfinite(x) && x >= 0; };
  if (!amount(t.electricity_per_kwh) || !amount(t.price_per_usd)) {
    throw_invalid(format("electricity {} a kWh, {} a US dollar: expected amounts of at least 0",
                         t.electricity_per_kwh, t.price_per_usd));
  }
  if (!(t.hours_per_day > 0 && t.hours_per_day <= 24) || !(t.years > 0 && t.years <= 100)) {
    throw_invalid(format("{} hours a day over {} years: expected up to 24 and up to 100",
                         t.hours_per_day, t.years));
  }
}

// Whether so much context for each stream stays safe: the KV, in whole blocks, within its pool or
// below the limit. Half a token is for rounding.
bool holds(const StepModel& model, std::int64_t context, std::int64_t concurrency) {
  const MemoryPlan plan = plan_memory(model.twin(), model.footprint(), context, concurrency);
  return plan.fit != Fit::Freezes &&
         plan.kv_per_token * (static_cast<double>(plan.kv_tokens_max) + 0.5) >= plan.kv;
}

std::int64_t largest_context(const StepModel& model, std::int64_t concurrency) {
  std::int64_t low = 0, high = model.twin().model.n_ctx;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    if (holds(model, middle, concurrency)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

void add_costs(Comparison& row, const Machine& machine, double gen_tokens, const Tariff& tariff) {
  const Seconds busy = row.prediction->total;
  if (gen_tokens <= 0 || machine.power_load.value() <= 0) return;
  const double joules = (machine.power_load * busy).value();
  row.tokens_per_joule = gen_tokens / joules;
  row.electricity_per_mtok = tariff.electricity_per_kwh * joules / kJoulesPerKwh / gen_tokens * 1e6;
  if (machine.price_usd <= 0) return;
  const Seconds on(tariff.hours_per_day * kSecondsPerHour);
  const Seconds off((24 - tariff.hours_per_day) * kSecondsPerHour);
  const double idle_cost =
      tariff.electricity_per_kwh * (machine.power_idle * off).value() / kJoulesPerKwh;
  const double write_off =
      machine.price_usd * tariff.price_per_usd / (tariff.years * kDaysPerYear);
  const double tokens_per_day = gen_tokens * (on / busy);
  row.total_per_mtok =
      *row.electricity_per_mtok + (idle_cost + write_off) / tokens_per_day * 1e6;
}

}  // namespace

std::optional<Stack> usual_stack(const Machine& machine, const Catalogue& stacks,
                                 std::string_view weights) {
  for (const std::string& id : machine.stacks) {
    if (!stacks.has(id)) continue;
    Stack stack = parse_stack(stacks.text(id), id);
    if (weights.empty() || exists_as(weights, stack.file)) return stack;
  }
  return std::nullopt;
}

Comparison compare(const TwinModel& twin, const Point& point, const Tariff& tariff) {
  check(tariff);
  const StepModel model(twin);
  Comparison row{.machine = twin.machine.id,
                 .stack = twin.stack.id,
                 .weights = twin.weights.name,
                 .prediction = predict(model, point)};
  row.memory = row.prediction->memory;
  row.context_max = largest_context(model, point.concurrency);
  if (row.memory.fit == Fit::Freezes) {
    row.reason = format("needs {} of {}", human(row.memory.total), human(row.memory.safe));
    row.prediction.reset();
    return row;
  }
  add_costs(row, twin.machine, static_cast<double>(point.gen * point.concurrency), tariff);
  return row;
}

}  // namespace tinderbox
