#include "twin/step_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "twin/collective.h"

namespace tinderbox {
namespace {

std::size_t index(OpClass op_class) { return static_cast<std::size_t>(op_class); }
std::size_t index(Bound bound) { return static_cast<std::size_t>(bound); }

// Its count depends on more than how many tokens and sequences the step has.
bool needs_segments(const OpShape& op) {
  return op.kind == OpKind::Attention || op.kind == OpKind::MoeMatMul || op.kind == OpKind::Select ||
         op.kind == OpKind::PoolStore;
}

void add(ClassCost& sum, const Cost& cost, const Work& work, int n_ops) {
  sum.n_ops += n_ops;
  if (work.weights > sum.work.weights) sum.work.weight_dtype = work.weight_dtype;
  sum.work.matmul += work.matmul * n_ops;
  sum.work.vector += work.vector * n_ops;
  sum.work.weights += work.weights * n_ops;
  sum.work.kv_read += work.kv_read * n_ops;
  sum.work.kv_write += work.kv_write * n_ops;
  sum.work.activations += work.activations * n_ops;
  sum.time += cost.time * n_ops;
  sum.compute += cost.compute * n_ops;
  sum.memory += cost.memory * n_ops;
  sum.launch += cost.launch * n_ops;
}

struct Counts {
  double tokens = 0, sampled = 0, segments = 0;
};
Counts counts_of(std::span<const Segment> segments, bool verifies) {
  Counts n{.segments = static_cast<double>(segments.size())};
  for (const Segment& s : segments) {
    n.tokens += s.n_new;
    n.sampled += !s.samples ? 0 : verifies ? s.n_new : 1;
  }
  return n;
}

std::vector<Segment> every_nth(std::span<const Segment> segments, int n) {
  std::vector<Segment> out;
  for (std::size_t i = 0; i < segments.size(); i += static_cast<std::size_t>(n)) {
    out.push_back(segments[i]);
  }
  return out;
}

// The step at another length, every part alike.
StepCost scaled(StepCost step, double k) {
  step.time *= k;
  step.overhead *= k;
  step.communication *= k;
  for (ClassCost& c : step.classes) {
    c.time *= k;
    c.compute *= k;
    c.memory *= k;
    c.launch *= k;
  }
  return step;
}

// Products whose weights need a kernel of the stack.
void check_kernels(const Graph& graph, const Stack& stack) {
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::MatMul && op.kind != OpKind::BlockMatMul && op.kind != OpKind::MoeMatMul) {
      continue;
    }
    const Value& w = graph.values[static_cast<std::size_t>(op.in[1])];
    if (stack.kernels_of(w.dtype) != nullptr) continue;
    throw_unsupported(format("{} has no kernel for {} weights ({} of {}); use another format or stack",
                             stack.id, dtype_info(w.dtype).name, w.name, graph.model.id));
  }
}

}  // namespace

void add_scaled(StepCost& sum, const StepCost& step, double n) {
  sum.time += step.time * n;
  sum.overhead += step.overhead * n;
  sum.communication += step.communication * n;
  for (const ClassCost& c : step.classes) {
    auto found = std::ranges::lower_bound(sum.classes, c.op_class, {}, &ClassCost::op_class);
    if (found == sum.classes.end() || found->op_class != c.op_class) {
      found = sum.classes.insert(found, ClassCost{.op_class = c.op_class});
    }
    found->n_ops += static_cast<int>(std::lround(c.n_ops * n));
    found->work.matmul += c.work.matmul * n;
    found->work.vector += c.work.vector * n;
    found->work.weights += c.work.weights * n;
    found->work.kv_read += c.work.kv_read * n;
    found->work.kv_write += c.work.kv_write * n;
    found->work.activations += c.work.activations * n;
    found->work.weight_dtype = c.work.weight_dtype;
    found->time += c.time * n;
    found->compute += c.compute * n;
    found->memory += c.memory * n;
    found->launch += c.launch * n;
    found->bound = c.bound;
  }
}

StepModel::StepModel(TwinModel twin)
    : twin_(std::move(twin)),
      footprint_(std::make_shared<const Footprint>(footprint_of_box(twin_))) {
  const Graph graph = probe_graph(twin_.model, twin_.weights, twin_.kv);
  check_kernels(graph, twin_.stack);
  if (twin_.parallel.boxes() > 1) link_ = link_of_boxes(twin_.machine, twin_.link);
  std::vector<Line> lines;
  for (const Op& op : graph.ops) {
    n_expert_layers_ += op.kind == OpKind::MoeRoute ? 1 : 0;
    OpShape shape = shape_of(graph, op);
    const Rows x = rows_of(std::exchange(shape.x_rows, 0));
    const Rows out = rows_of(std::exchange(shape.out_rows, 0));
    const OpShares shares = shares_of(graph, op, twin_.parallel);
    const auto like = [&](const Line& line) {
      return line.shape == shape && line.x == x && line.out == out && line.shares == shares;
    };
    const auto found = std::ranges::find_if(lines, like);
    if (found == lines.end()) {
      lines.push_back({shape, x, out, shares, 1});
    } else {
      ++found->n_ops;
    }
  }
  lines_ = std::make_shared<const std::vector<Line>>(std::move(lines));
}

StepModel StepModel::with_stack(Stack stack) const {
  StepModel other = *this;
  other.twin_.stack = std::move(stack);
  return other;
}

StepModel StepModel::with_machine(Machine machine) const {
  StepModel other = *this;
  other.twin_.machine = std::move(machine);
  return other;
}

StepModel StepModel::with_accepted(double accepted) const {
  CHECK(twin_.speculation);
  StepModel other = *this;
  other.twin_.speculation->accepted = accepted;
  return other;
}

// The layer's blocks each end in a sum over boxes; so does the embedding, split by vocabulary.
Seconds StepModel::communication(double n_tokens, double n_sampled) const {
  const Parallel& p = twin_.parallel;
  const Seconds start(link_.joins_devices() ? 0 : twin_.stack.price.sync_time);
  const double element = twin_.stack.activation_bytes;
  const Bytes rows(n_tokens * twin_.model.d_model * element);
  Seconds time;
  if (p.tp > 1) {
    time += (all_reduce_time(link_, p.tp, rows) + start) * (2.0 * twin_.model.n_layers + 1);
    if (n_sampled > 0) {
      time += all_gather_time(link_, p.tp, Bytes(n_sampled * twin_.model.n_vocab * element)) + start;
    }
  }
  if (p.ranks() > 1) {
    // A token goes to the boxes of its experts, once each, and comes back.
    const Bytes routed = rows * std::min(twin_.model.n_experts_used, p.ep);
    time += (all_to_all_time(link_, p.ep, routed) + start) * (2.0 * n_expert_layers_);
  }
  if (p.pp > 1) time += (send_time(link_, rows) + start) * (p.pp - 1);
  return time;
}

Work StepModel::work_of(const OpShape& op, const Line& line, StepShape shape,
                        double n_routed) const {
  if (op.op_class != OpClass::Expert) return on_box(count(op, shape, twin_.kv), line.shares);
  OpShape routed = op;
  routed.x_rows *= n_routed / shape.n_tokens;
  routed.out_rows *= n_routed / shape.n_tokens;
  shape.n_tokens = n_routed;
  const double share = expert_share(twin_.parallel, op.at.n_experts, shape.experts);
  return on_box(count(routed, shape, twin_.kv), {.work = share, .cache = 1});
}

StepCost StepModel::price_batch(std::span<const Segment> segments, double n_routed,
                                bool explain, bool verifies) const {
  const Counts n = counts_of(segments, verifies);
  const double n_tokens = n.tokens, n_sampled = n.sampled, n_segments = n.segments;
  const bool decode = verifies || n_tokens == n_segments;

  std::array<ClassCost, kOpClasses> classes{};
  std::array<Seconds, kBounds> bound_time{};
  StepCost step;
  for (const Line& line : *lines_) {
    if (n_sampled == 0 && line.head()) continue;
    OpShape op = line.shape;
    op.x_rows = line.x.of(n_tokens, n_sampled);
    op.out_rows = line.out.of(n_tokens, n_sampled);
    StepShape shape = needs_segments(op)
                          ? shape_of(segments, op.at, op.kind)
                          : StepShape{.n_tokens = n_tokens, .n_sequences = n_segments};
    if (op.op_class == OpClass::Expert) shape.experts = experts_touched(op.at, n_routed, twin_.stack);
    const Work work = work_of(op, line, shape, n_routed);
    const Cost cost = tinderbox::price(op, shape, work, twin_, decode);
    step.time += cost.time * line.n_ops;
    bound_time[index(cost.bound)] += cost.time * line.n_ops;
    if (explain) add(classes[index(op.op_class)], cost, work, line.n_ops);
  }
  step.overhead = Seconds(twin_.stack.price.step_time + twin_.stack.price.sequence_time * n_segments);
  step.communication = communication(n_tokens, n_sampled);
  step.time += step.overhead + step.communication;
  bound_time[index(Bound::Launch)] += step.overhead;
  bound_time[index(Bound::Link)] += step.communication;
  step.bound = static_cast<Bound>(std::ranges::max_element(bound_time) - bound_time.begin());
  for (std::size_t i = 0; i < classes.size(); ++i) {
    ClassCost& c = classes[i];
    if (c.n_ops == 0) continue;
    c.op_class = static_cast<OpClass>(i);
    c.bound = largest(c.compute, c.memory, c.launch);
    step.classes.push_back(c);
  }
  return step;
}

// Cut in their order; a segment samples with its last token.
StepCost StepModel::price(std::span<const Segment> segments, bool explain,
                           bool verifies) const {
  CHECK(!segments.empty());
  const std::int32_t most = twin_.micro_tokens_max();
  if (most == 0 || counts_of(segments, verifies).tokens <= most) {
    return price_piece(segments, explain, verifies);
  }
  StepCost sum, longest;
  std::vector<Segment> piece;
  std::int32_t room = most;
  const auto compute = [&] {
    const StepCost cost = price_piece(piece, explain, verifies);
    if (cost.time > longest.time) longest = cost;
    add_scaled(sum, cost, 1);
    piece.clear();
    room = most;
  };
  for (Segment rest : segments) {
    while (rest.n_new > 0) {
      const std::int32_t n = std::min(rest.n_new, room);
      piece.push_back({.n_past = rest.n_past, .n_new = n, .samples = rest.samples && n == rest.n_new});
      rest.n_past += n;
      rest.n_new -= n;
      room -= n;
      if (room == 0) compute();
    }
  }
  if (!piece.empty()) compute();
  sum.bound = longest.bound;
  return sum;
}

StepCost StepModel::price_piece(std::span<const Segment> segments, bool explain,
                                bool verifies) const {
  const Parallel& p = twin_.parallel;
  const Counts n = counts_of(segments, verifies);
  const int turns = p.pp > 1 && twin_.stack.overlaps_stages
                        ? static_cast<int>(std::min<double>(p.pp, n.segments))
                        : 1;
  // Of the first group and its first box, which have most.
  const auto batch = [&](int n_groups) {
    const int every = n_groups * p.ranks();
    if (every == 1) return price_batch(segments, n.tokens, explain, verifies);
    const double routed = counts_of(every_nth(segments, n_groups), verifies).tokens;
    return price_batch(every_nth(segments, every), routed, explain, verifies);
  };
  StepCost whole = batch(1);
  // Devices of one box work through their queues on their own, whatever the stack.
  const bool in_box = link_.joins_devices();
  if (p.pp == 1 || !(twin_.stack.overlaps_stages || in_box)) return whole;
  if (n.sampled == 0) return scaled(std::move(whole), 1.0 / p.pp);
  if (turns == 1) return whole;
  const bool decode = verifies || n.tokens == n.segments;
  StepCost group = scaled(batch(turns), decode ? 1.0 : (turns + p.pp - 1.0) / p.pp);
  return group.time < whole.time ? group : whole;
}

}  // namespace tinderbox
