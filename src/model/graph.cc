#include "model/graph.h"

#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"

namespace tinderbox {
namespace {

// Checks one graph op by op; remembers which activations exist and which weights and caches were
// used.
class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph), written_(graph.values.size(), false) {}
  void run();

 private:
  void check_values();
  void check_op(const Op& op);
  void check_attention(const Op& op);
  void check_experts(const Op& op);

  const Value& value(ValueId id) const {
    CHECK(id >= 0 && static_cast<std::size_t>(id) < graph_.values.size());
    return graph_.values[static_cast<std::size_t>(id)];
  }
  // The i-th input: an activation written earlier, or a weight.
  const Value& activation(const Op& op, std::size_t i) const;
  const Value& weight(const Op& op, std::size_t i) const;
  const Value& output(const Op& op);
  void check_none(const Op& op, std::size_t first_unused) const {
    for (std::size_t i = first_unused; i < op.in.size(); ++i) CHECK(op.in[i] == kNoValue);
  }
  static void check_shape(const Value& v, std::int64_t rows, std::int64_t cols) {
    CHECK(v.rows == rows);
    CHECK(v.cols == cols);
  }

  const Graph& graph_;
  std::vector<bool> written_;
  std::set<std::int32_t> stored_layers_, attended_layers_;
};

const Value& Verifier::activation(const Op& op, std::size_t i) const {
  const Value& v = value(op.in[i]);
  CHECK(v.role == Role::Activation);
  CHECK(written_[static_cast<std::size_t>(op.in[i])]);
  return v;
}

const Value& Verifier::weight(const Op& op, std::size_t i) const {
  const Value& v = value(op.in[i]);
  CHECK(v.role == Role::Weight);
  return v;
}

const Value& Verifier::output(const Op& op) {
  const Value& v = value(op.out);
  CHECK(v.role == Role::Activation);
  CHECK(!written_[static_cast<std::size_t>(op.out)]);
  written_[static_cast<std::size_t>(op.out)] = true;
  return v;
}

void Verifier::check_values() {
  std::set<std::string_view> names;
  for (const Value& v : graph_.values) {
    CHECK(v.rows > 0 && v.cols > 0);
    if (v.role == Role::Weight) {
      CHECK(!v.name.empty());
      CHECK(names.insert(v.name).second);
    } else {
      CHECK(v.name.empty());
      CHECK(v.dtype == DType::F32);
    }
  }
}

void Verifier::check_attention(const Op& op) {
  const ModelConfig& m = graph_.model;
  if (op.kind == OpKind::KvStore) {
    check_shape(activation(op, 0), graph_.n_tokens, m.kv_dim());
    check_shape(activation(op, 1), graph_.n_tokens, m.kv_dim());
    CHECK(op.out == kNoValue);
    CHECK(op.layer >= 0 && op.layer < m.n_layers);
    CHECK(stored_layers_.insert(op.layer).second);
    return check_none(op, 2);
  }
  check_shape(activation(op, 0), graph_.n_tokens, m.q_dim());
  if (op.in[1] != kNoValue) check_shape(weight(op, 1), 1, m.n_heads);
  check_shape(output(op), graph_.n_tokens, m.q_dim());
  CHECK(op.window >= 0);
  CHECK(m.n_heads % m.n_kv_heads == 0);
  CHECK(stored_layers_.contains(op.layer));
  CHECK(attended_layers_.insert(op.layer).second);
  check_none(op, 2);
}

void Verifier::check_experts(const Op& op) {
  const std::int64_t n_experts = graph_.model.n_experts, n_used = graph_.model.n_experts_used;
  CHECK(n_used >= 1 && n_used <= n_experts);
  const std::int64_t tokens = graph_.n_tokens;
  if (op.kind == OpKind::MoeRoute) {
    check_shape(activation(op, 0), tokens, n_experts);
    check_shape(output(op), tokens, 2 * n_used);
    return check_none(op, 1);
  }
  if (op.kind == OpKind::MoeCombine) {
    const Value& y = activation(op, 0);
    CHECK(y.rows == tokens * n_used);
    check_shape(activation(op, 1), tokens, 2 * n_used);
    check_shape(output(op), tokens, y.cols);
    return check_none(op, 2);
  }
  const Value& x = activation(op, 0);
  const Value& w = weight(op, 1);
  CHECK(x.rows == tokens || x.rows == tokens * n_used);
  CHECK(w.cols == x.cols);
  CHECK(w.rows % n_experts == 0);
  check_shape(activation(op, 2), tokens, 2 * n_used);
  if (op.in[3] != kNoValue) check_shape(weight(op, 3), n_experts, w.rows / n_experts);
  check_shape(output(op), tokens * n_used, w.rows / n_experts);
}

void Verifier::check_op(const Op& op) {
  switch (op.kind) {
    case OpKind::Embed:
      CHECK(weight(op, 0).rows == graph_.model.n_vocab);
      check_shape(output(op), graph_.n_tokens, weight(op, 0).cols);
      return check_none(op, 1);
    case OpKind::RmsNorm: {
      const Value& x = activation(op, 0);
      CHECK(weight(op, 1).rows == 1);
      CHECK(x.cols % weight(op, 1).cols == 0);
      check_shape(output(op), x.rows, x.cols);
      return check_none(op, 2);
    }
    case OpKind::MatMul: {
      const Value &x = activation(op, 0), &w = weight(op, 1);
      CHECK(w.cols == x.cols);
      if (op.in[2] != kNoValue) check_shape(weight(op, 2), 1, w.rows);
      check_shape(output(op), x.rows, w.rows);
      return check_none(op, 3);
    }
    case OpKind::Rope: {
      const Value& x = activation(op, 0);
      const Rope& rope = graph_.model.rope;
      CHECK(x.rows == graph_.n_tokens && x.cols % graph_.model.head_dim == 0);
      CHECK(rope.n_dims % 2 == 0 && rope.n_dims >= 0 && rope.n_dims <= graph_.model.head_dim);
      check_shape(output(op), x.rows, x.cols);
      return check_none(op, 1);
    }
    case OpKind::KvStore:
    case OpKind::Attention:
      return check_attention(op);
    case OpKind::Glu:
    case OpKind::Add: {
      const Value &a = activation(op, 0), &b = activation(op, 1);
      check_shape(b, a.rows, a.cols);
      check_shape(output(op), a.rows, a.cols);
      return check_none(op, 2);
    }
    case OpKind::MoeRoute:
    case OpKind::MoeMatMul:
    case OpKind::MoeCombine:
      return check_experts(op);
    case OpKind::SelectRows:
      CHECK(activation(op, 0).rows == graph_.n_tokens);
      check_shape(output(op), graph_.n_sampled, activation(op, 0).cols);
      return check_none(op, 1);
  }
}

void Verifier::run() {
  std::int64_t n_tokens = 0, n_sampled = 0;
  for (const Segment& s : graph_.segments) {
    CHECK(s.n_new >= 1 && s.n_past >= 0);
    n_tokens += s.n_new;
    n_sampled += s.samples ? 1 : 0;
  }
  CHECK(n_tokens == graph_.n_tokens && n_tokens > 0);
  CHECK(n_sampled == graph_.n_sampled);
  check_values();
  for (const Op& op : graph_.ops) check_op(op);
  CHECK(stored_layers_.size() == static_cast<std::size_t>(graph_.model.n_layers));
  CHECK(stored_layers_ == attended_layers_);
  if (n_sampled == 0) {
    CHECK(graph_.logits == kNoValue);
  } else {
    check_shape(value(graph_.logits), n_sampled, graph_.model.n_vocab);
    CHECK(written_[static_cast<std::size_t>(graph_.logits)]);
  }
}

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

std::string_view op_name(OpKind kind) {
  switch (kind) {
    case OpKind::Embed:
      return "embed";
    case OpKind::RmsNorm:
      return "rms_norm";
    case OpKind::MatMul:
      return "mat_mul";
    case OpKind::Rope:
      return "rope";
    case OpKind::KvStore:
      return "kv_store";
    case OpKind::Attention:
      return "attention";
    case OpKind::Glu:
      return "glu";
    case OpKind::Add:
      return "add";
    case OpKind::MoeRoute:
      return "moe_route";
    case OpKind::MoeMatMul:
      return "moe_mat_mul";
    case OpKind::MoeCombine:
      return "moe_combine";
    case OpKind::SelectRows:
      return "select_rows";
  }
  std::abort();
}

std::string_view op_class_name(OpClass op_class) {
  switch (op_class) {
    case OpClass::Embed:
      return "embed";
    case OpClass::Norm:
      return "norm";
    case OpClass::MatMul:
      return "mat_mul";
    case OpClass::LmHead:
      return "lm_head";
    case OpClass::Attention:
      return "attention";
    case OpClass::KvStore:
      return "kv_store";
    case OpClass::Elementwise:
      return "elementwise";
    case OpClass::Expert:
      return "expert";
    case OpClass::Route:
      return "route";
    case OpClass::Scan:
      return "scan";
  }
  std::abort();
}

}  // namespace tinderbox
