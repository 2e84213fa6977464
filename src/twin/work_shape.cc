// What counts take from an op's operands, and from a step's segments: sums over tokens of the rows they see, in
// closed form.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "twin/work.h"

namespace tinderbox {
namespace {

// Operands of each kind: where its weight and its bias stand among the inputs.
struct Operands {
  int weight = -1, bias = -1;
};
Operands operands_of(OpKind kind) {
  switch (kind) {
    case OpKind::Embed:
      return {.weight = 0};
    case OpKind::RmsNorm:
    case OpKind::BlockMatMul:
    case OpKind::Scale:
      return {.weight = 1};
    case OpKind::LayerNorm:
    case OpKind::MatMul:
    case OpKind::Conv:
      return {.weight = 1, .bias = 2};
    case OpKind::PoolStore:
      return {.weight = 2, .bias = 3};
    case OpKind::MoeMatMul:
      return {.weight = 1, .bias = 3};
    case OpKind::Attention:
    case OpKind::MoeRoute:
    case OpKind::StreamGates:
      return {.bias = 1};
    case OpKind::Rope:
    case OpKind::KvStore:
    case OpKind::Select:
    case OpKind::Scan:
    case OpKind::Dot:
    case OpKind::StreamRead:
    case OpKind::StreamWrite:
    case OpKind::Glu:
    case OpKind::Add:
    case OpKind::Slice:
    case OpKind::MoeCombine:
    case OpKind::SelectRows:
      return {};
  }
  std::abort();
}

// Sum over i = 1 ... n of min(i, most).
double sum_of_tokens(double n, double most) {
  const double growing = std::min(n, most);
  return growing * (growing + 1) / 2 + (n - growing) * most;
}

// Sum over i = 1 ... n of min(floor(i / size), most).
double sum_of_blocks(double n, double size, double most) {
  const double growing = std::min(n, most * size);
  const double full = std::floor(growing / size);
  const double sum = size * full * (full - 1) / 2 + full * (growing - full * size + 1);
  return growing < n ? sum + (n - growing) * most : sum;
}

// Sum over i = 1 ... n of i mod size.
double sum_of_rests(double n, double size) {
  const double full = std::floor(n / size), rest = n - full * size;
  return full * size * (size - 1) / 2 + rest * (rest + 1) / 2;
}

constexpr double kAll = 9e15;  // more tokens than there can be; exact in a double

void attended(const Segment& s, const OpAttributes& at, StepShape& step) {
  const double past = s.n_past, n = s.n_new, all = past + n;
  const double window = at.window > 0 ? at.window : kAll, top_k = at.top_k > 0 ? at.top_k : kAll;
  const auto blocks = [&](double size) {
    return sum_of_blocks(all, size, top_k) - sum_of_blocks(past, size, top_k);
  };
  if (at.top_k > 0 && at.ratio == 0) {
    const double selected = blocks(at.block) * at.block + sum_of_rests(all, at.block) -
                            sum_of_rests(past, at.block);
    step.pairs += selected;
    step.keys += std::min(all, selected);
    return;
  }
  step.pairs += sum_of_tokens(all, window) - sum_of_tokens(past, window);
  step.keys += std::min(all, window + n - 1);
  if (at.extent > 0) {
    const double extent = std::min<double>(window, at.extent);
    step.biased += sum_of_tokens(all, extent) - sum_of_tokens(past, extent);
  }
  if (at.ratio == 0) return;
  const double far = blocks(at.ratio), pooled = std::floor(all / at.ratio);
  step.pairs += far;
  step.keys += at.top_k > 0 ? std::min(pooled, far) : pooled;
}

void scored(const Segment& s, const OpAttributes& at, StepShape& step) {
  const double all = s.n_past + s.n_new, keys_per_block = at.block / at.ratio;
  const double blocks =
      sum_of_blocks(all, at.block, kAll) - sum_of_blocks(s.n_past, at.block, kAll);
  step.blocks += blocks;
  step.pairs += blocks * keys_per_block;
  step.keys += std::floor(all / at.block) * keys_per_block;
}

void pooled(const Segment& s, const OpAttributes& at, StepShape& step) {
  const double kept = static_cast<double>(at.ratio) * at.overlap;
  const double completed = (s.n_past + s.n_new) / at.ratio - s.n_past / at.ratio;
  step.completed += completed;
  step.kept_written += std::min<double>(s.n_new, kept);
  if (completed > 0) step.kept_read += kept;
}

}  // namespace

OpShape shape_of(const Graph& graph, const Op& op) {
  const auto value = [&](int i) -> const Value* {
    const ValueId id = i < 0 ? kNoValue : op.in[static_cast<std::size_t>(i)];
    return id == kNoValue ? nullptr : &graph.values[static_cast<std::size_t>(id)];
  };
  const auto bytes = [](const Value* v) {
    return v == nullptr ? 0 : dtype_bytes(v->dtype, static_cast<double>(v->cols));
  };
  const Operands operands = operands_of(op.kind);
  OpShape shape{.kind = op.kind, .op_class = op.op_class, .at = op.at};
  if (const Value* x = value(0); x->role == Role::Activation) {
    shape.x_rows = static_cast<double>(x->rows);
    shape.x_cols = static_cast<double>(x->cols);
  }
  if (op.out != kNoValue) {
    const Value& out = graph.values[static_cast<std::size_t>(op.out)];
    shape.out_rows = static_cast<double>(out.rows);
    shape.out_cols = static_cast<double>(out.cols);
  }
  if (const Value* w = value(operands.weight)) {
    const int n_matrices = op.kind == OpKind::MoeMatMul ? op.at.n_experts : 1;
    shape.w_rows = static_cast<double>(w->rows / n_matrices);
    shape.w_cols = static_cast<double>(w->cols);
    shape.w_row_bytes = dtype_bytes(w->dtype, shape.w_cols);
    shape.w_dtype = w->dtype;
  }
  shape.bias_bytes = bytes(value(operands.bias));
  const bool two_vectors = op.kind == OpKind::MoeRoute || op.kind == OpKind::StreamGates;
  if (two_vectors) shape.extra_bytes = bytes(value(2));
  const bool further = op.kind == OpKind::PoolStore || op.kind == OpKind::Select ||
                       op.kind == OpKind::StreamRead || op.kind == OpKind::StreamWrite;
  for (int i = 1; further && i < 4; ++i) {
    const Value* v = value(i);
    if (v != nullptr && v->role == Role::Activation) {
      shape.extra_cols += static_cast<double>(v->cols);
    }
  }
  if (op.kind == OpKind::Glu && value(1) != nullptr) {
    shape.extra_cols = static_cast<double>(value(1)->cols);
  }
  if (op.kind == OpKind::Scan) {
    for (const int i : {1, 2}) {
      if (value(i) != nullptr) shape.extra_cols += static_cast<double>(value(i)->cols);
    }
    for (const int i : {3, 4, 5}) shape.extra_bytes += bytes(value(i));
  }
  return shape;
}

StepShape shape_of(std::span<const Segment> segments, const OpAttributes& at, OpKind kind) {
  StepShape step;
  for (const Segment& s : segments) {
    step.n_sequences += 1;
    step.n_tokens += s.n_new;
    if (kind == OpKind::Attention) attended(s, at, step);
    if (kind == OpKind::Select) scored(s, at, step);
    if (kind == OpKind::PoolStore) pooled(s, at, step);
  }
  if (at.n_experts > 0) step.experts = expected_experts(at.n_experts, at.n_used, step.n_tokens);
  return step;
}

}  // namespace tinderbox
