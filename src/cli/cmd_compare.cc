#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/compare.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

struct Row {
  Machine machine;
  Comparison result{};

  const Fact& load() const {
    return *std::ranges::find(machine.facts, std::string_view("power.load"), &Fact::key);
  }
};

Row compare_on(const Context& context, const std::string& name, const ModelConfig& model,
               const CompareOptions& o) {
  Row row{.machine = find_machine(context, name)};
  const std::optional<Stack> stack = o.stack.empty()
                                         ? usual_stack(row.machine, context.stacks, o.weights)
                                         : find_stack(context, o.stack);
  row.result.machine = row.machine.id;
  if (!stack) {
    row.result.weights = o.weights;
    row.result.reason = format("none of its stacks reads {}", o.weights);
    return row;
  }
  TwinModel twin;
  twin.machine = row.machine;
  twin.stack = *stack;
  twin.model = model;
  twin.weights =
      weight_format(o.weights.empty() ? usual_weights(model, *stack) : o.weights, stack->file, kind_of(model));
  twin.kv = kv_format(o.kv.empty() ? stack->kv_default : o.kv);
  const Point point{.prompt = o.prompt, .gen = o.gen, .concurrency = o.concurrency};
  row.result = compare(twin, point, o.tariff);
  return row;
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }
Json known(double value) { return value > 0 ? Json(value) : Json(); }

Json row_json(const Row& row) {
  const Comparison& r = row.result;
  const Machine& m = row.machine;
  const auto predicted = [&](auto get) { return r.prediction ? Json(get(*r.prediction)) : Json(); };
  const bool planned = r.memory.total.value() > 0;
  return {{"machine", r.machine},
          {"name", m.name},
          {"n_devices", m.n_devices},
          {"scope", scope_name(m.scope)},
          {"stack", r.stack},
          {"weights", r.weights},
          {"verdict", planned ? Json(fit_name(r.memory.fit)) : Json()},
          {"reason", r.reason},
          {"memory_bytes", planned ? Json(r.memory.total.value()) : Json()},
          {"safe_bytes", m.memory_safe.value()},
          {"context_tokens_max", r.context_max},
          {"prefill_tok_per_s", predicted([](auto& p) { return p.prefill_tok_per_s; })},
          {"decode_tok_per_s", predicted([](auto& p) { return p.decode_tok_per_s; })},
          {"ttft_s", predicted([](auto& p) { return p.ttft.value(); })},
          {"tpot_s", predicted([](auto& p) { return p.tpot.value(); })},
          {"total_s", predicted([](auto& p) { return p.total.value(); })},
          {"load_power_w", m.power_load.value()},
          {"idle_power_w", m.power_idle.value()},
          {"load_power_kind", fact_kind_name(row.load().kind)},
          {"load_power_note", row.load().note},
          {"price_usd", known(m.price_usd)},
          {"tokens_per_j", or_null(r.tokens_per_joule)},
          {"electricity_per_mtok", or_null(r.electricity_per_mtok)},
          {"total_per_mtok", or_null(r.total_per_mtok)}};
}

Json document(const ModelConfig& model, const CompareOptions& o, const std::vector<Row>& rows) {
  Json out = {{"model", model.id},
              {"prompt_tokens", o.prompt},
              {"gen_tokens", o.gen},
              {"concurrency", o.concurrency},
              {"currency", o.currency},
              {"electricity_per_kwh", o.tariff.electricity_per_kwh},
              {"price_per_usd", o.tariff.price_per_usd},
              {"hours_per_day", o.tariff.hours_per_day},
              {"years", o.tariff.years},
              {"machines", Json::array()}};
  for (const Row& row : rows) out["machines"].push_back(row_json(row));
  return out;
}

std::string money(const std::optional<double>& amount) {
  return amount ? human_number(*amount, 3) : "-";
}

// "156 W wall", "~498 W part": ~ for what nobody measured.
std::string watts_text(const Row& row) {
  const FactKind kind = row.load().kind;
  const bool guessed = kind == FactKind::Derived || kind == FactKind::Assumed;
  return format("{}{:.0f} {}", guessed ? "~" : "", row.machine.power_load.value(),
                row.machine.scope == Scope::Box ? "wall" : "part");
}

std::string table_text(const CompareOptions& o, const std::vector<Row>& rows) {
  Table table({"machine", "stack", "weights", "fits", "context", "prefill/s", "decode/s", "TTFT",
               "watts", "price USD", "tok/J", "power/Mtok", "all/Mtok"},
              "lllrrrrrrrrrr");
  for (const Row& row : rows) {
    const Comparison& r = row.result;
    const std::string price =
        row.machine.price_usd > 0 ? format("{:.0f}", row.machine.price_usd) : "-";
    const auto& p = r.prediction;
    const std::string none = "-";
    table.add({r.machine, r.stack.empty() ? none : r.stack, r.weights.empty() ? none : r.weights,
               !p ? "no" : r.memory.fit == Fit::Fits ? "yes" : "tight",
               format("{}", r.context_max), p ? human_number(p->prefill_tok_per_s, 3) : none,
               p ? human_number(p->decode_tok_per_s, 3) : none, p ? human(p->ttft) : none,
               watts_text(row), price, money(r.tokens_per_joule), money(r.electricity_per_mtok),
               money(r.total_per_mtok)});
  }
  std::string out = table.str() + "\n";
  for (const Row& row : rows) {
    if (row.result.reason.empty()) continue;
    out += format("{}: {}\n", row.result.machine, row.result.reason);
  }
  out += format(
      "context: the largest that stays safe at this concurrency. Costs in {} of a million\n"
      "generated tokens, prompts included: power at {} a kWh; all adds the price over {:g} years\n"
      "({:g} {} a USD) with {:g} busy hours a day, idle for the rest.\n",
      o.currency, o.tariff.electricity_per_kwh, o.tariff.years, o.tariff.price_per_usd, o.currency,
      o.tariff.hours_per_day);
  return out;
}

std::string footnotes(const std::vector<Row>& rows) {
  std::string out = "watts: the machine file's power.load, ~ where nobody measured it.\n";
  if (std::ranges::any_of(rows, [](const Row& r) { return r.machine.scope == Scope::Part; })) {
    out += "part: power and price do not cover the computer around it.\n";
  }
  if (std::ranges::any_of(rows, [](const Row& r) { return r.machine.n_devices > 1; })) {
    out += "xN: layers split over the devices, one works at a time.\n";
  }
  const auto differs = [&](const Row& r) {
    return r.result.weights != rows.front().result.weights;
  };
  if (std::ranges::any_of(rows, differs)) {
    out += "The weights formats differ; --weights gives all the same.\n";
  }
  return out;
}

}  // namespace

int cmd_compare(const Context& context, const CompareOptions& options) {
  const ModelConfig model = find_model(context, options.model);
  if (!options.weights.empty()) weight_format(options.weights, WeightFile::Gguf);  // throws if there is none
  std::vector<Row> rows;
  for (const std::string& name : options.machines) {
    rows.push_back(compare_on(context, name, model, options));
  }
  if (options.json) {
    print_json(document(model, options, rows));
  } else {
    print(format("{}, prompt {}, gen {}, concurrency {}\n\n", model.id, options.prompt, options.gen,
                 options.concurrency));
    print(table_text(options, rows) + footnotes(rows));
  }
  const auto runs = [](const Row& row) { return row.result.prediction.has_value(); };
  return std::ranges::any_of(rows, runs) ? 0 : 1;
}

}  // namespace tinderbox::cli
