// Inside of reference.cc: the interpreter's state and the counting arithmetic, shared by its files.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "model/reference.h"

namespace tinderbox::reference {

// Arithmetic that counts itself.
struct Meter {
  Tally tally;

  double add(double a, double b) { return ++tally.vector_flops, a + b; }
  double sub(double a, double b) { return ++tally.vector_flops, a - b; }
  double mul(double a, double b) { return ++tally.vector_flops, a * b; }
  double div(double a, double b) { return ++tally.vector_flops, a / b; }
  double exp(double a) { return ++tally.vector_flops, std::exp(a); }
  double tanh(double a) { return ++tally.vector_flops, std::tanh(a); }
  double sqrt(double a) { return ++tally.vector_flops, std::sqrt(a); }
  double log(double a) { return ++tally.vector_flops, std::log(a); }
  double erf(double a) { return ++tally.vector_flops, std::erf(a); }
  double sigmoid(double a) { return div(1.0, add(1.0, exp(-a))); }
  double softplus(double a) { return log(add(1.0, exp(a))); }
  bool greater(double a, double b) { return ++tally.vector_flops, a > b; }
  double max(double a, double b) { return greater(a, b) ? a : b; }
  double min(double a, double b) { return greater(a, b) ? b : a; }
  // acc + a b as part of a matrix product.
  double fma(double acc, double a, double b) { return tally.matmul_flops += 2, acc + a * b; }

  double dot(std::span<const float> a, std::span<const float> b) {
    CHECK(a.size() == b.size());
    double acc = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) acc = fma(acc, a[i], b[i]);
    return acc;
  }
};

// The rows of a value as one op sees them; the first touch of each row counts its bytes.
template <typename Float>
class Rows {
 public:
  Rows(Meter& meter, const Value& value, std::span<Float> data)
      : meter_(meter),
        value_(value),
        data_(data),
        touched_(static_cast<std::size_t>(value.rows), false) {
    CHECK(static_cast<std::int64_t>(data.size()) == value.rows * value.cols);
  }
  std::int64_t rows() const { return value_.rows; }
  std::int64_t cols() const { return value_.cols; }

  std::span<Float> row(std::int64_t r) { return part(r, 0, value_.cols); }
  // Elements [begin, begin + n) of a row, where the op touches no others of that row.
  std::span<Float> part(std::int64_t r, std::int64_t begin, std::int64_t n) {
    CHECK(r >= 0 && r < value_.rows && begin + n <= value_.cols);
    if (!touched_[static_cast<std::size_t>(r)]) {
      touched_[static_cast<std::size_t>(r)] = true;
      const auto bytes =
          static_cast<std::int64_t>(dtype_bytes(value_.dtype, static_cast<double>(n)));
      (value_.role == Role::Weight ? meter_.tally.weight_bytes : meter_.tally.activation_bytes) +=
          bytes;
    }
    return data_.subspan(static_cast<std::size_t>(r * value_.cols + begin),
                         static_cast<std::size_t>(n));
  }

 private:
  Meter& meter_;
  const Value& value_;
  std::span<Float> data_;
  std::vector<bool> touched_;
};
using Input = Rows<const float>;
using Output = Rows<float>;

class Interpreter {
 public:
  Interpreter(const Graph& graph, const Reference::WeightSource& weights,
              std::span<const TokenId> tokens, std::span<ReferenceKv> kv, bool kv_round_f16);

  Tally execute(const Op& op);
  std::vector<float> logits() const {
    return graph_.logits == kNoValue ? std::vector<float>{}
                                     : activations_[static_cast<std::size_t>(graph_.logits)];
  }

 private:
  const Value& value(ValueId id) const { return graph_.values[static_cast<std::size_t>(id)]; }
  Input in(const Op& op, std::size_t i);
  Output out(const Op& op);

  using Method = void (Interpreter::*)(const Op&);
  static Method method_of(OpKind kind);
  void embed(const Op& op);
  void layer_norm(const Op& op);
  void rms_norm(const Op& op);
  void mat_mul(const Op& op);
  void block_mat_mul(const Op& op);
  void conv(const Op& op);
  void scan(const Op& op);
  void delta_token(const Op& op, std::span<const float> x, std::span<const float> decay,
                   std::span<const float> beta, std::span<float> state, std::span<float> y);
  void mamba_token(const Op& op, std::span<const float> x, std::span<const float> decay,
                   std::span<float> state, std::span<float> y);
  double activate(Activation activation, double x);
  void scale(const Op& op);
  void slice(const Op& op);
  void rope(const Op& op);
  void kv_store(const Op& op);
  void pool_store(const Op& op);
  std::vector<double> pool(const Op& op, std::span<const float> inputs, std::int64_t row);
  void rotate(const Rope& table, std::span<const double> from, double position,
              std::span<double> to);
  void select(const Op& op);
  std::vector<double> block_scores(const OpAttributes& at, std::span<const float> q,
                                   std::span<const float> weights, std::span<const float> keys,
                                   std::int64_t n_blocks);
  void attention(const Op& op);
  // The rows a query reads, as indices of the cache and of the pooled rows.
  struct Attended {
    std::vector<std::int64_t> main, pooled;
  };
  Attended attended(const Op& op, std::int64_t t, std::int64_t n_visible);
  // One query head over keys and values of n rows.
  struct Head {
    std::span<const float> q;
    std::vector<const float*> k, v;
    double scale, softcap;
    const float* sink;
    std::span<const float> bias;  // of the score of the key that many rows back; keys come in order
  };
  void attend(const Head& head, std::span<float> result);
  std::vector<double> scores(const Head& head);
  void dot(const Op& op);
  void stream_gates(const Op& op);
  void sinkhorn(std::span<double> matrix, std::size_t n, int iterations);
  void stream_read(const Op& op);
  void stream_write(const Op& op);
  void glu(const Op& op);
  void add(const Op& op);
  void moe_route(const Op& op);
  std::vector<double> expert_scores(const Op& op, std::span<const float> logits);
  std::vector<bool> allowed_experts(const Routing& routing, std::span<const double> scores);
  std::vector<std::size_t> largest(std::span<const double> x, const std::vector<bool>& allowed,
                                   std::size_t k);
  void moe_mat_mul(const Op& op);
  void moe_combine(const Op& op);
  void select_rows(const Op& op);

  const Graph& graph_;
  const ModelConfig& model_;
  const Reference::WeightSource& weights_;
  std::span<const TokenId> tokens_;
  std::span<ReferenceKv> kv_;
  bool kv_round_f16_;
  std::vector<std::vector<float>> activations_;  // by ValueId; empty until written
  std::vector<std::int64_t> positions_;          // (T)
  Meter meter_;
};

}  // namespace tinderbox::reference
