#include "box/validate_memory.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include "base/error.h"
#include "base/text.h"
#include "twin/memory_plan.h"
#include "twin/train_memory.h"

namespace tinderbox {
namespace {

MemoryOutcome refuse(const char* reason) { return {.value_gb = 0, .refused = reason}; }
MemoryOutcome predicted(Bytes bytes) { return {.value_gb = bytes.value() / 1e9}; }

std::string cell(const Csv& csv, std::size_t row, std::string_view column) {
  return csv.has(column) ? csv.at(row, column) : std::string();
}

std::int64_t count(const Csv& csv, std::size_t row, std::string_view column, std::int64_t unstated) {
  return Cells(csv, row).count(column).value_or(unstated);
}

bool says(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(
      words, [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

// The model in its formats, or why there is none.
const char* set_model(TwinModel& twin, const Csv& csv, std::size_t row,
                      const TwinCatalogues& resources) {
  const std::string model = cell(csv, row, "base"), weights = cell(csv, row, "weights_norm");
  const std::string kv = cell(csv, row, "kv_norm");
  if (!resources.models.has(model)) return "unknown model";
  const char* trying = "unsupported model family";
  try {
    twin.model = parse_config(resources.models.text(model), model);
    trying = "unknown weights format";
    twin.weights =
        weight_format(weights.empty() ? usual_weights(twin.model, twin.stack) : weights, twin.stack.file,
                      kind_of(twin.model));
    trying = "unknown kv format";
    twin.kv = kv_format(kv.empty() ? twin.stack.kv_default : kv);
  } catch (const Error& error) {
    if (twin.model.id.empty() && error.code() != Error::Code::Unsupported) throw;
    return trying;
  }
  return nullptr;
}

MemoryOutcome read_off(const TwinModel& twin, const MemoryPlan& plan, MemoryReading reading) {
  switch (reading) {
    case MemoryReading::InUse:
      return predicted(plan.total);
    case MemoryReading::Free:
      return predicted(std::max(Bytes(0), plan.visible - plan.total));
    case MemoryReading::Weights:
      return predicted(plan.weights);
    case MemoryReading::KvPool:
      return predicted(plan.pool);
    case MemoryReading::Container:
      return predicted(twin.stack.memory.host +
                       (twin.stack.memory.maps_weights ? plan.weights : Bytes(0)));
    case MemoryReading::Process:
      return predicted(plan.total - host_memory(twin.machine, twin.stack.memory));
  }
  std::abort();
}

// "LoRA r32": 32; 16 if the words name no rank, 0 if they name no adapter and `usual` is false.
int adapter_rank(const std::string& text, bool usual) {
  const std::size_t at = text.find("lora");
  constexpr int kUsual = 16;
  if (at == std::string::npos) return usual ? kUsual : 0;
  const std::size_t r = text.find(" r", at);
  if (r == std::string::npos) return kUsual;
  std::size_t to = r + 2;
  while (to < text.size() && std::isdigit(static_cast<unsigned char>(text[to])) != 0) ++to;
  const auto rank = parse_int(text.substr(r + 2, to - r - 2));
  return rank && *rank > 0 && *rank <= 4096 ? static_cast<int>(*rank) : kUsual;
}

MemoryOutcome predict_training(const Csv& csv, std::size_t row,
                               const TwinCatalogues& resources, const std::string& stack) {
  const Trainer trainer = parse_trainer(resources.trainers->text(stack), stack);
  const std::string model = cell(csv, row, "base");
  if (!resources.models.has(model)) return refuse("unknown model");
  const std::string text =
      lower(format("{} | {}", cell(csv, row, "locator"), cell(csv, row, "notes")));
  // Pairs and a second model: not modelled.
  if (says(text, {"dpo"})) return refuse("preference training");
  TrainingDemand demand;
  demand.adapter_rank = adapter_rank(text, trainer.adapters);
  demand.tokens = count(csv, row, "prompt_tokens", 0) * count(csv, row, "concurrency", 1);
  if (demand.adapter_rank == 0 && demand.tokens == 0) return refuse("missing column");
  demand.checkpoints = says(text, {"checkpoint"});
  demand.fp8 = cell(csv, row, "weights_norm") == "fp8";
  demand.ranks = static_cast<int>(std::clamp<std::int64_t>(count(csv, row, "nodes", 1), 1, 1024));
  try {
    return predicted(
        training_peak(parse_config(resources.models.text(model), model), trainer, demand));
  } catch (const Error& error) {
    if (error.code() != Error::Code::Unsupported) throw;
    return refuse("unsupported model family");
  }
}

}  // namespace

MemoryReading memory_reading(std::string_view locator, std::string_view notes) {
  const std::string where = lower(locator), all = lower(format("{} | {}", locator, notes));
  if (says(where, {"available kv", "kv cache line", "kv pool"})) return MemoryReading::KvPool;
  if (says(all, {"minimum free", "free memory"})) return MemoryReading::Free;
  if (says(where, {"weight", "model load"}) || says(all, {"weights + load"}))
    return MemoryReading::Weights;
  if (says(all, {"container resident", "docker stats"})) return MemoryReading::Container;
  if (says(where, {"enginecore"})) return MemoryReading::Process;
  if (says(all, {"per rank"}) && !says(all, {"used"})) return MemoryReading::Weights;
  return MemoryReading::InUse;
}

std::optional<double> memory_share(std::string_view text) {
  const std::string all = lower(text);
  for (std::size_t at = all.find("util"); at != std::string::npos; at = all.find("util", at + 1)) {
    std::size_t from = at;
    while (from < all.size() && std::isalpha(static_cast<unsigned char>(all[from])) != 0) ++from;
    while (from < all.size() && (all[from] == ' ' || all[from] == '=')) ++from;
    std::size_t to = from;
    while (to < all.size() &&
           (std::isdigit(static_cast<unsigned char>(all[to])) != 0 || all[to] == '.'))
      ++to;
    const auto value = parse_double(all.substr(from, to - from));
    if (value && *value > 0 && *value <= 1) return value;
  }
  return std::nullopt;
}

MemoryOutcome predict_memory(const Csv& csv, std::size_t row,
                             const TwinCatalogues& resources) {
  const std::string machine = cell(csv, row, "machine");
  std::string stack = cell(csv, row, "stack_norm");
  if (!resources.machines.has(machine)) return refuse("unknown machine");
  if (resources.trainers != nullptr && resources.trainers->has(stack))
    return predict_training(csv, row, resources, stack);
  const std::string locator = cell(csv, row, "locator"), notes = cell(csv, row, "notes");
  const MemoryReading reading = memory_reading(locator, notes);
  const std::string weights = cell(csv, row, "weights_norm");
  // Weights are the same in every stack that reads their format.
  if (reading == MemoryReading::Weights && !resources.stacks.has(stack))
    stack = default_stack(weights);
  if (!resources.stacks.has(stack)) return refuse("unknown stack");
  TwinModel twin;
  twin.machine = machine_of(resources.machines, machine);
  twin.stack = parse_stack(resources.stacks.text(stack), stack);
  const MemoryPolicy& policy = twin.stack.memory;

  MemoryDemand demand{.context = 1, .concurrency = 1};
  if (policy.pool != PoolRule::None)
    demand.share = memory_share(format("{} | {}", locator, notes)).value_or(policy.share);
  const bool of_share = policy.pool == PoolRule::OfTotal &&
                        (reading == MemoryReading::InUse || reading == MemoryReading::Free ||
                         reading == MemoryReading::Process);
  if (of_share) {
    // The pool takes what the weights leave: the model does not matter.
    MemoryPlan plan;
    plan.visible = twin.machine.memory_visible;
    plan.total = in_use_of_share(twin.machine, policy, *demand.share);
    return read_off(twin, plan, reading);
  }
  if (const char* refused = set_model(twin, csv, row, resources)) return refuse(refused);
  if (reading == MemoryReading::Weights && weights.empty())
    return refuse("missing column");
  const std::int64_t held = count(csv, row, "prompt_tokens", 0) + count(csv, row, "depth", 0) +
                            count(csv, row, "gen_tokens", 0);
  if (policy.pool == PoolRule::None && reading != MemoryReading::Weights && held == 0)
    return refuse("missing column");
  demand.context = std::max<std::int64_t>(held, 1);
  demand.concurrency = std::max<std::int64_t>(count(csv, row, "concurrency", 1), 1);
  demand.step_tokens = std::max(count(csv, row, "ubatch", 0), count(csv, row, "max_batched_tokens", 0));
  demand.sequences = count(csv, row, "max_num_seqs", 0);
  demand.ranks = static_cast<int>(std::clamp<std::int64_t>(count(csv, row, "nodes", 1), 1, 1024));
  return read_off(twin, plan_memory(twin, footprint(twin.model, twin.weights, twin.kv), demand),
                  reading);
}

}  // namespace tinderbox
