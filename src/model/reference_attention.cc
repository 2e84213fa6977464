// The ops with positions: rotation, cache, attention.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/check.h"
#include "model/reference_interpreter.h"
#include "model/rope.h"

namespace tinderbox::reference {
namespace {

// The nearest IEEE half (11 significant bits, least exponent -14), ties to even; overflow goes to
// infinity.
float round_to_f16(float x) {
  if (!std::isfinite(x) || x == 0.0f) return x;
  int exponent = 0;
  std::frexp(x, &exponent);  // |x| in [2^(exponent-1), 2^exponent)
  const double quantum = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double rounded = std::nearbyint(x / quantum) * quantum;
  if (std::abs(rounded) > 65504.0) return std::copysign(std::numeric_limits<float>::infinity(), x);
  return static_cast<float>(rounded);
}

}  // namespace

void Interpreter::rope(const Op& op) {
  Input x = in(op, 0);
  Output y = out(op);
  const Rope& table = op.at.rope == LayerRope::Local ? model_.rope_local : model_.rope;
  const std::vector<double> frequencies = rope_frequencies(table);
  const double factor = rope_attention_factor(table);
  const std::size_t pairs = frequencies.size(), head_dim = static_cast<std::size_t>(op.at.width),
                    begin = static_cast<std::size_t>(op.at.begin);
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    const auto position = static_cast<double>(positions_[static_cast<std::size_t>(t)]);
    std::ranges::copy(x.row(t), y.row(t).begin());
    for (std::size_t head = 0; head < static_cast<std::size_t>(x.cols()); head += head_dim) {
      const auto from = x.row(t).subspan(head, head_dim);
      const auto to = y.row(t).subspan(head, head_dim);
      for (std::size_t i = 0; i < pairs; ++i) {
        const std::size_t a = begin + (table.interleaved ? 2 * i : i);
        const std::size_t b = begin + (table.interleaved ? 2 * i + 1 : i + pairs);
        const double c = std::cos(position * frequencies[i]) * factor;
        const double s = std::sin(position * frequencies[i]) * factor;
        to[a] = static_cast<float>(meter_.sub(meter_.mul(from[a], c), meter_.mul(from[b], s)));
        to[b] = static_cast<float>(meter_.add(meter_.mul(from[a], s), meter_.mul(from[b], c)));
      }
    }
  }
}

void Interpreter::kv_store(const Op& op) {
  const OpAttributes& at = op.at;
  const auto layer = static_cast<std::size_t>(op.layer);
  const bool split = op.in[1] != kNoValue;
  Input first = in(op, 0);
  Input second = split ? in(op, 1) : first;
  const auto bytes = [&](std::int64_t n) {
    return static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(n)));
  };
  const std::int64_t k_cols = std::int64_t{at.n_kv_heads} * at.qk_dim,
                     v_cols = at.latent ? 0 : std::int64_t{at.n_kv_heads} * at.v_dim;
  const auto append = [&](std::vector<float>& cache, std::span<const float> row) {
    for (const float a : row) cache.push_back(kv_round_f16_ ? round_to_f16(a) : a);
  };
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& s = graph_.segments[i];
    CHECK(static_cast<std::int64_t>(kv_[i].k[layer].size()) == s.n_past * k_cols);
    CHECK(static_cast<std::int64_t>(kv_[i].v[layer].size()) == s.n_past * v_cols);
    for (std::int32_t j = 0; j < s.n_new; ++j, ++t) {
      append(kv_[i].k[layer], first.row(t));
      if (split) append(at.latent ? kv_[i].k[layer] : kv_[i].v[layer], second.row(t));
      meter_.tally.kv_write_bytes += bytes(k_cols) + (at.latent ? 0 : bytes(v_cols));
    }
  }
}

std::vector<double> Interpreter::scores(const Head& head, std::int64_t first, std::int64_t last) {
  std::vector<double> p;
  for (std::int64_t j = first; j <= last; ++j) {
    const auto key = head.k.subspan(static_cast<std::size_t>(j) * head.k_stride, head.q.size());
    double score = meter_.mul(meter_.dot(head.q, key), head.scale);
    if (head.softcap > 0.0) {
      score = meter_.mul(head.softcap, meter_.tanh(meter_.div(score, head.softcap)));
    }
    p.push_back(score);
  }
  return p;
}

void Interpreter::attend(const Head& head, std::int64_t first, std::int64_t last,
                         std::span<float> result) {
  std::vector<double> p = scores(head, first, last);
  double top = -std::numeric_limits<double>::infinity();
  for (const double a : p) top = meter_.max(a, top);
  if (head.sink != nullptr) top = meter_.max(*head.sink, top);
  double sum = 0.0;
  for (double& a : p) {
    a = meter_.exp(meter_.sub(a, top));
    sum = meter_.add(sum, a);
  }
  if (head.sink != nullptr) sum = meter_.add(sum, meter_.exp(meter_.sub(*head.sink, top)));
  std::vector<double> mixed(result.size(), 0.0);
  for (std::int64_t j = first; j <= last; ++j) {
    const double weight = meter_.div(p[static_cast<std::size_t>(j - first)], sum);
    const auto row = head.v.subspan(static_cast<std::size_t>(j) * head.v_stride, mixed.size());
    for (std::size_t i = 0; i < mixed.size(); ++i) mixed[i] = meter_.fma(mixed[i], weight, row[i]);
  }
  std::ranges::transform(mixed, result.begin(), [](double a) { return static_cast<float>(a); });
}

void Interpreter::attention(const Op& op) {
  const OpAttributes& at = op.at;
  Input q = in(op, 0);
  const bool split = op.in[2] != kNoValue;
  Input rotated = split ? in(op, 2) : q;
  Output y = out(op);
  const auto layer = static_cast<std::size_t>(op.cache), n_heads = static_cast<std::size_t>(at.n_heads),
             qk_dim = static_cast<std::size_t>(at.qk_dim), v_dim = static_cast<std::size_t>(at.v_dim),
             n_kv_heads = static_cast<std::size_t>(at.n_kv_heads);
  const auto bytes = [&](std::size_t n) {
    return static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(n)));
  };
  const std::int64_t row_bytes =
      bytes(n_kv_heads * qk_dim) + (at.latent ? 0 : bytes(n_kv_heads * v_dim));
  // A head's query: its part of the first input, then its part of the rotated one.
  const auto query = [&](std::int64_t t, std::size_t head) {
    const std::size_t plain = q.row(t).size() / n_heads, rest = qk_dim - plain;
    const auto begin = q.row(t).subspan(head * plain, plain);
    std::vector<float> whole(begin.begin(), begin.end());
    if (split) {
      const auto end = rotated.row(t).subspan(head * rest, rest);
      whole.insert(whole.end(), end.begin(), end.end());
    }
    return whole;
  };
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& s = graph_.segments[i];
    const std::span<const float> k = kv_[i].k[layer], v = at.latent ? k : kv_[i].v[layer];
    std::set<std::int64_t> seen;
    for (std::int64_t j = 0; j < s.n_new; ++j, ++t) {
      const std::int64_t last = s.n_past + j, first = last + 1 - visible_keys(s, j, at.window);
      for (std::int64_t p = first; p <= last; ++p) seen.insert(p);
      for (std::size_t head = 0; head < n_heads; ++head) {
        const std::size_t kv_head = head * n_kv_heads / n_heads;
        const std::vector<float> whole = query(t, head);
        const Head one{.q = whole,
                       .k = k.subspan(kv_head * qk_dim),
                       .v = v.subspan(at.latent ? 0 : kv_head * v_dim),
                       .k_stride = n_kv_heads * qk_dim,
                       .v_stride = at.latent ? n_kv_heads * qk_dim : n_kv_heads * v_dim,
                       .scale = at.scale * attention_temperature(model_, last),
                       .softcap = at.softcap,
                       .sink = op.in[1] == kNoValue ? nullptr
                                                    : &weights_(value(op.in[1]).name)[head]};
        attend(one, first, last, y.row(t).subspan(head * v_dim, v_dim));
      }
    }
    meter_.tally.kv_read_bytes += static_cast<std::int64_t>(seen.size()) * row_bytes;
  }
  if (op.in[1] != kNoValue) in(op, 1).row(0);
}

}  // namespace tinderbox::reference
