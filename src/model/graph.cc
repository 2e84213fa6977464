#include "model/graph.h"

#include <map>
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
  void check_store(const Op& op);
  void check_cache(const Op& op, std::int32_t layer, CacheKind kind);
  void check_select(const Op& op);
  void check_attention(const Op& op);
  void check_streams(const Op& op);
  void check_recurrence(const Op& op);
  void check_groups(const Op& op);
  void check_elementwise(const Op& op);
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
  using CacheId = std::pair<std::int32_t, CacheKind>;
  std::map<CacheId, OpAttributes> stored_;
  std::set<CacheId> read_;
  std::set<std::int32_t> attended_layers_;
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

// Cached rows are written once a layer and read by that layer or a later one.
void Verifier::check_store(const Op& op) {
  const OpAttributes& at = op.at;
  const std::int64_t tokens = graph_.n_tokens;
  const Value& x = activation(op, 0);
  CHECK(x.rows == tokens && op.out == kNoValue && op.layer >= 0);
  CHECK(at.window >= 0 && at.n_kv_heads > 0 && at.qk_dim > 0 && at.v_dim > 0);
  CHECK(stored_.emplace(CacheId(op.layer, at.store), at).second);
  if (op.kind == OpKind::PoolStore) {
    const std::int64_t cols = std::int64_t{at.overlap} * at.qk_dim;
    CHECK(at.ratio > 1 && (at.overlap == 1 || at.overlap == 2) && at.latent);
    CHECK(at.n_kv_heads == 1 && at.store != CacheKind::Main && x.cols == cols);
    CHECK(at.n_dims % 2 == 0 && at.begin >= 0 && at.begin + at.n_dims <= at.qk_dim);
    if (op.in[1] != kNoValue) check_shape(activation(op, 1), tokens, cols);
    if (op.in[2] != kNoValue) check_shape(weight(op, 2), at.ratio, cols);
    CHECK(op.in[1] != kNoValue || op.in[2] == kNoValue);
    if (op.in[3] != kNoValue) check_shape(weight(op, 3), 1, at.qk_dim);
    return check_none(op, 4);
  }
  const std::int64_t rest = op.in[1] == kNoValue ? 0 : activation(op, 1).cols;
  const std::int64_t v = at.latent ? 0 : at.v_dim;
  CHECK(x.cols + rest == std::int64_t{at.n_kv_heads} * (at.qk_dim + v) && at.ratio == 0);
  check_none(op, 2);
}

// The cache of that layer and kind exists and its rows are what the op takes them for.
void Verifier::check_cache(const Op& op, std::int32_t layer, CacheKind kind) {
  const OpAttributes& at = op.at;
  const auto cache = stored_.find(CacheId(layer, kind));
  CHECK(cache != stored_.end() && layer <= op.layer);
  const OpAttributes& row = cache->second;
  CHECK(row.n_kv_heads == at.n_kv_heads && row.qk_dim == at.qk_dim && row.v_dim == at.v_dim);
  CHECK(row.latent == at.latent);
  if (kind == CacheKind::Main) CHECK(row.window == at.window);
  // A store without ratio keeps every token.
  if (kind != CacheKind::Main) CHECK(row.ratio == at.ratio || (row.ratio == 0 && at.ratio == 1));
  read_.insert(CacheId(layer, kind));
}

void Verifier::check_select(const Op& op) {
  const OpAttributes& at = op.at;
  check_shape(activation(op, 0), graph_.n_tokens, std::int64_t{at.n_heads} * at.qk_dim);
  if (op.in[1] != kNoValue) check_shape(activation(op, 1), graph_.n_tokens, at.n_heads);
  CHECK(at.top_k > 0 && at.ratio > 0 && at.block > 0 && at.block % at.ratio == 0);
  check_shape(output(op), graph_.n_tokens, at.top_k);
  check_cache(op, op.cache, CacheKind::Index);
  check_none(op, 2);
}

void Verifier::check_attention(const Op& op) {
  const OpAttributes& at = op.at;
  const std::int64_t tokens = graph_.n_tokens;
  CHECK(op.layer >= 0 && op.layer < graph_.model.n_layers);
  const Value& q = activation(op, 0);
  const std::int64_t rotated = op.in[2] == kNoValue ? 0 : activation(op, 2).cols;
  CHECK(q.rows == tokens && q.cols + rotated == std::int64_t{at.n_heads} * at.qk_dim);
  if (op.in[1] != kNoValue) check_shape(weight(op, 1), 1, at.n_heads);
  CHECK((op.in[3] != kNoValue) == (at.top_k > 0));
  if (at.top_k > 0) {
    check_shape(activation(op, 3), tokens, at.top_k);
    CHECK(at.block > 0 && (at.ratio > 0 ? at.block == at.ratio : at.window == 0));
  }
  check_shape(output(op), tokens, std::int64_t{at.n_heads} * at.v_dim);
  CHECK(at.n_heads % at.n_kv_heads == 0);
  check_cache(op, op.cache, CacheKind::Main);
  if (at.ratio > 0) check_cache(op, op.pooled, CacheKind::Pooled);
  CHECK(attended_layers_.insert(op.layer).second);
  CHECK((op.in[4] != kNoValue) == (at.extent > 0));
  if (at.extent > 0) {
    check_shape(activation(op, 4), tokens, std::int64_t{at.n_heads} * at.extent);
    CHECK(at.top_k == 0 && at.ratio == 0);
  }
  check_none(op, 5);
}

void Verifier::check_streams(const Op& op) {
  const Value& x = activation(op, 0);
  const Value& y = output(op);
  const std::int64_t n = op.at.n_streams;
  CHECK(n > 1 && x.rows == y.rows);
  if (op.kind == OpKind::StreamGates) {
    CHECK(x.cols == n || (x.cols == (2 + n) * n && op.at.iterations > 0));
    check_shape(weight(op, 1), 1, x.cols);
    check_shape(weight(op, 2), 1, x.cols == n ? 1 : 3);
    check_shape(y, x.rows, x.cols);
    return check_none(op, 3);
  }
  if (op.kind == OpKind::StreamRead) {
    CHECK(x.cols == n * y.cols);
    if (op.in[1] != kNoValue) check_shape(activation(op, 1), x.rows, n);
    return check_none(op, 2);
  }
  CHECK(y.cols == n * x.cols && x.cols > 1);
  if (op.in[1] != kNoValue) check_shape(activation(op, 1), x.rows, y.cols);
  if (op.in[2] != kNoValue) check_shape(activation(op, 2), x.rows, n);
  if (op.in[3] != kNoValue) check_shape(activation(op, 3), x.rows, n * n);
  CHECK(op.in[3] == kNoValue || (op.in[1] != kNoValue && op.in[2] != kNoValue));
  check_none(op, 4);
}

void Verifier::check_recurrence(const Op& op) {
  const Value& x = activation(op, 0);
  CHECK(x.rows == graph_.n_tokens);
  if (op.kind == OpKind::Conv) {
    CHECK(weight(op, 1).rows == x.cols);
    if (op.in[2] != kNoValue) check_shape(weight(op, 2), 1, x.cols);
    check_shape(output(op), x.rows, x.cols);
    return check_none(op, 3);
  }
  const OpAttributes& at = op.at;
  CHECK(at.n_kv_heads > 0 && at.n_heads % at.n_kv_heads == 0);
  const std::int64_t k_all = std::int64_t{at.n_kv_heads} * at.qk_dim,
                     v_all = std::int64_t{at.n_heads} * at.v_dim;
  CHECK(x.cols == 2 * k_all + v_all);
  const std::int64_t decays = at.rule == ScanRule::ChannelDelta ? k_all : at.n_heads;
  check_shape(activation(op, 1), x.rows, decays);
  check_shape(weight(op, 3), 1, at.n_heads);
  check_shape(weight(op, 4), 1, decays);
  if (at.rule == ScanRule::Mamba2) {
    CHECK(op.in[2] == kNoValue);
    check_shape(weight(op, 5), 1, at.n_heads);
  } else {
    check_shape(activation(op, 2), x.rows, at.n_heads);
    CHECK(op.in[5] == kNoValue);
  }
  check_shape(output(op), x.rows, v_all);
}

void Verifier::check_experts(const Op& op) {
  const std::int64_t n_experts = op.at.n_experts, n_used = op.at.n_used;
  CHECK(n_used >= 1 && n_used <= n_experts);
  const std::int64_t tokens = graph_.n_tokens;
  if (op.kind == OpKind::MoeRoute) {
    const Routing& routing = op.at.routing;
    CHECK(routing.n_groups >= 1 && n_experts % routing.n_groups == 0);
    CHECK(routing.n_groups_used >= 1 && routing.n_groups_used <= routing.n_groups);
    CHECK(n_experts / routing.n_groups * routing.n_groups_used >= n_used);
    check_shape(activation(op, 0), tokens, n_experts);
    for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
      if (op.in[i] != kNoValue) check_shape(weight(op, i), 1, n_experts);
    }
    check_shape(output(op), tokens, 2 * n_used);
    return check_none(op, 3);
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

// Ops whose output columns follow from groups of the input's.
void Verifier::check_groups(const Op& op) {
  const Value& x = activation(op, 0);
  const OpAttributes& at = op.at;
  if (op.kind == OpKind::BlockMatMul) {
    const Value& w = weight(op, 1);
    const bool shared = at.n_kv_heads == 1;
    CHECK(at.n_heads > 0 && x.cols == at.n_heads * w.cols);
    CHECK(shared || w.rows % at.n_heads == 0);
    check_shape(output(op), x.rows, shared ? at.n_heads * w.rows : w.rows);
    return check_none(op, 2);
  }
  CHECK(at.width > 0 && x.cols % at.width == 0);
  if (op.kind == OpKind::Dot) {
    check_shape(activation(op, 1), x.rows, x.cols);
    check_shape(output(op), x.rows, x.cols / at.width);
    return check_none(op, 2);
  }
  if (op.kind == OpKind::Slice) {
    const Value& y = output(op);
    const std::int64_t n_groups = x.cols / at.width;
    CHECK(y.rows == x.rows && y.cols % n_groups == 0);
    CHECK(at.begin >= 0 && at.begin + y.cols / n_groups <= at.width);
    return check_none(op, 1);
  }
  check_shape(output(op), x.rows, x.cols);
  if (op.kind == OpKind::RmsNorm) {
    if (op.in[1] != kNoValue) {
      const Value& w = weight(op, 1);
      CHECK(w.rows == 1 && (w.cols == at.width || w.cols == x.cols));
    }
    return check_none(op, 2);
  }
  CHECK(op.kind == OpKind::Rope && x.rows == graph_.n_tokens && at.rope != LayerRope::None);
  CHECK(at.n_dims % 2 == 0 && at.n_dims >= 0 && at.begin >= 0 && at.begin + at.n_dims <= at.width);
  check_none(op, 1);
}

void Verifier::check_elementwise(const Op& op) {
  const Value& a = activation(op, 0);
  if (op.kind == OpKind::Scale) {
    if (op.in[1] != kNoValue) {
      const Value& w = weight(op, 1);
      CHECK(w.rows == 1 && (w.cols == 1 || w.cols == a.cols));
    }
    check_shape(output(op), a.rows, a.cols);
    return check_none(op, 2);
  }
  if (op.in[1] == kNoValue) {
    CHECK(op.kind == OpKind::Glu);
    return check_shape(output(op), a.rows, a.cols);
  }
  const Value& b = activation(op, 1);
  CHECK(a.rows == b.rows && b.cols % a.cols == 0);
  if (op.kind == OpKind::Add) CHECK(a.cols == b.cols);
  check_shape(output(op), b.rows, b.cols);
  check_none(op, 2);
}

void Verifier::check_op(const Op& op) {
  switch (op.kind) {
    case OpKind::Embed: {
      const Value& w = weight(op, 0);
      const std::int64_t n = op.at.n_used > 0 ? op.at.n_used : 1;
      CHECK(op.at.n_used > 0 || op.at.positions || w.rows == graph_.model.n_vocab);
      check_shape(output(op), graph_.n_tokens, n * w.cols);
      return check_none(op, 1);
    }
    case OpKind::LayerNorm:
      check_shape(weight(op, 1), 1, activation(op, 0).cols);
      if (op.in[2] != kNoValue) check_shape(weight(op, 2), 1, activation(op, 0).cols);
      check_shape(output(op), activation(op, 0).rows, activation(op, 0).cols);
      return check_none(op, 3);
    case OpKind::MatMul: {
      const Value &x = activation(op, 0), &w = weight(op, 1);
      CHECK(w.cols == x.cols);
      if (op.in[2] != kNoValue) check_shape(weight(op, 2), 1, w.rows);
      check_shape(output(op), x.rows, w.rows);
      return check_none(op, 3);
    }
    case OpKind::RmsNorm:
    case OpKind::BlockMatMul:
    case OpKind::Rope:
    case OpKind::Dot:
    case OpKind::Slice:
      return check_groups(op);
    case OpKind::KvStore:
    case OpKind::PoolStore:
      return check_store(op);
    case OpKind::Select:
      return check_select(op);
    case OpKind::Attention:
      return check_attention(op);
    case OpKind::StreamGates:
    case OpKind::StreamRead:
    case OpKind::StreamWrite:
      return check_streams(op);
    case OpKind::Conv:
    case OpKind::Scan:
      return check_recurrence(op);
    case OpKind::Glu:
    case OpKind::Add:
    case OpKind::Scale:
      return check_elementwise(op);
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
  if (graph_.hidden != kNoValue) {
    check_shape(value(graph_.hidden), n_tokens, graph_.model.d_model);
    written_[static_cast<std::size_t>(graph_.hidden)] = true;
  }
  for (const Op& op : graph_.ops) check_op(op);
  CHECK(stored_.size() == read_.size());  // no cache without a reader
  if (n_sampled == 0) {
    CHECK(graph_.logits == kNoValue);
  } else {
    check_shape(value(graph_.logits), n_sampled, graph_.model.n_vocab);
    CHECK(written_[static_cast<std::size_t>(graph_.logits)]);
  }
}

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

}  // namespace tinderbox
