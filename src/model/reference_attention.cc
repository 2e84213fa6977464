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
  const std::vector<double> frequencies = rope_frequencies(model_.rope);
  const double factor = rope_attention_factor(model_.rope);
  const std::size_t pairs = frequencies.size(),
                    head_dim = static_cast<std::size_t>(model_.head_dim);
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    const auto position = static_cast<double>(positions_[static_cast<std::size_t>(t)]);
    std::ranges::copy(x.row(t), y.row(t).begin());
    for (std::size_t head = 0; head < static_cast<std::size_t>(x.cols()); head += head_dim) {
      const auto from = x.row(t).subspan(head, head_dim);
      const auto to = y.row(t).subspan(head, head_dim);
      for (std::size_t i = 0; i < pairs; ++i) {
        const std::size_t a = model_.rope.interleaved ? 2 * i : i;
        const std::size_t b = model_.rope.interleaved ? 2 * i + 1 : i + pairs;
        const double c = std::cos(position * frequencies[i]) * factor;
        const double s = std::sin(position * frequencies[i]) * factor;
        to[a] = static_cast<float>(meter_.sub(meter_.mul(from[a], c), meter_.mul(from[b], s)));
        to[b] = static_cast<float>(meter_.add(meter_.mul(from[a], s), meter_.mul(from[b], c)));
      }
    }
  }
}

void Interpreter::kv_store(const Op& op) {
  Input k = in(op, 0), v = in(op, 1);
  const auto layer = static_cast<std::size_t>(op.layer);
  const auto row_bytes =
      static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(model_.kv_dim())));
  const auto append = [&](std::vector<float>& cache, std::span<const float> row) {
    for (const float a : row) cache.push_back(kv_round_f16_ ? round_to_f16(a) : a);
    meter_.tally.kv_write_bytes += row_bytes;
  };
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    for (std::int32_t j = 0; j < graph_.segments[i].n_new; ++j, ++t) {
      append(kv_[i].k[layer], k.row(t));
      append(kv_[i].v[layer], v.row(t));
    }
  }
}

// One query head over cached rows [first, last] of its KV head (k and v start at that head's first
// column).
void Interpreter::attend(std::span<const float> q, std::span<float> result,
                         std::span<const float> k, std::span<const float> v, std::int64_t first,
                         std::int64_t last, double scale, const float* sink) {
  const auto stride = static_cast<std::size_t>(model_.kv_dim());
  const std::size_t n = q.size();
  const auto at = [&](std::int64_t p) { return static_cast<std::size_t>(p) * stride; };
  std::vector<double> p;
  double top = -std::numeric_limits<double>::infinity();
  for (std::int64_t j = first; j <= last; ++j) {
    p.push_back(meter_.mul(meter_.dot(q, k.subspan(at(j), n)), scale));
    top = meter_.max(p.back(), top);
  }
  if (sink != nullptr) top = meter_.max(*sink, top);
  double sum = 0.0;
  for (double& a : p) {
    a = meter_.exp(meter_.sub(a, top));
    sum = meter_.add(sum, a);
  }
  if (sink != nullptr) sum = meter_.add(sum, meter_.exp(meter_.sub(*sink, top)));
  std::vector<double> mixed(n, 0.0);
  for (std::int64_t j = first; j <= last; ++j) {
    const double weight = meter_.div(p[static_cast<std::size_t>(j - first)], sum);
    const auto row = v.subspan(at(j), n);
    for (std::size_t i = 0; i < n; ++i) mixed[i] = meter_.fma(mixed[i], weight, row[i]);
  }
  std::ranges::transform(mixed, result.begin(), [](double a) { return static_cast<float>(a); });
}

void Interpreter::attention(const Op& op) {
  Input q = in(op, 0);
  Output y = out(op);
  const auto layer = static_cast<std::size_t>(op.layer);
  const auto head_dim = static_cast<std::size_t>(model_.head_dim);
  const auto heads_per_kv = static_cast<std::size_t>(model_.n_heads / model_.n_kv_heads);
  const auto row_bytes =
      static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(model_.kv_dim())));
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& s = graph_.segments[i];
    const std::span<const float> k = kv_[i].k[layer], v = kv_[i].v[layer];
    std::set<std::int64_t> seen;
    for (std::int64_t j = 0; j < s.n_new; ++j, ++t) {
      const std::int64_t last = s.n_past + j, first = last + 1 - visible_keys(s, j, op.window);
      for (std::int64_t p = first; p <= last; ++p) seen.insert(p);
      for (std::size_t head = 0; head < static_cast<std::size_t>(model_.n_heads); ++head) {
        const std::size_t from = head / heads_per_kv * head_dim;
        const float* sink = op.in[1] == kNoValue ? nullptr : &weights_(value(op.in[1]).name)[head];
        attend(q.row(t).subspan(head * head_dim, head_dim),
               y.row(t).subspan(head * head_dim, head_dim), k.subspan(from), v.subspan(from), first,
               last, attention_scale(model_, last), sink);
      }
    }
    meter_.tally.kv_read_bytes += 2 * static_cast<std::int64_t>(seen.size()) * row_bytes;
  }
  if (op.in[1] != kNoValue) in(op, 1).row(0);
}

}  // namespace tinderbox::reference
