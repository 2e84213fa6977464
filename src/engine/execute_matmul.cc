// The ops with matrices, dense and of experts.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "engine/execute.h"
#include "engine/kernels/vector_ops.h"

namespace tinderbox {

Execution::Prepared Execution::prepare(ValueId x, bool quantised) {
  const Value& v = value(x);
  const std::size_t stride = prepared_row_bytes(quantised, v.cols);
  const float* from = data(x);
  if (!quantised) return {reinterpret_cast<const std::byte*>(from), stride};
  if (prepared_value_ == x) return {prepared_.get(), stride};  // q, k and v read the same rows
  const auto grain = static_cast<std::size_t>(std::max<std::int64_t>(1, 8192 / v.cols));
  pool_.parallel_for(static_cast<std::size_t>(v.rows), grain,
                     [&](std::size_t begin, std::size_t end, int) {
                       for (std::size_t t = begin; t < end; ++t) {
                         quantise(from + t * static_cast<std::size_t>(v.cols), v.cols,
                                  reinterpret_cast<ActBlock*>(prepared_.get() + t * stride));
                       }
                     });
  prepared_value_ = x;
  return {prepared_.get(), stride};
}

void Execution::mat_mul(const Op& op) {
  const PackedMatrix& w = weight(op.in[1]).matrix;
  const Prepared x = prepare(op.in[0], w.layout().quantised);
  float* out = data(op.out);
  const auto rows = static_cast<std::size_t>(value(op.out).rows);
  gathered_x_.resize(rows);
  gathered_out_.resize(rows);
  for (std::size_t t = 0; t < rows; ++t) {
    gathered_x_[t] = x.data + t * x.stride;
    gathered_out_[t] = out + t * static_cast<std::size_t>(w.rows());
  }
  const float* bias = op.in[2] == kNoValue ? nullptr : weight(op.in[2]).values.data();
  const MatMul product{&w, 0, bias, gathered_x_, gathered_out_};
  pool_.parallel_for(
      static_cast<std::size_t>(w.n_panels()), 1, [&](std::size_t begin, std::size_t end, int) {
        matmul_panels(product, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
      });
}

// The K largest logits of each token, ties to the lowest expert, and their softmax over the chosen
// or over all.
void Execution::moe_route(const Op& op) {
  const ModelConfig& m = graph_->model;
  const std::int64_t n = m.n_experts, used = m.n_experts_used;
  const float* logits = data(op.in[0]);
  float* out = data(op.out);
  for (std::int64_t t = 0; t < graph_->n_tokens; ++t) {
    const float* x = logits + t * n;
    float *ids = out + t * 2 * used, *weights = ids + used;
    for (std::int64_t j = 0; j < used; ++j) {
      std::int64_t best = -1;
      for (std::int64_t e = 0; e < n; ++e) {
        if (std::find(ids, ids + j, static_cast<float>(e)) != ids + j) continue;
        if (best < 0 || x[e] > x[best]) best = e;
      }
      ids[j] = static_cast<float>(best);
      weights[j] = x[best];
    }
    const float top = weights[0];
    float sum = 0;
    if (!m.moe_norm_topk) {
      for (std::int64_t e = 0; e < n; ++e) sum += std::exp(x[e] - top);
    }
    for (std::int64_t j = 0; j < used; ++j) {
      weights[j] = std::exp(weights[j] - top);
      if (m.moe_norm_topk) sum += weights[j];
    }
    for (std::int64_t j = 0; j < used; ++j) weights[j] /= sum;
  }
}

// Fills gathered_x_, gathered_out_ and experts_: the rows of each expert that some token chose, by
// expert.
void Execution::group_by_expert(const Op& op, const Prepared& x, bool shared_input, float* out,
                                std::int64_t cols) {
  const std::int64_t used = graph_->model.n_experts_used, n = graph_->n_tokens * used;
  const float* routes = data(op.in[2]);
  gathered_x_.clear();
  gathered_out_.clear();
  experts_.clear();
  for (std::int64_t e = 0; e < graph_->model.n_experts; ++e) {
    const std::size_t begin = gathered_x_.size();
    for (std::int64_t i = 0; i < n; ++i) {
      if (routes[i / used * 2 * used + i % used] != static_cast<float>(e)) continue;
      gathered_x_.push_back(x.data +
                            static_cast<std::size_t>(shared_input ? i / used : i) * x.stride);
      gathered_out_.push_back(out + i * cols);
    }
    if (gathered_x_.size() > begin) experts_.push_back({e, begin, gathered_x_.size()});
  }
}

void Execution::moe_mat_mul(const Op& op) {
  const PackedMatrix& w = weight(op.in[1]).matrix;
  const Prepared x = prepare(op.in[0], w.layout().quantised);
  const bool shared_input = value(op.in[0]).rows == graph_->n_tokens;
  group_by_expert(op, x, shared_input, data(op.out), w.rows());
  const float* bias = op.in[3] == kNoValue ? nullptr : weight(op.in[3]).values.data();
  const auto panels = static_cast<std::size_t>(w.n_panels());
  // One range over all panels of all chosen experts.
  pool_.parallel_for(experts_.size() * panels, 1, [&](std::size_t begin, std::size_t end, int) {
    while (begin < end) {
      const ExpertRows& rows = experts_[begin / panels];
      const std::size_t from = begin % panels, to = std::min(panels, from + end - begin);
      const std::size_t n = rows.end - rows.begin;
      const MatMul product{&w, rows.expert,
                           bias == nullptr ? nullptr : bias + rows.expert * w.rows(),
                           std::span(gathered_x_).subspan(rows.begin, n),
                           std::span(gathered_out_).subspan(rows.begin, n)};
      matmul_panels(product, static_cast<std::int64_t>(from), static_cast<std::int64_t>(to));
      begin += to - from;
    }
  });
}

void Execution::moe_combine(const Op& op) {
  const std::int64_t used = graph_->model.n_experts_used, cols = value(op.out).cols;
  const float *y = data(op.in[0]), *routes = data(op.in[1]);
  float* out = data(op.out);
  pool_.parallel_for(
      static_cast<std::size_t>(graph_->n_tokens), 4, [&](std::size_t begin, std::size_t end, int) {
        for (auto t = static_cast<std::int64_t>(begin); t < static_cast<std::int64_t>(end); ++t) {
          std::fill_n(out + t * cols, cols, 0.0f);
          for (std::int64_t j = 0; j < used; ++j) {
            add_scaled(y + (t * used + j) * cols, routes[t * 2 * used + used + j], cols,
                       out + t * cols);
          }
        }
      });
}

}  // namespace tinderbox
