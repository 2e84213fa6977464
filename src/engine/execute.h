// execute: the interpreter that computes a step's graph with the kernels. Owned by an Engine and
// called by its thread. Work is divided over output rows, panels, experts and query heads only,
// never within a sum.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "engine/arena.h"
#include "engine/engine.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/matmul.h"
#include "engine/kv_store.h"
#include "engine/weights.h"
#include "model/graph.h"

namespace tinderbox {

class Execution {
 public:
  // Reserves all memory for steps up to `largest`. The references outlive this object.
  Execution(const Graph& largest, const Weights& weights, KvStore& kv, ThreadPool& pool);

  // Whether this op's kernels exist: not with every attribute that a graph may have.
  static bool runs(const Op& op, const ModelConfig& model);

  // Computes every op; returns the logits (S, n_vocab), valid until the next call. Requires items
  // that fit the graph.
  std::span<const float> run(const Graph& graph, std::span<const EngineItem> items);
  // What the head of the last run() read: (S, d_model), valid until the next one; empty if it had none.
  std::span<const float> hidden() const;

 private:
  // A token of the step.
  struct Row {
    TokenId token;
    std::int32_t item;
    std::int64_t position;
  };
  // A run of rows of one expert.
  struct ExpertRows {
    std::int64_t expert;
    std::size_t begin, end;  // of gathered_x_, gathered_out_
  };

  void execute(const Op& op);
  void embed(const Op& op);
  void rms_norm(const Op& op);
  void mat_mul(const Op& op);
  void rope(const Op& op);
  void kv_store(const Op& op);
  void attention(const Op& op);
  void glu(const Op& op);
  void add(const Op& op);
  void moe_route(const Op& op);
  void moe_mat_mul(const Op& op);
  void moe_combine(const Op& op);
  void select_rows(const Op& op);

  const Value& value(ValueId id) const { return graph_->values[static_cast<std::size_t>(id)]; }
  const Weight& weight(ValueId id) const { return weights_.at(value(id).name); }
  float* data(ValueId id) const { return arena_.at(*graph_, id); }
  // body(row) for each of n rows of `cols` floats, in parallel where that pays.
  template <typename Body>
  void each_row(std::int64_t n, std::int64_t cols, Body body);
  // The rows of an activation as a format's kernels read them: in place, or quantised into
  // prepared_.
  struct Prepared {
    const std::byte* data;
    std::size_t stride;
  };
  Prepared prepare(ValueId x, bool quantised);
  void prepare_rotations();
  void group_by_expert(const Op& op, const Prepared& x, bool shared_input, float* out,
                       std::int64_t cols);
  std::int64_t queries_per_task() const;

  const Weights& weights_;
  KvStore& kv_;
  ThreadPool& pool_;
  Arena arena_;
  std::size_t scratch_floats_;
  hwy::AlignedFreeUniquePtr<std::byte[]> prepared_;  // quantised rows of prepared_value_
  hwy::AlignedFreeUniquePtr<float[]> scratch_;       // of attention, a part a worker
  std::vector<double> frequencies_;
  double rope_factor_;
  std::vector<float> cosine_, sine_;  // (T, n_dims / 2)

  // Of the step that runs.
  const Graph* graph_ = nullptr;
  std::span<const EngineItem> items_;
  std::vector<Row> rows_;
  ValueId prepared_value_ = kNoValue;
  std::vector<const void*> gathered_x_;
  std::vector<float*> gathered_out_;
  std::vector<const float*> gathered_bias_;
  std::vector<ExpertRows> experts_;
  std::vector<Query> queries_;
  std::vector<AttentionTask> tasks_;
};

}  // namespace tinderbox
