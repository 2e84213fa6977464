// Exact counts of what an op does; knows no machine. Equal, op for op, to what the counting
// reference interpreter (model/reference.h) executes; the conventions stand there.
#pragma once

#include <cstdint>
#include <span>

#include "base/units.h"
#include "model/graph.h"

namespace tinderbox {

struct Work {
  Flops matmul{}, vector{};
  Bytes weights{}, kv_read{}, kv_write{}, activations{};
  DType weight_dtype = DType::F32;  // of the weight it multiplies, if it does

  Bytes bytes() const { return weights + kv_read + kv_write + activations; }
};

// experts: distinct experts a MoeMatMul touches; negative: the expected number for uniform routing,
// E (1 - (1 - K/E)^T).
Work count(const Graph& graph, const Op& op, double experts = -1);

double expected_experts(int n_experts, int n_experts_used, double n_tokens);

// The same count from shapes alone, so that a step can be counted without building its graph: what
// the count takes from an op's operands ...
struct OpShape {
  OpKind kind{};
  OpClass op_class{};
  OpAttributes at{};
  double x_rows = 0, x_cols = 0, out_rows = 0, out_cols = 0;  // first input and output
  double w_rows = 0, w_cols = 0, w_row_bytes = 0;             // weight; of MoeMatMul one expert's
  double bias_bytes = 0;   // bias, or sinks of Attention; 0: none
  double extra_cols = 0;   // further inputs: up of Glu, decay and beta of Scan, ...
  double extra_bytes = 0;  // further weights: expert factors of MoeRoute, vectors of Scan, scale of StreamGates
  DType w_dtype = DType::F32;
  friend bool operator==(const OpShape&, const OpShape&) = default;
};
OpShape shape_of(const Graph& graph, const Op& op);

// ... and what it takes from the step's segments and the op's attributes.
struct StepShape {
  double n_tokens = 0;     // T
  double n_sequences = 0;  // segments
  double experts = 0;      // distinct experts a MoeMatMul touches, expected
  // Attention, Select: sum over new tokens of the rows they read; sum over segments of the rows read, where rows
  // that queries select count again, up to all there are.
  double pairs = 0, keys = 0;
  double biased = 0;                           // Attention: those of pairs whose score gets a bias
  double blocks = 0;                           // Select: sum over new tokens of the blocks scored
  double completed = 0;                        // PoolStore: pooled rows appended
  double kept_written = 0, kept_read = 0;      // PoolStore: rows of inputs kept for later
};
StepShape shape_of(std::span<const Segment> segments, const OpAttributes& at,
                   OpKind kind = OpKind::Attention);

Work count(const OpShape& op, const StepShape& step, DType kv);

// A cached row of KvStore, PoolStore, Select or Attention: key and value of one token, or of a pooled window.
double kv_row_elements(const OpAttributes& at);
double kv_row_bytes(const OpAttributes& at, DType kv);
// What a Scan, Conv or PoolStore keeps of one sequence beside cached rows; 0 for other ops.
double state_bytes(const OpShape& op);

// A step of one sampling sequence with so many tokens that every row count tells what it grows
// with.
Graph probe_graph(const ModelConfig& model, const WeightFormat& weights, DType kv);

// Rows of a value as a function of the step.
struct Rows {
  double per_token = 0, per_sample = 0;
  double of(double n_tokens, double n_sampled) const {
    return per_token * n_tokens + per_sample * n_sampled;
  }
  friend bool operator==(const Rows&, const Rows&) = default;
};
// Of a value of the probe graph.
Rows rows_of(double probe_rows);

}  // namespace tinderbox
