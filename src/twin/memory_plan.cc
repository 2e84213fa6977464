#include "twin/memory_plan.h"

#include <algorithm>
#include <cstdlib>
#include <span>

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

// Caches that are alike, with how many layers have one; a cache that later layers read too is held
// once.
std::vector<Footprint::Layers> cached_layers(const Graph& graph) {
  std::vector<Footprint::Layers> layers;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::KvStore) continue;
    const Footprint::Layers one{.window = op.at.window,
                                .n = 1,
                                .row = Bytes(kv_row_bytes(op.at, graph.kv_dtype))};
    const auto same = std::ranges::find_if(layers, [&](const Footprint::Layers& l) {
      return l.window == one.window && l.row == one.row;
    });
    if (same == layers.end()) {
      layers.push_back(one);
    } else {
      ++same->n;
    }
  }
  return layers;
}

Bytes recurrent_state(const Graph& graph) {
  double bytes = 0;
  for (const Op& op : graph.ops) bytes += state_bytes(shape_of(graph, op));
  return Bytes(bytes);
}

std::int64_t rows_kept(const Footprint::Layers& layers, std::int64_t context) {
  return layers.window > 0 ? std::min<std::int64_t>(layers.window, context) : context;
}

Bytes sequence_bytes(std::span<const Footprint::Layers> groups, Bytes state, std::int64_t context) {
  Bytes bytes = state;
  for (const Footprint::Layers& layers : groups) {
    bytes += layers.row * static_cast<double>(rows_kept(layers, context) * layers.n);
  }
  return bytes;
}

// A value is alive from the op that writes it to the last op that reads it or a view of it. What is
// alive at each op of the probe graph, without those that another one exceeds in every step.
std::vector<Rows> live_activations(const Graph& graph) {
  std::vector<std::size_t> last_use(graph.values.size(), 0);
  for (std::size_t i = graph.ops.size(); i-- > 0;) {
    const Op& op = graph.ops[i];
    const bool view = op.kind == OpKind::Slice;
    const std::size_t use = view ? last_use[static_cast<std::size_t>(op.out)] : i;
    for (const ValueId in : op.in) {
      if (in == kNoValue) continue;
      std::size_t& last = last_use[static_cast<std::size_t>(in)];
      last = std::max(last, use);
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
    const ValueId out = graph.ops[i].out;
    if (out != kNoValue && graph.ops[i].kind != OpKind::Slice) {
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
          .state = recurrent_state(graph),
          .layers = cached_layers(graph),
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
  const Bytes kv_sequence = sequence_bytes(model.layers, model.state, held);
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
  const Graph graph = probe_graph(model, WeightFormat{}, kv);
  return sequence_bytes(cached_layers(graph), recurrent_state(graph), context);
}

}  // namespace tinderbox
