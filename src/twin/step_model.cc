#include "twin/step_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

std::size_t index(OpClass op_class) { return static_cast<std::size_t>(op_class); }
std::size_t index(Bound bound) { return static_cast<std::size_t>(bound); }

// Its count depends on more than how many tokens and sequences the step has.
bool needs_segments(const OpShape& op) {
  return op.kind == OpKind::Attention || op.kind == OpKind::MoeMatMul;
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
      footprint_(std::make_shared<const Footprint>(
          tinderbox::footprint(twin_.model, twin_.weights, twin_.kv))) {
  const Graph graph = probe_graph(twin_.model, twin_.weights, twin_.kv);
  check_kernels(graph, twin_.stack);
  std::vector<Line> lines;
  for (const Op& op : graph.ops) {
    OpShape shape = shape_of(graph, op);
    const Rows x = rows_of(std::exchange(shape.x_rows, 0));
    const Rows out = rows_of(std::exchange(shape.out_rows, 0));
    const auto like = [&](const Line& line) {
      return line.shape == shape && line.x == x && line.out == out;
    };
    const auto found = std::ranges::find_if(lines, like);
    if (found == lines.end()) {
      lines.push_back({shape, x, out, 1});
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

StepModel StepModel::with_accepted(double accepted) const {
  CHECK(twin_.speculation);
  StepModel other = *this;
  other.twin_.speculation->accepted = accepted;
  return other;
}

StepCost StepModel::price(std::span<const Segment> segments, bool explain, bool verifies) const {
  CHECK(!segments.empty());
  double n_tokens = 0, n_sampled = 0;
  for (const Segment& s : segments) {
    n_tokens += s.n_new;
    n_sampled += !s.samples ? 0 : verifies ? s.n_new : 1;
  }
  const auto n_segments = static_cast<double>(segments.size());
  const bool decode = verifies || n_tokens == n_segments;

  std::array<ClassCost, kOpClasses> classes{};
  std::array<Seconds, 3> bound_time{};
  StepCost step;
  for (const Line& line : *lines_) {
    if (n_sampled == 0 && line.head()) continue;
    OpShape op = line.shape;
    op.x_rows = line.x.of(n_tokens, n_sampled);
    op.out_rows = line.out.of(n_tokens, n_sampled);
    StepShape shape = needs_segments(op)
                          ? shape_of(segments, op.at)
                          : StepShape{.n_tokens = n_tokens, .n_sequences = n_segments};
    if (op.op_class == OpClass::Expert) shape.experts = experts_touched(op.at, n_tokens, twin_.stack);
    const Work work = count(op, shape, twin_.kv);
    const Cost cost = tinderbox::price(op, shape, work, twin_, decode);
    step.time += cost.time * line.n_ops;
    bound_time[index(cost.bound)] += cost.time * line.n_ops;
    if (explain) add(classes[index(op.op_class)], cost, work, line.n_ops);
  }
  step.overhead = Seconds(twin_.stack.price.step_time + twin_.stack.price.sequence_time * n_segments);
  step.time += step.overhead;
  bound_time[index(Bound::Launch)] += step.overhead;
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

}  // namespace tinderbox
