#include "twin/memory_plan.h"

#include <algorithm>
#include <cstdlib>

#include "base/check.h"

namespace tinderbox {
namespace {

Bytes weight_bytes(const Graph& graph) {
  double bytes = 0;
  for (const Value& v : graph.values) {
    if (v.role != Role::Weight) continue;
    bytes += static_cast<double>(v.rows) * dtype_bytes(v.dtype, static_cast<double>(v.cols));
  }
  return Bytes(bytes);
}

// Key and value of one token in one layer.
Bytes kv_row_bytes(const ModelConfig& model, DType kv) {
  return Bytes(2 * dtype_bytes(kv, model.kv_dim()));
}

std::vector<Footprint::Layers> layers_by_window(const ModelConfig& model) {
  std::vector<Footprint::Layers> layers;
  for (int i = 0; i < model.n_layers; ++i) {
    const std::int32_t window = model.window(i);
    const auto same = std::ranges::find(layers, window, &Footprint::Layers::window);
    if (same == layers.end()) {
      layers.push_back({window, 1});
    } else {
      ++same->n;
    }
  }
  return layers;
}

std::int64_t rows_kept(const Footprint::Layers& layers, std::int64_t context) {
  return layers.window > 0 ? std::min<std::int64_t>(layers.window, context) : context;
}

// A value is alive from the op that writes it to the last op that reads it. What is alive at each
// op of the probe graph, without those that another one exceeds in every step.
std::vector<Rows> live_activations(const Graph& graph) {
  std::vector<std::size_t> last_use(graph.values.size(), 0);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    for (const ValueId in : graph.ops[i].in) {
      if (in != kNoValue) last_use[static_cast<std::size_t>(in)] = i;
    }
  }
  if (graph.logits != kNoValue) last_use[static_cast<std::size_t>(graph.logits)] = graph.ops.size();
  std::vector<std::vector<ValueId>> ends(graph.ops.size() + 1);
  std::vector<Rows> peaks;
  Rows live;
  const auto grow = [&](ValueId id, double sign) {
    const Value& v = graph.values[static_cast<std::size_t>(id)];
    if (v.role != Role::Activation) return;
    const Rows rows = rows_of(static_cast<double>(v.rows));
    const double row = dtype_bytes(v.dtype, static_cast<double>(v.cols));
    live.per_token += sign * rows.per_token * row;
    live.per_sample += sign * rows.per_sample * row;
  };
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    if (const ValueId out = graph.ops[i].out; out != kNoValue) {
      grow(out, +1);
      ends[std::max(i, last_use[static_cast<std::size_t>(out)])].push_back(out);
    }
    const auto exceeds = [](const Rows& a, const Rows& b) {
      return a.per_token >= b.per_token && a.per_sample >= b.per_sample;
    };
    if (std::ranges::none_of(peaks, [&](const Rows& p) { return exceeds(p, live); })) {
      std::erase_if(peaks, [&](const Rows& p) { return exceeds(live, p); });
      peaks.push_back(live);
    }
    for (const ValueId id : ends[i]) grow(id, -1);
  }
  return peaks;
}

}  // namespace

std::string_view fit_name(Fit fit) {
  switch (fit) {
    case Fit::Fits:
      return "fits";
    case Fit::Tight:
      return "tight";
    case Fit::Freezes:
      return "freezes";
  }
  std::abort();
}

Footprint footprint(const ModelConfig& model, const WeightFormat& weights, DType kv) {
  const Graph graph = probe_graph(model, weights, kv);
  return {.weights = weight_bytes(graph),
          .kv_row = kv_row_bytes(model, kv),
          .layers = layers_by_window(model),
          .live = live_activations(graph)};
}

MemoryPlan plan_memory(const TwinModel& twin, std::int64_t context, std::int64_t concurrency) {
  return plan_memory(twin, footprint(twin.model, twin.weights, twin.kv), context, concurrency);
}

MemoryPlan plan_memory(const TwinModel& twin, const Footprint& model, std::int64_t context,
                       std::int64_t concurrency) {
  CHECK(context >= 0 && concurrency >= 1);
  const Stack& stack = twin.stack;
  const Machine& machine = twin.machine;
  const auto streams = static_cast<double>(concurrency);
  // The pool hands out whole blocks.
  const std::int64_t block = std::max(stack.block_tokens, 1);
  const std::int64_t held = (std::max<std::int64_t>(context, 1) + block - 1) / block * block;
  Bytes kv_sequence;
  for (const Footprint::Layers& layers : model.layers) {
    kv_sequence += model.kv_row * static_cast<double>(rows_kept(layers, held) * layers.n);
  }
  const double step_tokens = std::min(static_cast<double>(std::max(stack.step_tokens_max, 1)),
                                      static_cast<double>(held) * streams);
  const double sampled = std::min(streams, step_tokens);

  MemoryPlan plan;
  plan.weights = model.weights;
  plan.kv = kv_sequence * streams;
  for (const Rows& live : model.live) {
    plan.activations = std::max(plan.activations, Bytes(live.of(step_tokens, sampled)));
  }
  plan.runtime = stack.runtime_bytes;
  const Bytes fixed = plan.weights + plan.activations + plan.runtime;
  const Bytes pool_end = machine.memory_visible * stack.memory_fraction;
  plan.reserved = std::max(Bytes(0), pool_end - fixed - plan.kv);
  plan.total = fixed + plan.kv + plan.reserved;
  plan.kv_per_token = kv_sequence / static_cast<double>(held);
  plan.safe = machine.memory_safe;
  plan.visible = machine.memory_visible;
  const bool preallocates = stack.memory_fraction > 0;
  const Bytes limit = preallocates ? std::min(plan.safe, pool_end) : plan.safe;
  plan.kv_tokens_max =
      static_cast<std::int64_t>(std::max(0.0, (limit - fixed) / plan.kv_per_token));
  plan.fit = plan.total <= machine.memory_safe    ? Fit::Fits
             : plan.total < machine.memory_freeze ? Fit::Tight
                                                  : Fit::Freezes;
  return plan;
}

Bytes weight_bytes(const ModelConfig& model, const WeightFormat& weights) {
  return weight_bytes(probe_graph(model, weights, DType::F16));
}

Bytes kv_bytes(const ModelConfig& model, DType kv, std::int64_t context) {
  Bytes bytes;
  for (const Footprint::Layers& layers : layers_by_window(model)) {
    bytes += kv_row_bytes(model, kv) * static_cast<double>(rows_kept(layers, context) * layers.n);
  }
  return bytes;
}

}  // namespace tinderbox
