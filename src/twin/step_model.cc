#include "twin/step_model.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace tinderbox {
namespace {

std::size_t index(OpClass op_class) { return static_cast<std::size_t>(op_class); }
std::size_t index(DType dtype) { return static_cast<std::size_t>(dtype); }
std::size_t index(Bound bound) { return static_cast<std::size_t>(bound); }

// The arithmetic a product runs at: the stack's choice for the weight's format, or the next wider
// one that the machine has at all.
FlopsPerSecond matmul_peak(const TwinModel& twin, OpClass op_class, DType dtype, Hertz clock) {
  const MathType wanted =
      op_class == OpClass::Attention ? MathType::F16 : twin.stack.format_math[index(dtype)];
  for (const MathType type : {wanted, MathType::F16, MathType::TF32}) {
    if (const FlopsPerSecond peak = twin.machine.peak(type, clock); peak.value() > 0) return peak;
  }
  return twin.machine.peak(MathType::F32, clock);
}

Seconds memory_time(const Work& work, OpClass op_class, const TwinModel& twin) {
  const double share = twin.stack.efficiency[index(op_class)].memory;
  const BytesPerSecond bandwidth = twin.machine.memory_bandwidth * share;
  // Activations are handed from op to op through the L2 cache; only what does not fit goes to
  // memory.
  const Bytes spilled = std::max(Bytes(0), work.activations - twin.machine.l2_size);
  const BytesPerSecond weight_bandwidth =
      bandwidth * twin.stack.format_memory[index(work.weight_dtype)];
  return work.weights / weight_bandwidth + (work.kv_read + work.kv_write + spilled) / bandwidth;
}

// Its count depends on more than how many tokens and sequences the step has.
bool needs_segments(const OpShape& op) {
  return op.kind == OpKind::Attention || op.kind == OpKind::MoeMatMul;
}

Bound largest(Seconds compute, Seconds memory, Seconds launch) {
  if (launch >= std::max(compute, memory)) return Bound::Launch;
  return compute >= memory ? Bound::Compute : Bound::Memory;
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

}  // namespace

std::string_view bound_name(Bound bound) {
  switch (bound) {
    case Bound::Compute:
      return "compute";
    case Bound::Memory:
      return "memory";
    case Bound::Launch:
      return "launch";
  }
  std::abort();
}

Cost price(const Work& work, OpClass op_class, const TwinModel& twin, bool decode) {
  const bool nothing = work.bytes() == Bytes(0) && work.matmul + work.vector == Flops(0);
  if (nothing) return {};  // a view is no kernel
  const Machine& machine = twin.machine;
  const Efficiency& efficiency = twin.stack.efficiency[index(op_class)];
  const Hertz clock = decode ? machine.clock_light : machine.clock_heavy;
  Cost cost;
  const double ratio = twin.stack.format_compute[index(work.weight_dtype)];
  cost.compute = (work.matmul / (ratio * matmul_peak(twin, op_class, work.weight_dtype, clock)) +
                  work.vector / machine.peak(MathType::F32, clock)) /
                 efficiency.compute;
  cost.memory = memory_time(work, op_class, twin);
  cost.launch = efficiency.launches *
                (decode && twin.stack.graphs ? twin.stack.launch_graph : machine.kernel_launch);
  cost.time = std::max(cost.compute, cost.memory) + cost.launch;
  cost.bound = largest(cost.compute, cost.memory, cost.launch);
  return cost;
}

StepModel::StepModel(TwinModel twin)
    : twin_(std::move(twin)),
      footprint_(tinderbox::footprint(twin_.model, twin_.weights, twin_.kv)) {
  const Graph graph = probe_graph(twin_.model, twin_.weights, twin_.kv);
  for (const Op& op : graph.ops) {
    OpShape shape = shape_of(graph, op);
    const Rows x = rows_of(std::exchange(shape.x_rows, 0));
    const Rows out = rows_of(std::exchange(shape.out_rows, 0));
    const auto like = [&](const Line& line) {
      return line.shape == shape && line.x == x && line.out == out;
    };
    const auto found = std::ranges::find_if(lines_, like);
    if (found == lines_.end()) {
      lines_.push_back({shape, x, out, 1});
    } else {
      ++found->n_ops;
    }
  }
}

StepCost StepModel::price(std::span<const Segment> segments, bool explain) const {
  CHECK(!segments.empty());
  double n_tokens = 0, n_sampled = 0;
  for (const Segment& s : segments) {
    n_tokens += s.n_new;
    n_sampled += s.samples ? 1 : 0;
  }
  const auto n_segments = static_cast<double>(segments.size());
  const bool decode = n_tokens == n_segments;

  std::array<ClassCost, kOpClasses> classes{};
  std::array<Seconds, 3> bound_time{};
  StepCost step;
  for (const Line& line : lines_) {
    if (n_sampled == 0 && line.head()) continue;
    OpShape op = line.shape;
    op.x_rows = line.x.of(n_tokens, n_sampled);
    op.out_rows = line.out.of(n_tokens, n_sampled);
    const StepShape shape = needs_segments(op)
                                ? shape_of(segments, op.at)
                                : StepShape{.n_tokens = n_tokens, .n_sequences = n_segments};
    const Work work = count(op, shape, twin_.kv);
    const Cost cost = tinderbox::price(work, op.op_class, twin_, decode);
    step.time += cost.time * line.n_ops;
    bound_time[index(cost.bound)] += cost.time * line.n_ops;
    if (explain) add(classes[index(op.op_class)], cost, work, line.n_ops);
  }
  step.overhead = twin_.stack.step_overhead + twin_.stack.sequence_overhead * n_segments;
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
