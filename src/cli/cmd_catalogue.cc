#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "twin/memory_plan.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

// Table or JSON of a list of records that share their keys.
void print_list(const std::vector<Json>& records, bool json) {
  if (json) return print_json(Json(records));
  if (records.empty()) return;
  std::vector<std::string> header;
  std::string alignment;
  for (const auto& [key, value] : records[0].items()) {
    header.push_back(key);
    alignment += value.is_number() ? 'r' : 'l';
  }
  Table table(header, alignment);
  for (const Json& record : records) {
    std::vector<std::string> row;
    for (const auto& [key, value] : record.items()) {
      row.push_back(value.is_string() ? value.get<std::string>()
                    : value.is_null() ? "-"
                                      : value.dump());
    }
    table.add(std::move(row));
  }
  print(table.str());
}

void print_facts(const std::string& id, const std::string& name, const std::vector<Fact>& facts,
                 bool json) {
  if (json) {
    Json document = {{"id", id}, {"name", name}, {"facts", Json::array()}};
    for (const Fact& fact : facts) {
      document["facts"].push_back({{"key", fact.key},
                                   {"value", fact.text},
                                   {"kind", fact_kind_name(fact.kind)},
                                   {"source", fact.source},
                                   {"note", fact.note}});
    }
    return print_json(document);
  }
  print(format("{}: {}\n\n", id, name));
  Table table({"key", "value", "kind", "source", "note"}, "lllll");
  for (const Fact& fact : facts) {
    table.add({fact.key, fact.text, std::string(fact_kind_name(fact.kind)), fact.source, fact.note});
  }
  print(table.str());
}

int machines(const Context& context, const CatalogueOptions& options) {
  if (!options.show.empty()) {
    const Machine machine = find_machine(context, options.show);
    print_facts(machine.id, machine.name, machine.facts, options.json);
    return 0;
  }
  std::vector<Json> records;
  for (const std::string& id : context.machines.ids()) {
    const Machine machine = find_machine(context, id);
    records.push_back({{"id", id},
                       {"name", machine.name},
                       {"memory", human(machine.memory_size)},
                       {"bandwidth", human(machine.memory_bandwidth)},
                       {"bf16", human(machine.peak(MathType::F16, machine.clock_light))},
                       {"price_usd", machine.price_usd > 0 ? Json(machine.price_usd) : Json()}});
  }
  print_list(records, options.json);
  return 0;
}

int stacks(const Context& context, const CatalogueOptions& options) {
  if (!options.show.empty()) {
    const Stack stack = find_stack(context, options.show);
    print_facts(stack.id, stack.name, stack.facts, options.json);
    return 0;
  }
  std::vector<Json> records;
  for (const std::string& id : context.stacks.ids()) {
    const Stack stack = find_stack(context, id);
    records.push_back({{"id", id},
                       {"name", stack.name},
                       {"weights", stack.weights_default},
                       {"kv", stack.kv_default},
                       {"step_tokens_max", stack.step_tokens_max},
                       {"micro_tokens_max", stack.micro_tokens_max},
                       {"sequences_max", stack.sequences_max}});
  }
  print_list(records, options.json);
  return 0;
}

Json model_record(const Context& context, const std::string& id) {
  Json record = {{"id", id},           {"family", nullptr},  {"layers", nullptr},
                 {"d_model", nullptr}, {"total_b", nullptr}, {"active_b", nullptr},
                 {"context", nullptr}, {"status", ""}};
  try {
    const ModelConfig model = parse_config(context.models.text(id), id);
    const ParameterCount count = count_parameters(model);
    record["family"] = model.family;
    record["layers"] = model.n_layers;
    record["d_model"] = model.d_model;
    record["total_b"] = std::round(count.total / 1e7) / 100;
    record["active_b"] = std::round(count.active / 1e7) / 100;
    record["context"] = model.n_ctx;
    record["status"] = "ready";
  } catch (const Error& error) {  // one file that cannot be used must not hide the others
    record["status"] = error.what();
  }
  return record;
}

int models(const Context& context, const CatalogueOptions& options) {
  if (options.show.empty()) {
    std::vector<Json> records;
    for (const std::string& id : context.models.ids()) records.push_back(model_record(context, id));
    print_list(records, options.json);
    return 0;
  }
  const ModelConfig model = find_model(context, options.show);
  const ParameterCount count = count_parameters(model);
  Json record = {{"id", model.id},
                 {"family", model.family},
                 {"n_layers", model.n_layers},
                 {"d_model", model.d_model},
                 {"n_heads", model.n_heads},
                 {"n_kv_heads", model.n_kv_heads},
                 {"head_dim", model.head_dim},
                 {"d_ff", model.d_ff},
                 {"n_experts", model.n_experts},
                 {"n_experts_used", model.n_experts_used},
                 {"d_ff_expert", model.d_ff_expert},
                 {"n_vocab", model.n_vocab},
                 {"n_ctx", model.n_ctx},
                 {"parameters_total", count.total},
                 {"parameters_active", count.active},
                 {"kv_bytes_per_token_f16", kv_bytes(model, DType::F16, 1).value()}};
  for (const char* weights : {"bf16", "fp8", "q8_0", "q4_k_m", "nvfp4"}) {
    const WeightFile file = is_checkpoint_format(weights) ? WeightFile::Checkpoint : WeightFile::Gguf;
    record[format("weights_{}_bytes", weights)] =
        weight_bytes(model, weight_format(weights, file, kind_of(model))).value();
  }
  if (options.json) {
    print_json(record);
    return 0;
  }
  Table table({"key", "value"}, "lr");
  for (const auto& [key, value] : record.items()) {
    const bool bytes = key.ends_with("_bytes");
    table.add({key, value.is_string()         ? value.get<std::string>()
                    : bytes                   ? human(Bytes(value.get<double>()))
                    : value.is_number_float() ? format("{:.0f}", value.get<double>())
                                              : value.dump()});
  }
  print(table.str());
  return 0;
}

}  // namespace

int cmd_catalogue(const Context& context, const CatalogueOptions& options) {
  if (options.kind == "machines") return machines(context, options);
  if (options.kind == "stacks") return stacks(context, options);
  return models(context, options);
}

}  // namespace tinderbox::cli
