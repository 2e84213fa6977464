#include "twin/train_memory.h"

#include <array>

#include "base/check.h"
#include "machine/sourced.h"
#include "model/weight_format.h"
#include "twin/work.h"

namespace tinderbox {
namespace {

constexpr std::array kNouns = {Noun{"size", Measure::Size}};

// r (rows + cols) for each matrix of attention and dense MLPs, as adapters usually go.
double adapter_parameters(const ModelConfig& model, int rank) {
  const Graph graph = probe_graph(model, weight_format("bf16", WeightFile::Checkpoint), DType::BF16);
  double n = 0;
  for (const Value& v : graph.values) {
    const bool adapted = v.role == Role::Weight && (v.weight_class == WeightClass::Attention ||
                                                    v.weight_class == WeightClass::DenseMlp);
    if (adapted) n += rank * static_cast<double>(v.rows + v.cols);
  }
  return n;
}

}  // namespace

Trainer parse_trainer(std::string_view toml, std::string_view name) {
  SourcedFile file(toml, name, kNouns);
  Trainer trainer;
  trainer.id = file.text("id");
  trainer.name = file.text("name");
  trainer.adapters = file.flag("adapters");
  trainer.state = file.bytes("memory.state_size");
  trainer.adapter = file.bytes("memory.adapter_size");
  trainer.activation = file.bytes("memory.activation_size");
  trainer.checkpoint = file.bytes("memory.checkpoint_size");
  trainer.logit = file.bytes("memory.logit_size");
  trainer.fp8_weights = file.bytes("memory.fp8_weights_size");
  if (file.has("memory.runtime_size")) trainer.runtime = file.bytes("memory.runtime_size");
  file.reject_unread();
  return trainer;
}

Bytes training_peak(const ModelConfig& model, const Trainer& trainer,
                    const TrainingDemand& demand) {
  CHECK(demand.tokens >= 0 && demand.adapter_rank >= 0 && demand.ranks >= 1);
  constexpr Bytes kFrozen{2};  // bytes of a weight that is not trained
  const double n_parameters = count_parameters(model).total;
  Bytes weights = (demand.adapter_rank > 0 ? kFrozen : trainer.state) * n_parameters;
  if (demand.adapter_rank > 0) {
    weights += trainer.adapter * adapter_parameters(model, demand.adapter_rank);
  }
  if (demand.fp8) weights += trainer.fp8_weights * n_parameters;
  const auto tokens = static_cast<double>(demand.tokens);
  const Bytes element = demand.checkpoints ? trainer.checkpoint : trainer.activation;
  Bytes activations = element * (tokens * model.n_layers * model.d_model);
  // One layer at a time is computed again.
  if (demand.checkpoints) activations += trainer.activation * (tokens * model.d_model);
  const Bytes logits = trainer.logit * (tokens * model.n_vocab);
  return weights / static_cast<double>(demand.ranks) + activations + logits + trainer.runtime;
}

}  // namespace tinderbox
