#include "model/reference.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"
#include "model/reference_interpreter.h"

namespace tinderbox {
namespace reference {

Interpreter::Interpreter(const Graph& graph, const Reference::WeightSource& weights,
                         std::span<const TokenId> tokens, std::span<ReferenceKv> kv,
                         bool kv_round_f16)
    : graph_(graph),
      model_(graph.model),
      weights_(weights),
      tokens_(tokens),
      kv_(kv),
      kv_round_f16_(kv_round_f16),
      activations_(graph.values.size()) {
  CHECK(static_cast<std::int64_t>(tokens.size()) == graph.n_tokens);
  CHECK(kv.size() == graph.segments.size());
  const auto n_layers = static_cast<std::size_t>(model_.n_layers);
  for (std::size_t i = 0; i < kv.size(); ++i) {
    const Segment& s = graph.segments[i];
    kv[i].k.resize(n_layers);
    kv[i].v.resize(n_layers);
    for (const std::vector<float>& k : kv[i].k) {
      CHECK(static_cast<std::int64_t>(k.size()) == std::int64_t{s.n_past} * model_.kv_dim());
    }
    for (std::int64_t j = 0; j < s.n_new; ++j) positions_.push_back(s.n_past + j);
  }
}

Input Interpreter::in(const Op& op, std::size_t i) {
  const Value& v = value(op.in[i]);
  if (v.role == Role::Weight) return {meter_, v, weights_(v.name)};
  return {meter_, v, activations_[static_cast<std::size_t>(op.in[i])]};
}

Output Interpreter::out(const Op& op) {
  const Value& v = value(op.out);
  std::vector<float>& data = activations_[static_cast<std::size_t>(op.out)];
  data.assign(static_cast<std::size_t>(v.rows * v.cols), 0.0f);
  return {meter_, v, data};
}

Tally Interpreter::execute(const Op& op) {
  meter_ = Meter{};
  switch (op.kind) {
    case OpKind::Embed:
      embed(op);
      break;
    case OpKind::RmsNorm:
      rms_norm(op);
      break;
    case OpKind::MatMul:
      mat_mul(op);
      break;
    case OpKind::Rope:
      rope(op);
      break;
    case OpKind::KvStore:
      kv_store(op);
      break;
    case OpKind::Attention:
      attention(op);
      break;
    case OpKind::Glu:
      glu(op);
      break;
    case OpKind::Add:
      add(op);
      break;
    case OpKind::MoeRoute:
      moe_route(op);
      break;
    case OpKind::MoeMatMul:
      moe_mat_mul(op);
      break;
    case OpKind::MoeCombine:
      moe_combine(op);
      break;
    case OpKind::SelectRows:
      select_rows(op);
      break;
  }
  return meter_.tally;
}

void Interpreter::embed(const Op& op) {
  Input w = in(op, 0);
  Output y = out(op);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const TokenId token = tokens_[static_cast<std::size_t>(t)];
    CHECK(token >= 0 && token < w.rows());
    std::ranges::copy(w.row(token), y.row(t).begin());
  }
  // Rows of repeated tokens count again: which tokens repeat is no property of the graph.
  meter_.tally.weight_bytes = y.rows() * static_cast<std::int64_t>(dtype_bytes(
                                             value(op.in[0]).dtype, static_cast<double>(w.cols())));
}

void Interpreter::rms_norm(const Op& op) {
  Input x = in(op, 0), w = in(op, 1);
  Output y = out(op);
  const auto n = static_cast<std::size_t>(w.cols());
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(x.cols()); at += n) {
      const auto from = x.row(t).subspan(at, n);
      const auto to = y.row(t).subspan(at, n);
      double squares = 0.0;
      for (const float a : from) squares = meter_.add(squares, meter_.mul(a, a));
      const double mean = meter_.div(squares, static_cast<double>(n));
      const double inverse = meter_.div(1.0, meter_.sqrt(meter_.add(mean, model_.norm_eps)));
      for (std::size_t i = 0; i < n; ++i) {
        to[i] = static_cast<float>(meter_.mul(meter_.mul(from[i], inverse), w.row(0)[i]));
      }
    }
  }
}

void Interpreter::mat_mul(const Op& op) {
  Input x = in(op, 0), w = in(op, 1);
  Output y = out(op);
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    for (std::int64_t i = 0; i < w.rows(); ++i) {
      y.row(t)[static_cast<std::size_t>(i)] = static_cast<float>(meter_.dot(x.row(t), w.row(i)));
    }
  }
  if (op.in[2] == kNoValue) return;
  Input b = in(op, 2);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto to = y.row(t);
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = static_cast<float>(meter_.add(to[i], b.row(0)[i]));
  }
}

void Interpreter::glu(const Op& op) {
  Input gate = in(op, 0), up = in(op, 1);
  Output y = out(op);
  Meter& m = meter_;
  const auto value_of = [&](double g, double u) {
    switch (model_.activation) {
      case Activation::Silu:
        return m.mul(m.div(g, m.add(1.0, m.exp(-g))), u);
      case Activation::GeluTanh: {
        constexpr double kRoot2OverPi = 0.7978845608028654;
        const double cubic = m.add(g, m.mul(0.044715, m.mul(m.mul(g, g), g)));
        const double bent = m.add(1.0, m.tanh(m.mul(kRoot2OverPi, cubic)));
        return m.mul(m.mul(m.mul(0.5, g), bent), u);
      }
      case Activation::SwigluOai: {
        constexpr double kLimit = 7.0, kAlpha = 1.702;
        const double a = m.min(g, kLimit), b = m.max(m.min(u, kLimit), -kLimit);
        return m.mul(m.add(b, 1.0), m.div(a, m.add(1.0, m.exp(m.mul(-kAlpha, a)))));
      }
    }
    std::abort();
  };
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto g = gate.row(t), u = up.row(t);
    const auto to = y.row(t);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(value_of(g[i], u[i]));
  }
}

void Interpreter::add(const Op& op) {
  Input a = in(op, 0), b = in(op, 1);
  Output y = out(op);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto to = y.row(t);
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] = static_cast<float>(meter_.add(a.row(t)[i], b.row(t)[i]));
    }
  }
}

void Interpreter::select_rows(const Op& op) {
  Input x = in(op, 0);
  Output y = out(op);
  std::int64_t from = -1, to = 0;
  for (const Segment& s : graph_.segments) {
    from += s.n_new;
    if (s.samples) std::ranges::copy(x.row(from), y.row(to++).begin());
  }
}

}  // namespace reference

std::vector<float> Reference::run(const Graph& graph, std::span<const TokenId> tokens,
                                  std::span<ReferenceKv> kv) {
  reference::Interpreter interpreter(graph, weights_, tokens, kv, kv_round_f16_);
  tallies_.clear();
  for (const Op& op : graph.ops) tallies_.push_back(interpreter.execute(op));
  return interpreter.logits();
}

}  // namespace tinderbox
