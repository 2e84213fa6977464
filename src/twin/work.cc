#include "twin/work.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"

namespace tinderbox {
namespace {

constexpr double kF32Bytes = 4;  // of an activation
constexpr std::int32_t kProbeTokens =
    1'000'003;  // far above any row count that tokens do not multiply

double glu_flops(Activation activation) {
  switch (activation) {
    case Activation::Silu:
      return 4;
    case Activation::GeluTanh:
      return 10;
    case Activation::SwigluOai:
      return 9;
  }
  std::abort();
}

// Of one token: K passes over the experts not yet chosen, then a softmax over the chosen or over
// all.
double route_flops(const ModelConfig& model) {
  const double n = model.n_experts, k = model.n_experts_used;
  return k * n - k * (k - 1) / 2 + (model.moe_norm_topk ? 4 * k : 3 * n + k);
}

// Operands of each kind: where its weight and its bias stand among the inputs, and its experts.
struct Operands {
  int weight = -1, bias = -1;
};
Operands operands_of(OpKind kind) {
  switch (kind) {
    case OpKind::Embed:
      return {.weight = 0};
    case OpKind::RmsNorm:
      return {.weight = 1};
    case OpKind::MatMul:
      return {.weight = 1, .bias = 2};
    case OpKind::MoeMatMul:
      return {.weight = 1, .bias = 3};
    case OpKind::Attention:
      return {.bias = 1};
    case OpKind::Rope:
    case OpKind::KvStore:
    case OpKind::Glu:
    case OpKind::Add:
    case OpKind::MoeRoute:
    case OpKind::MoeCombine:
    case OpKind::SelectRows:
      return {};
  }
  std::abort();
}

// The numbers of a Work; activations in elements.
struct Counts {
  double matmul = 0, vector = 0, weights = 0, kv_read = 0, kv_write = 0, activations = 0;
};

Counts counts_of(const OpShape& op, const StepShape& step, const ModelConfig& model, DType kv) {
  const double x = op.x_rows * op.x_cols, out = op.out_rows * op.out_cols;
  const double n_routed = step.n_tokens * model.n_experts_used;  // (token, expert) pairs
  Counts n;
  switch (op.kind) {
    case OpKind::Embed:
      n.weights = op.out_rows * op.w_row_bytes;
      n.activations = out;
      break;
    case OpKind::RmsNorm:
      n.vector = 4 * x + 4 * (x / op.w_cols);
      n.weights = op.w_row_bytes;
      n.activations = x + out;
      break;
    case OpKind::MatMul:
      n.matmul = 2 * op.x_rows * op.w_rows * op.w_cols;
      n.vector = op.bias_bytes > 0 ? out : 0;
      n.weights = op.w_rows * op.w_row_bytes + op.bias_bytes;
      n.activations = x + out;
      break;
    case OpKind::Rope:
      n.vector = 3.0 * model.rope.n_dims * (x / model.head_dim);
      n.activations = x + out;
      break;
    case OpKind::KvStore:
      n.kv_write = 2 * op.x_rows * dtype_bytes(kv, op.x_cols);
      n.activations = 2 * x;
      break;
    case OpKind::Attention: {
      const double per_query = op.bias_bytes > 0 ? 4 : 0;
      n.matmul = 4 * step.pairs * op.x_cols;
      n.vector = model.n_heads * (6 * step.pairs + per_query * step.n_tokens);
      n.weights = op.bias_bytes;
      n.kv_read = 2 * step.keys * dtype_bytes(kv, model.kv_dim());
      n.activations = x + out;
      break;
    }
    case OpKind::Glu:
      n.vector = glu_flops(model.activation) * out;
      n.activations = 2 * x + out;
      break;
    case OpKind::Add:
      n.vector = out;
      n.activations = 2 * x + out;
      break;
    case OpKind::MoeRoute:
      n.vector = op.x_rows * route_flops(model);
      n.activations = x + out;
      break;
    case OpKind::MoeMatMul:
      n.matmul = 2 * n_routed * op.w_rows * op.w_cols;
      n.vector = op.bias_bytes > 0 ? out : 0;
      n.weights = step.experts * (op.w_rows * op.w_row_bytes + op.bias_bytes);
      n.activations = x + n_routed + out;
      break;
    case OpKind::MoeCombine:
      n.vector = 2 * x;
      n.activations = x + n_routed + out;
      break;
    case OpKind::SelectRows:
      n.activations = 2 * out;
      break;
  }
  return n;
}

}  // namespace

double expected_experts(int n_experts, int n_experts_used, double n_tokens) {
  const double missed = 1.0 - static_cast<double>(n_experts_used) / n_experts;
  return n_experts * (1.0 - std::pow(missed, n_tokens));
}

OpShape shape_of(const Graph& graph, const Op& op) {
  const auto value = [&](int i) -> const Value* {
    const ValueId id = i < 0 ? kNoValue : op.in[static_cast<std::size_t>(i)];
    return id == kNoValue ? nullptr : &graph.values[static_cast<std::size_t>(id)];
  };
  const Operands operands = operands_of(op.kind);
  OpShape shape{.kind = op.kind, .op_class = op.op_class};
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
    const int n_matrices = op.kind == OpKind::MoeMatMul ? graph.model.n_experts : 1;
    shape.w_rows = static_cast<double>(w->rows / n_matrices);
    shape.w_cols = static_cast<double>(w->cols);
    shape.w_row_bytes = dtype_bytes(w->dtype, shape.w_cols);
    shape.w_dtype = w->dtype;
  }
  if (op.kind == OpKind::Attention) shape.head_dim = graph.model.head_dim;
  if (const Value* bias = value(operands.bias)) {
    shape.bias_bytes = dtype_bytes(bias->dtype, static_cast<double>(bias->cols));
  }
  return shape;
}

StepShape shape_of(std::span<const Segment> segments, std::int32_t window, double experts) {
  StepShape step{.experts = experts};
  for (const Segment& s : segments) {
    const double past = s.n_past, n = s.n_new;
    const double reach = window > 0 ? window : past + n;  // keys that a query sees at most
    // The first `growing` queries see everything before them, the others `reach` keys.
    const double growing = std::clamp(reach - past, 0.0, n);
    step.n_tokens += n;
    step.pairs += growing * past + growing * (growing + 1) / 2 + (n - growing) * reach;
    step.keys += std::min(past + n, reach + n - 1);
  }
  return step;
}

Work count(const OpShape& op, const StepShape& step, const ModelConfig& model, DType kv) {
  const Counts n = counts_of(op, step, model, kv);
  return {.matmul = Flops(n.matmul),
          .vector = Flops(n.vector),
          .weights = Bytes(n.weights),
          .kv_read = Bytes(n.kv_read),
          .kv_write = Bytes(n.kv_write),
          .activations = Bytes(kF32Bytes * n.activations),
          .weight_dtype = op.w_dtype};
}

Work count(const Graph& graph, const Op& op, double experts) {
  const ModelConfig& model = graph.model;
  if (experts < 0) {
    experts = model.is_moe() ? expected_experts(model.n_experts, model.n_experts_used,
                                                static_cast<double>(graph.n_tokens))
                             : 0;
  }
  return count(shape_of(graph, op), shape_of(graph.segments, op.window, experts), model,
               graph.kv_dtype);
}

Graph probe_graph(const ModelConfig& model, const WeightFormat& weights, DType kv) {
  return build_step(model, weights, kv,
                    {Segment{.n_past = 0, .n_new = kProbeTokens, .samples = true}});
}

Rows rows_of(double probe_rows) {
  if (probe_rows < kProbeTokens) return {.per_sample = probe_rows};
  CHECK(std::fmod(probe_rows, kProbeTokens) == 0);
  return {.per_token = probe_rows / kProbeTokens};
}

}  // namespace tinderbox
