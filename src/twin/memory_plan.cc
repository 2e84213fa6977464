#include "twin/memory_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
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

// The heads' own weights; embedding and LM head are the model's.
Bytes mtp_bytes(const ModelConfig& model, const WeightFormat& weights, DType kv) {
  if (model.n_mtp == 0) return {};
  double bytes = 0;
  for (const Value& v : probe_graph(draft_model(model), weights, kv).values) {
    if (v.role != Role::Weight || v.weight_class != WeightClass::Mtp) continue;
    bytes += static_cast<double>(v.rows) * dtype_bytes(v.dtype, static_cast<double>(v.cols));
  }
  return Bytes(model.n_mtp * bytes);
}

Bytes ngram_bytes(const Graph& graph) {
  double bytes = 0;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::Embed || op.at.n_used == 0) continue;
    const Value& table = graph.values[static_cast<std::size_t>(op.in[0])];
    bytes += static_cast<double>(table.rows) * dtype_bytes(table.dtype, static_cast<double>(table.cols));
  }
  return Bytes(bytes);
}

// Caches that are alike, with how many layers have one; a cache that later layers read too is held
// once.
std::vector<Footprint::Layers> cached_layers(const Graph& graph) {
  std::vector<Footprint::Layers> layers;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::KvStore && op.kind != OpKind::PoolStore) continue;
    const Footprint::Layers one{.window = op.at.window,
                                .n = 1,
                                .row = Bytes(kv_row_bytes(op.at, graph.kv_dtype)),
                                .ratio = std::max(op.at.ratio, 1)};
    const auto same = std::ranges::find_if(layers, [&](const Footprint::Layers& l) {
      return l.window == one.window && l.row == one.row && l.ratio == one.ratio;
    });
    if (same == layers.end()) {
      layers.push_back(one);
    } else {
      ++same->n;
    }
  }
  return layers;
}

std::vector<std::int64_t> bends_of(const Graph& graph) {
  std::set<std::int64_t> bends;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::Attention) continue;
    if (op.at.window > 0) bends.insert(op.at.window);
    if (op.at.top_k > 0) bends.insert(std::int64_t{op.at.top_k} * op.at.block);
  }
  return {bends.begin(), bends.end()};
}

Bytes recurrent_state(const Graph& graph) {
  double bytes = 0;
  for (const Op& op : graph.ops) bytes += state_bytes(shape_of(graph, op));
  return Bytes(bytes);
}

std::int64_t rows_kept(const Footprint::Layers& layers, std::int64_t context) {
  const std::int64_t rows = context / layers.ratio;
  return layers.window > 0 ? std::min<std::int64_t>(layers.window, rows) : rows;
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

// Tensor parallelism splits KV by head; more ranks than heads hold copies.
double ranks_of_kv(const ModelConfig& model, int ranks) {
  return std::min(ranks, std::max(model.n_kv_heads, 1));
}

std::int64_t whole(double value) {
  constexpr double kMost = 9e15;  // exact in a double
  return static_cast<std::int64_t>(std::min(value, kMost));
}

// Of the largest step. A stack with a pool sizes it by a full step of as many sequences as it
// admits; one without reserves for what can come.
Bytes activations_of(const TwinModel& twin, const Footprint& model, const MemoryDemand& demand,
                     double tokens_held) {
  const Stack& stack = twin.stack;
  const MemoryPolicy& policy = stack.memory;
  const bool profiles = policy.pool != PoolRule::None;
  const auto step_max = static_cast<double>(
      demand.step_tokens > 0 ? demand.step_tokens : std::max(twin.computed_tokens_max(), 1));
  const double tokens = profiles ? step_max : std::min(step_max, tokens_held);
  const std::int64_t admitted =
      demand.sequences > 0 ? demand.sequences : std::max(stack.sequences_max, 1);
  const std::int64_t sequences =
      profiles ? std::max(admitted, demand.concurrency) : demand.concurrency;
  const double sampled =
      policy.logits_of_all ? tokens : std::min(static_cast<double>(sequences), tokens);
  Bytes peak;
  for (const Rows& live : model.live) peak = std::max(peak, Bytes(live.of(tokens, sampled)));
  constexpr double kGraphElement = 4;  // the graph's activations are f32
  return peak * (policy.activation_size / kGraphElement);
}

// pool = share * of - less, for the stack's rule.
struct PoolLine {
  Bytes of, less;
};
PoolLine pool_line(const TwinModel& twin, const MemoryPlan& plan) {
  const MemoryPolicy& policy = twin.stack.memory;
  const Bytes outside = host_memory(twin.machine, policy);
  switch (policy.pool) {
    case PoolRule::None:
      break;
    case PoolRule::OfTotal:
      return {plan.visible, plan.weights + plan.activations + policy.runtime + policy.graphs};
    case PoolRule::OfFreeAtStart:
      return {plan.visible - outside - policy.runtime, plan.weights};
    case PoolRule::OfFreeAfterLoad:
      return {std::max(Bytes(1), plan.visible - plan.weights - plan.activations - plan.runtime),
              Bytes(0)};
  }
  std::abort();
}

void size_pool(const TwinModel& twin, const MemoryDemand& demand, MemoryPlan& plan) {
  const MemoryPolicy& policy = twin.stack.memory;
  if (policy.pool == PoolRule::None) {
    plan.pool = plan.kv;
    return;
  }
  const Bytes room = plan.safe - plan.weights - plan.activations - plan.runtime;
  const double safe_share = share_for_pool(twin, plan, room, false);
  constexpr double kLeast = 0.01;
  plan.share = demand.share.value_or(std::clamp(safe_share, kLeast, policy.share));
  const PoolLine line = pool_line(twin, plan);
  plan.pool = std::max(Bytes(0), line.of * plan.share - line.less);
}

void fill_phases(const TwinModel& twin, Bytes kv, MemoryPlan& plan) {
  const MemoryPolicy& policy = twin.stack.memory;
  const double n_layers = std::max(twin.model.n_layers, 1);
  PhaseMemory load;
  load.phase = Phase::Load;
  load.runtime = policy.runtime;
  load.host = host_memory(twin.machine, policy);
  load.weights = plan.weights * (1 + policy.load_layers / n_layers);
  if (policy.maps_weights && !twin.machine.memory_dedicated) {
    load.page_cache = std::clamp(plan.visible - load.total(), Bytes(0), plan.weights);
  }
  PhaseMemory prefill = load;
  prefill.phase = Phase::Prefill;
  prefill.weights = plan.weights;
  prefill.kv = kv;
  prefill.activations = plan.activations;
  prefill.graphs = policy.graphs;
  PhaseMemory warm_up = prefill;
  warm_up.phase = Phase::WarmUp;
  // Profiling comes before the pool, capture after it and with small steps.
  if (plan.activations > kv + policy.graphs) {
    warm_up.kv = warm_up.graphs = Bytes(0);
  } else {
    warm_up.activations = Bytes(0);
  }
  PhaseMemory steady = prefill;
  steady.phase = Phase::Steady;
  plan.phases = {load, warm_up, prefill, steady};
  for (PhaseMemory& p : plan.phases) {
    p.page_cache = std::clamp(plan.visible - p.total(), Bytes(0), load.page_cache);
    if (p.total() > plan.total) {
      plan.total = p.total();
      plan.peak = p.phase;
    }
  }
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

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::Load:
      return "load";
    case Phase::WarmUp:
      return "warm_up";
    case Phase::Prefill:
      return "longest_prefill";
    case Phase::Steady:
      return "steady";
  }
  std::abort();
}

double share_for_pool(const TwinModel& twin, const MemoryPlan& plan, Bytes pool, bool at_least) {
  const PoolLine line = pool_line(twin, plan);
  const double hundredths = 100 * ((pool + line.less) / line.of);
  // A share that is whole but for rounding stays itself.
  constexpr double kSlack = 1e-9;
  return (at_least ? std::ceil(hundredths - kSlack) : std::floor(hundredths + kSlack)) / 100;
}

const PhaseMemory& first_above(const MemoryPlan& plan, Bytes limit) {
  const auto above = [&](const PhaseMemory& p) { return p.total() > limit; };
  const auto found = std::ranges::find_if(plan.phases, above);
  return found == plan.phases.end() ? plan.phases.back() : *found;
}

Bytes host_memory(const Machine& machine, const MemoryPolicy& policy) {
  return machine.memory_dedicated ? Bytes(0) : machine.memory_system + policy.host;
}

Bytes in_use_of_share(const Machine& machine, const MemoryPolicy& policy, double share) {
  CHECK(policy.pool == PoolRule::OfTotal);
  return machine.memory_visible * share + host_memory(machine, policy);
}

Footprint footprint(const ModelConfig& model, const WeightFormat& weights, DType kv) {
  const Graph graph = probe_graph(model, weights, kv);
  return {.weights = weight_bytes(graph),
          .mtp = mtp_bytes(model, weights, kv),
          .vision = Bytes(dtype_bytes(weights.vision, model.vision_parameters)),
          .ngrams = ngram_bytes(graph),
          .state = recurrent_state(graph),
          .layers = cached_layers(graph),
          .bends = bends_of(graph),
          .live = live_activations(graph)};
}

Footprint footprint_of_box(const TwinModel& twin) {
  Footprint held = footprint(twin.model, twin.weights, twin.kv);
  if (twin.parallel.boxes() == 1) return held;
  const Graph graph = probe_graph(twin.model, twin.weights, twin.kv);
  check_parallel(graph, twin.parallel);
  const BoxShares shares = box_shares(graph, twin.parallel);
  held.weights *= shares.weights;
  held.state *= shares.state;
  for (Footprint::Layers& layers : held.layers) layers.row *= shares.kv;
  return held;
}

Bytes kv_of_sequence(const Footprint& model, std::int64_t context) {
  return sequence_bytes(model.layers, model.state, context);
}

Bytes kv_of_pool_token(const Footprint& model) {
  if (model.layers.empty()) return {};  // recurrent layers alone
  const auto by_n = [](const auto& a, const auto& b) { return a.n < b.n; };
  const int fewest = std::ranges::min_element(model.layers, by_n)->n;
  const int most = std::ranges::max_element(model.layers, by_n)->n;
  const int group = most < 1.25 * fewest ? most : fewest;
  Bytes row;  // with padding
  for (const Footprint::Layers& layers : model.layers)
    row += layers.row * ((layers.n + group - 1) / group * group) / static_cast<double>(layers.ratio);
  return row;
}

MemoryPlan plan_memory(const TwinModel& twin, const Footprint& model, const MemoryDemand& demand) {
  CHECK(demand.context >= 0 && demand.concurrency >= 1 && demand.ranks >= 1);
  CHECK(!demand.share || (*demand.share > 0 && *demand.share <= 1));
  const MemoryPolicy& policy = twin.stack.memory;
  const Machine& machine = twin.machine;
  const auto streams = static_cast<double>(demand.concurrency);
  const std::int64_t block = std::max(twin.stack.block_tokens, 1);
  // The pool hands out whole blocks.
  const std::int64_t held = (std::max<std::int64_t>(demand.context, 1) + block - 1) / block * block;
  const Bytes kv_sequence = kv_of_sequence(model, held) / ranks_of_kv(twin.model, demand.ranks);

  MemoryPlan plan;
  plan.safe = machine.memory_safe;
  plan.freeze = machine.memory_freeze;
  plan.visible = machine.memory_visible;
  plan.weights = model.weights / static_cast<double>(demand.ranks);
  plan.kv = kv_sequence * streams;
  plan.kv_per_token = kv_sequence / static_cast<double>(held);
  plan.activations = activations_of(twin, model, demand, static_cast<double>(held) * streams);
  plan.runtime = host_memory(machine, policy) + policy.runtime + policy.graphs;
  size_pool(twin, demand, plan);

  const Bytes kept = policy.pool == PoolRule::None ? plan.kv : std::max(plan.kv, plan.pool);
  plan.reserved = kept - plan.kv;
  fill_phases(twin, kept, plan);
  plan.fit = plan.total <= plan.safe    ? Fit::Fits
             : plan.total < plan.freeze ? Fit::Tight
                                        : Fit::Freezes;
  if (plan.fit == Fit::Fits && plan.kv > plan.pool) plan.fit = Fit::Tight;

  const Bytes fixed = plan.weights + plan.activations + plan.runtime;
  const Bytes room = policy.pool == PoolRule::None ? plan.safe - fixed : plan.pool;
  plan.kv_tokens_max = whole(std::max(0.0, room / plan.kv_per_token));
  const Bytes row = kv_of_pool_token(model) / ranks_of_kv(twin.model, demand.ranks);
  plan.block_tokens = block;
  plan.pool_blocks = whole(plan.pool / (row * static_cast<double>(block)));
  plan.pool_tokens = plan.pool_blocks * block;
  return plan;
}

MemoryPlan plan_memory(const TwinModel& twin, const Footprint& model, std::int64_t context,
                       std::int64_t concurrency) {
  return plan_memory(twin, model, {.context = context, .concurrency = concurrency});
}

MemoryPlan plan_memory(const TwinModel& twin, std::int64_t context, std::int64_t concurrency) {
  return plan_memory(twin, footprint(twin.model, twin.weights, twin.kv), context, concurrency);
}

Bytes weight_bytes(const ModelConfig& model, const WeightFormat& weights) {
  return weight_bytes(probe_graph(model, weights, DType::F16));
}

Bytes kv_bytes(const ModelConfig& model, DType kv, std::int64_t context) {
  const Graph graph = probe_graph(model, WeightFormat{}, kv);
  return sequence_bytes(cached_layers(graph), recurrent_state(graph), context);
}

}  // namespace tinderbox
