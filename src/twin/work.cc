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

// Of f(gate), and of SwigluOai what it does to `up` besides.
double activation_flops(Activation activation) {
  switch (activation) {
    case Activation::Silu:
    case Activation::Sigmoid:
      return 3;
    case Activation::GeluTanh:
      return 9;
    case Activation::SwigluOai:
      return 8;
    case Activation::Gelu:
      return 5;
    case Activation::Relu2:
      return 2;
    case Activation::Identity:
      return 0;
  }
  std::abort();
}

// Passes that find the k largest of n, each over those not yet chosen.
double selection_flops(double n, double k) { return k * n - k * (k - 1) / 2; }

double scoring_flops(const OpAttributes& at) {
  const double n = at.n_experts, k = at.n_used;
  switch (at.routing.scoring) {
    case Scoring::Softmax:  // over the chosen or over all
      return at.norm_topk ? 4 * k : 3 * n + k;
    case Scoring::Sigmoid:
      return 3 * n + (at.norm_topk ? 2 * k : 0);
    case Scoring::SqrtSoftplus:
      return 4 * n + (at.norm_topk ? 2 * k : 0);
  }
  std::abort();
}

// Of one token: scores, the best groups by their two best experts, the best experts of those, and
// factors.
double route_flops(const OpAttributes& at, bool bias, bool factors) {
  const double n = at.n_experts, k = at.n_used;
  const double groups = at.routing.n_groups, used = at.routing.n_groups_used;
  double flops = scoring_flops(at) + selection_flops(n * used / groups, k);
  if (groups > used) {
    const double size = n / groups;
    flops += groups * (selection_flops(size, std::min(size, 2.0)) + 1);
    flops += selection_flops(groups, used);
  }
  return flops + (bias ? n : 0) + (factors ? k : 0) + (at.routing.scale != 1.0 ? k : 0);
}

// Of one token; products with the state are matmul flops, everything else vector flops.
struct ScanFlops {
  double matmul = 0, vector = 0;
};
ScanFlops scan_flops(const OpAttributes& at) {
  const double heads = at.n_heads, k_heads = at.n_kv_heads;
  const double k = at.qk_dim, v = at.v_dim, state = k * v;
  switch (at.rule) {
    case ScanRule::GatedDelta:  // norms of q and k, decay, sigmoid, decay of the state, delta
      return {6 * heads * state, k_heads * (6 * k + 7) + heads * (6 + 3 + state + 2 * v)};
    case ScanRule::ChannelDelta:
      return {6 * heads * state,
              k_heads * (6 * k + 7) + heads * (3 + 6 * k + state + 2 * v)};
    case ScanRule::Mamba2:
      return {4 * heads * state, heads * (6 + state + 3 * v)};
  }
  std::abort();
}

// The numbers of a Work; activations in elements.
struct Counts {
  double matmul = 0, vector = 0, weights = 0, kv_read = 0, kv_write = 0, activations = 0;
};

Counts attention_counts(const OpShape& op, const StepShape& step, DType kv) {
  const OpAttributes& at = op.at;
  const double tokens = step.n_tokens, heads = at.n_heads;
  Counts n;
  n.matmul = 2 * step.pairs * heads * (at.qk_dim + at.v_dim);
  const double per_pair = at.softcap > 0 ? 9 : 6, per_query = op.bias_bytes > 0 ? 4 : 0;
  n.vector = heads * (per_pair * step.pairs + per_query * tokens + step.biased);
  n.weights = op.bias_bytes;
  n.kv_read = step.keys * kv_row_bytes(at, kv);
  n.activations = tokens * (heads * (at.qk_dim + at.v_dim + at.extent) + at.top_k);
  return n;
}

Counts select_counts(const OpShape& op, const StepShape& step, DType kv) {
  const OpAttributes& at = op.at;
  const double per_pair = op.extra_cols > 0 ? 3 : 2, many_keys = at.block > at.ratio ? 1 : 0;
  return {.matmul = 2 * step.pairs * at.n_heads * at.qk_dim,
          .vector = step.pairs * (at.n_heads * per_pair + many_keys) + step.blocks,
          .kv_read = step.keys * kv_row_bytes(at, kv),
          .activations = step.n_tokens * (op.x_cols + op.extra_cols + at.top_k)};
}

// Of one pooled row: for each channel the softmax of its tokens' gates and their weighted sum, or their mean; then
// norm and rotation.
double pool_flops(const OpShape& op) {
  const OpAttributes& at = op.at;
  const double tokens = at.ratio * at.overlap, width = at.qk_dim;
  const bool gated = op.extra_cols > 0, biased = op.w_row_bytes > 0, normed = op.bias_bytes > 0;
  double flops = width * (gated ? tokens * (biased ? 8 : 7) : tokens + 1);
  if (normed) flops += 4 * width + 4;
  return flops + (at.rope != LayerRope::None ? 3.0 * at.n_dims : 0);
}

Counts pool_counts(const OpShape& op, const StepShape& step, DType kv) {
  const double kept_row = dtype_bytes(op.at.state, op.x_cols + op.extra_cols);
  return {.vector = step.completed * pool_flops(op),
          .weights = op.w_rows * op.w_row_bytes + op.bias_bytes,
          .kv_read = step.kept_read * kept_row,
          .kv_write = step.completed * kv_row_bytes(op.at, kv) + step.kept_written * kept_row,
          .activations = step.n_tokens * (op.x_cols + op.extra_cols)};
}

// Of one token: an affine map and a sigmoid for each weight; softmax by row and the normalisations that make the
// mixing matrix doubly stochastic.
double gates_flops(const OpAttributes& at, double cols) {
  const double n = at.n_streams;
  if (cols == n) return 6 * n;
  const double passes = 2.0 * at.iterations - 1;
  return 12 * n + 8 * n * n + passes * (2 * n * n + n);
}

Counts stream_counts(const OpShape& op) {
  const double x = op.x_rows * op.x_cols, out = op.out_rows * op.out_cols, n = op.at.n_streams;
  const double extra = op.x_rows * op.extra_cols;
  if (op.kind == OpKind::StreamGates) {
    return {.vector = op.x_rows * gates_flops(op.at, op.x_cols),
            .weights = op.bias_bytes + op.extra_bytes,
            .activations = x + out};
  }
  if (op.kind == OpKind::StreamRead) {
    return {.vector = out * (extra > 0 ? 2 * n : n + 1), .activations = x + extra + out};
  }
  // Further inputs are any of streams (n d), weights (n) and mixing (n n, with both others).
  const bool streams = op.extra_cols >= op.out_cols;
  const double rest = op.extra_cols - (streams ? op.out_cols : 0);
  const double per_element = (rest > n ? 2 * n : 0) + (rest > 0 ? 1 : 0) + (streams ? 1 : 0);
  return {.vector = out * per_element, .activations = x + extra + out};
}

Counts recurrence_counts(const OpShape& op, const StepShape& step) {
  const double tokens = step.n_tokens, state = step.n_sequences * state_bytes(op);
  Counts n{.kv_read = state, .kv_write = state};
  const double out = op.out_rows * op.out_cols;
  if (op.kind == OpKind::Conv) {
    const double bias = op.bias_bytes > 0 ? 1 : 0;
    n.vector = out * (2 * op.w_cols + bias + activation_flops(op.at.activation));
    n.weights = op.w_rows * op.w_row_bytes + op.bias_bytes;
    n.activations = 2 * out;
    return n;
  }
  const OpAttributes& at = op.at;
  const ScanFlops flops = scan_flops(at);
  n.matmul = flops.matmul * tokens;
  n.vector = flops.vector * tokens;
  n.weights = op.extra_bytes;
  n.activations = op.x_rows * op.x_cols + out + tokens * op.extra_cols;
  return n;
}

Counts expert_counts(const OpShape& op, const StepShape& step) {
  const double x = op.x_rows * op.x_cols, out = op.out_rows * op.out_cols;
  const double n_routed = step.n_tokens * op.at.n_used;  // (token, expert) pairs
  Counts n;
  if (op.kind == OpKind::MoeRoute) {
    n.vector = op.x_rows * route_flops(op.at, op.bias_bytes > 0, op.extra_bytes > 0);
    n.weights = op.bias_bytes + op.extra_bytes;
    n.activations = x + out;
  } else if (op.kind == OpKind::MoeCombine) {
    n.vector = 2 * x;
    n.activations = x + n_routed + out;
  } else {
    n.matmul = 2 * n_routed * op.w_rows * op.w_cols;
    n.vector = op.bias_bytes > 0 ? out : 0;
    n.weights = step.experts * (op.w_rows * op.w_row_bytes + op.bias_bytes);
    n.activations = x + n_routed + out;
  }
  return n;
}

double scale_flops(const OpAttributes& at, bool weight) {
  return (weight ? 1 : 0) + (at.scale != 1.0 ? 1 : 0) + (at.softcap > 0 ? 3 : 0);
}

Counts counts_of(const OpShape& op, const StepShape& step, DType kv) {
  const double x = op.x_rows * op.x_cols, out = op.out_rows * op.out_cols;
  const bool scaled = op.at.scale != 1.0;
  switch (op.kind) {
    case OpKind::Embed:
      return {.vector = scaled ? out : 0,
              .weights = op.out_rows * std::max(op.at.n_used, 1) * op.w_row_bytes,
              .activations = out};
    case OpKind::LayerNorm:
      return {.vector = (op.bias_bytes > 0 ? 7 : 6) * x + 5 * op.x_rows,
              .weights = op.w_row_bytes + op.bias_bytes,
              .activations = x + out};
    case OpKind::RmsNorm:
      return {.vector = (op.w_row_bytes > 0 ? 4 : 3) * x + 4 * (x / op.at.width),
              .weights = op.w_row_bytes,
              .activations = x + out};
    case OpKind::MatMul:
    case OpKind::BlockMatMul:  // of a product with blocks, one output column is one row of one of them
      return {.matmul = 2 * out * op.w_cols,
              .vector = op.bias_bytes > 0 ? out : 0,
              .weights = op.w_rows * op.w_row_bytes + op.bias_bytes,
              .activations = x + out};
    case OpKind::Rope:
      return {.vector = 3.0 * op.at.n_dims * (x / op.at.width), .activations = x + out};
    case OpKind::KvStore:
      return {.kv_write = op.x_rows * kv_row_bytes(op.at, kv),
              .activations = op.x_rows * kv_row_elements(op.at)};
    case OpKind::PoolStore:
      return pool_counts(op, step, kv);
    case OpKind::Select:
      return select_counts(op, step, kv);
    case OpKind::Attention:
      return attention_counts(op, step, kv);
    case OpKind::Dot:
      return {.vector = 2 * x + (scaled ? out : 0), .activations = 2 * x + out};
    case OpKind::StreamGates:
    case OpKind::StreamRead:
    case OpKind::StreamWrite:
      return stream_counts(op);
    case OpKind::Conv:
    case OpKind::Scan:
      return recurrence_counts(op, step);
    case OpKind::Glu: {
      const double up = op.extra_cols > 0 ? out : 0;
      return {.vector = activation_flops(op.at.activation) * x + up, .activations = x + up + out};
    }
    case OpKind::Add:
      return {.vector = scaled ? 2 * out : out, .activations = 2 * x + out};
    case OpKind::Scale:
      return {.vector = scale_flops(op.at, op.w_row_bytes > 0) * out,
              .weights = op.w_row_bytes,
              .activations = x + out};
    case OpKind::Slice:
      return {};
    case OpKind::MoeRoute:
    case OpKind::MoeMatMul:
    case OpKind::MoeCombine:
      return expert_counts(op, step);
    case OpKind::SelectRows:
      return {.activations = 2 * out};
  }
  std::abort();
}

}  // namespace

double expected_experts(int n_experts, int n_experts_used, double n_tokens) {
  const double missed = 1.0 - static_cast<double>(n_experts_used) / n_experts;
  return n_experts * (1.0 - std::pow(missed, n_tokens));
}

double kv_row_elements(const OpAttributes& at) {
  return static_cast<double>(at.n_kv_heads) * (at.qk_dim + (at.latent ? 0 : at.v_dim));
}

double kv_row_bytes(const OpAttributes& at, DType kv) {
  const double heads = at.n_kv_heads;
  const double value = at.latent ? 0 : dtype_bytes(kv, heads * at.v_dim);
  return dtype_bytes(kv, heads * at.qk_dim) + value;
}

double state_bytes(const OpShape& op) {
  const OpAttributes& at = op.at;
  if (op.kind == OpKind::Conv) return (op.w_cols - 1) * dtype_bytes(at.state, op.w_rows);
  if (op.kind == OpKind::PoolStore) {
    return static_cast<double>(at.ratio) * at.overlap *
           dtype_bytes(at.state, op.x_cols + op.extra_cols);
  }
  if (op.kind != OpKind::Scan) return 0;
  return at.n_heads * static_cast<double>(at.qk_dim) * dtype_bytes(at.state, at.v_dim);
}

Work count(const OpShape& op, const StepShape& step, DType kv) {
  const Counts n = counts_of(op, step, kv);
  return {.matmul = Flops(n.matmul),
          .vector = Flops(n.vector),
          .weights = Bytes(n.weights),
          .kv_read = Bytes(n.kv_read),
          .kv_write = Bytes(n.kv_write),
          .activations = Bytes(kF32Bytes * n.activations),
          .weight_dtype = op.w_dtype};
}

Work count(const Graph& graph, const Op& op, double experts) {
  StepShape step = shape_of(graph.segments, op.at, op.kind);
  if (experts >= 0) step.experts = experts;
  return count(shape_of(graph, op), step, graph.kv_dtype);
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
