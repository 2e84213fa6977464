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
  if (graph.hidden != kNoValue) {  // rows without content: drafts are counted, not run
    const Value& v = value(graph.hidden);
    activations_[static_cast<std::size_t>(graph.hidden)].assign(
        static_cast<std::size_t>(v.rows * v.cols), 0.0f);
  }
  for (std::size_t i = 0; i < kv.size(); ++i) {
    const Segment& s = graph.segments[i];
    for (auto* part : {&kv[i].k, &kv[i].v, &kv[i].pooled, &kv[i].index, &kv[i].pooled_inputs,
                       &kv[i].index_inputs, &kv[i].state}) {
      part->resize(n_layers);
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

Interpreter::Method Interpreter::method_of(OpKind kind) {
  switch (kind) {
    case OpKind::Embed:
      return &Interpreter::embed;
    case OpKind::RmsNorm:
      return &Interpreter::rms_norm;
    case OpKind::LayerNorm:
      return &Interpreter::layer_norm;
    case OpKind::MatMul:
      return &Interpreter::mat_mul;
    case OpKind::BlockMatMul:
      return &Interpreter::block_mat_mul;
    case OpKind::Rope:
      return &Interpreter::rope;
    case OpKind::KvStore:
      return &Interpreter::kv_store;
    case OpKind::PoolStore:
      return &Interpreter::pool_store;
    case OpKind::Select:
      return &Interpreter::select;
    case OpKind::Attention:
      return &Interpreter::attention;
    case OpKind::Conv:
      return &Interpreter::conv;
    case OpKind::Scan:
      return &Interpreter::scan;
    case OpKind::Glu:
      return &Interpreter::glu;
    case OpKind::Add:
      return &Interpreter::add;
    case OpKind::Scale:
      return &Interpreter::scale;
    case OpKind::Dot:
      return &Interpreter::dot;
    case OpKind::StreamGates:
      return &Interpreter::stream_gates;
    case OpKind::StreamRead:
      return &Interpreter::stream_read;
    case OpKind::StreamWrite:
      return &Interpreter::stream_write;
    case OpKind::Slice:
      return &Interpreter::slice;
    case OpKind::MoeRoute:
      return &Interpreter::moe_route;
    case OpKind::MoeMatMul:
      return &Interpreter::moe_mat_mul;
    case OpKind::MoeCombine:
      return &Interpreter::moe_combine;
    case OpKind::SelectRows:
      return &Interpreter::select_rows;
  }
  std::abort();
}

Tally Interpreter::execute(const Op& op) {
  meter_ = Meter{};
  (this->*method_of(op.kind))(op);
  return meter_.tally;
}

void Interpreter::embed(const Op& op) {
  Input w = in(op, 0);
  Output y = out(op);
  const std::int64_t n_used = std::max(op.at.n_used, 1);
  const auto width = static_cast<std::size_t>(w.cols());
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    for (std::int64_t j = 0; j < n_used; ++j) {
      std::int64_t row = tokens_[static_cast<std::size_t>(t)];
      // A hash of the token alone: which rows are found is no property of the graph.
      if (op.at.n_used > 0) row = row * (2 * j + 3) % w.rows();
      if (op.at.positions) row = positions_[static_cast<std::size_t>(t)];
      CHECK(row >= 0 && row < w.rows());
      std::ranges::copy(w.row(row), y.row(t).subspan(static_cast<std::size_t>(j) * width).begin());
    }
    if (op.at.scale == 1.0) continue;
    for (float& a : y.row(t)) a = static_cast<float>(meter_.mul(a, op.at.scale));
  }
  // Rows of repeated tokens count again: which tokens repeat is no property of the graph.
  meter_.tally.weight_bytes =
      n_used * y.rows() *
      static_cast<std::int64_t>(
          dtype_bytes(value(op.in[0]).dtype, static_cast<double>(w.cols())));
}

void Interpreter::layer_norm(const Op& op) {
  Input x = in(op, 0), w = in(op, 1);
  Output y = out(op);
  Meter& m = meter_;
  std::span<const float> bias;
  if (op.in[2] != kNoValue) bias = in(op, 2).row(0);
  const auto n = static_cast<double>(x.cols());
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    const auto from = x.row(t);
    const auto to = y.row(t);
    double sum = 0.0, squares = 0.0;
    for (const float a : from) sum = m.add(sum, a);
    const double mean = m.div(sum, n);
    std::vector<double> centred;
    for (const float a : from) {
      centred.push_back(m.sub(a, mean));
      squares = m.add(squares, m.mul(centred.back(), centred.back()));
    }
    const double inverse =
        m.div(1.0, m.sqrt(m.add(m.div(squares, n), model_.norm_eps)));
    for (std::size_t i = 0; i < to.size(); ++i) {
      double a = m.mul(m.mul(centred[i], inverse), w.row(0)[i]);
      if (!bias.empty()) a = m.add(a, bias[i]);
      to[i] = static_cast<float>(a);
    }
  }
}

void Interpreter::rms_norm(const Op& op) {
  Input x = in(op, 0);
  Output y = out(op);
  const auto n = static_cast<std::size_t>(op.at.width);
  std::span<const float> w;
  if (op.in[1] != kNoValue) w = in(op, 1).row(0);
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(x.cols()); at += n) {
      const auto from = x.row(t).subspan(at, n);
      const auto to = y.row(t).subspan(at, n);
      double squares = 0.0;
      for (const float a : from) squares = meter_.add(squares, meter_.mul(a, a));
      const double mean = meter_.div(squares, static_cast<double>(n));
      const double inverse = meter_.div(1.0, meter_.sqrt(meter_.add(mean, model_.norm_eps)));
      for (std::size_t i = 0; i < n; ++i) {
        double a = meter_.mul(from[i], inverse);
        if (!w.empty()) a = meter_.mul(a, w[w.size() == n ? i : at + i]);
        to[i] = static_cast<float>(a);
      }
    }
  }
}

void Interpreter::block_mat_mul(const Op& op) {
  Input x = in(op, 0), w = in(op, 1);
  Output y = out(op);
  const std::int64_t m = y.cols() / op.at.n_heads;
  const auto k = static_cast<std::size_t>(w.cols());
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    for (std::int64_t i = 0; i < y.cols(); ++i) {
      const auto block = x.row(t).subspan(static_cast<std::size_t>(i / m) * k, k);
      const auto row = w.row(op.at.n_kv_heads == 1 ? i % m : i);
      y.row(t)[static_cast<std::size_t>(i)] = static_cast<float>(meter_.dot(block, row));
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

double Interpreter::activate(Activation activation, double x) {
  Meter& m = meter_;
  switch (activation) {
    case Activation::Silu:
      return m.div(x, m.add(1.0, m.exp(-x)));
    case Activation::GeluTanh: {
      constexpr double kRoot2OverPi = 0.7978845608028654;
      const double cubic = m.add(x, m.mul(0.044715, m.mul(m.mul(x, x), x)));
      const double bent = m.add(1.0, m.tanh(m.mul(kRoot2OverPi, cubic)));
      return m.mul(m.mul(0.5, x), bent);
    }
    case Activation::SwigluOai:
      break;  // bends `up` too: glu()
    case Activation::Gelu:
      return m.mul(m.mul(0.5, x), m.add(1.0, m.erf(m.mul(x, std::sqrt(0.5)))));
    case Activation::Relu2: {
      const double positive = m.max(x, 0.0);
      return m.mul(positive, positive);
    }
    case Activation::Sigmoid:
      return m.sigmoid(x);
    case Activation::Identity:
      return x;
  }
  std::abort();
}

void Interpreter::glu(const Op& op) {
  Input gate = in(op, 0);
  Output y = out(op);
  Meter& m = meter_;
  const auto oai = [&m](double g, double u) {
    constexpr double kLimit = 7.0, kAlpha = 1.702;
    const double a = m.min(g, kLimit), b = m.max(m.min(u, kLimit), -kLimit);
    return m.mul(m.add(b, 1.0), m.div(a, m.add(1.0, m.exp(m.mul(-kAlpha, a)))));
  };
  const bool gated = op.in[1] != kNoValue;
  Input up = gated ? in(op, 1) : gate;
  const auto covers = static_cast<std::size_t>(y.cols() / gate.cols());
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto g = gate.row(t), u = gated ? up.row(t) : g;
    const auto to = y.row(t);
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (op.at.activation == Activation::SwigluOai) {
        to[i] = static_cast<float>(oai(g[i], u[i]));
        continue;
      }
      const double f = activate(op.at.activation, g[i]);
      for (std::size_t j = i * covers; j < (i + 1) * covers; ++j) {
        to[j] = static_cast<float>(gated ? m.mul(f, u[j]) : f);
      }
    }
  }
}

void Interpreter::add(const Op& op) {
  Input a = in(op, 0), b = in(op, 1);
  Output y = out(op);
  const double factor = op.at.scale;
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto to = y.row(t);
    for (std::size_t i = 0; i < to.size(); ++i) {
      const double gain = factor == 1.0 ? b.row(t)[i] : meter_.mul(factor, b.row(t)[i]);
      to[i] = static_cast<float>(meter_.add(a.row(t)[i], gain));
    }
  }
}

void Interpreter::scale(const Op& op) {
  Input x = in(op, 0);
  Output y = out(op);
  std::span<const float> w;
  if (op.in[1] != kNoValue) w = in(op, 1).row(0);
  const double factor = op.at.scale, cap = op.at.softcap;
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto from = x.row(t);
    const auto to = y.row(t);
    for (std::size_t i = 0; i < to.size(); ++i) {
      double a = from[i];
      if (!w.empty()) a = meter_.mul(a, w[w.size() == 1 ? 0 : i]);
      if (factor != 1.0) a = meter_.mul(a, factor);
      if (cap > 0.0) a = meter_.mul(cap, meter_.tanh(meter_.div(a, cap)));
      to[i] = static_cast<float>(a);
    }
  }
}

// A view: nothing is counted.
void Interpreter::slice(const Op& op) {
  const std::vector<float>& x = activations_[static_cast<std::size_t>(op.in[0])];
  const Value& from = value(op.in[0]);
  const Value& to = value(op.out);
  std::vector<float>& y = activations_[static_cast<std::size_t>(op.out)];
  y.clear();
  const auto width = static_cast<std::size_t>(op.at.width),
             begin = static_cast<std::size_t>(op.at.begin);
  const std::size_t take = static_cast<std::size_t>(to.cols) * width /
                           static_cast<std::size_t>(from.cols);
  for (std::size_t at = 0; at < x.size(); at += width) {
    for (std::size_t i = 0; i < take; ++i) y.push_back(x[at + begin + i]);
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
