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

std::vector<std::vector<float>>& cache_of(ReferenceKv& kv, CacheKind kind) {
  switch (kind) {
    case CacheKind::Main:
      break;
    case CacheKind::Pooled:
      return kv.pooled;
    case CacheKind::Index:
      return kv.index;
  }
  return kv.k;
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
        const double s = std::sin(position * frequencies[i]) * (op.at.inverse ? -factor : factor);
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
    std::vector<float>& k = cache_of(kv_[i], at.store)[layer];
    std::vector<float>& v = kv_[i].v[layer];
    CHECK(static_cast<std::int64_t>(k.size()) == s.n_past * k_cols);
    if (!at.latent) CHECK(static_cast<std::int64_t>(v.size()) == s.n_past * v_cols);
    for (std::int32_t j = 0; j < s.n_new; ++j, ++t) {
      append(k, first.row(t));
      if (split) append(at.latent ? k : v, second.row(t));
      meter_.tally.kv_write_bytes += bytes(k_cols) + (at.latent ? 0 : bytes(v_cols));
    }
  }
}

std::vector<double> Interpreter::scores(const Head& head) {
  std::vector<double> p;
  for (const float* key : head.k) {
    double score = meter_.mul(meter_.dot(head.q, {key, head.q.size()}), head.scale);
    if (head.softcap > 0.0) {
      score = meter_.mul(head.softcap, meter_.tanh(meter_.div(score, head.softcap)));
    }
    const std::size_t distance = head.k.size() - 1 - p.size();
    if (distance < head.bias.size()) score = meter_.add(score, head.bias[distance]);
    p.push_back(score);
  }
  return p;
}

void Interpreter::attend(const Head& head, std::span<float> result) {
  std::vector<double> p = scores(head);
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
  for (std::size_t j = 0; j < p.size(); ++j) {
    const double weight = meter_.div(p[j], sum);
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      mixed[i] = meter_.fma(mixed[i], weight, head.v[j][i]);
    }
  }
  std::ranges::transform(mixed, result.begin(), [](double a) { return static_cast<float>(a); });
}

// By the definition of attended_rows, whose numbers must be these.
Interpreter::Attended Interpreter::attended(const Op& op, std::int64_t t, std::int64_t n_visible) {
  const OpAttributes& at = op.at;
  Attended rows;
  std::vector<std::int64_t> blocks;
  if (at.top_k > 0) {
    const std::vector<float>& selected = activations_[static_cast<std::size_t>(op.in[3])];
    for (std::int64_t j = 0; j < at.top_k; ++j) {
      const float block = selected[static_cast<std::size_t>(t * at.top_k + j)];
      if (block >= 0) blocks.push_back(static_cast<std::int64_t>(block));
    }
  }
  if (at.top_k > 0 && at.ratio == 0) {
    for (const std::int64_t b : blocks) {
      for (std::int64_t r = b * at.block; r < (b + 1) * at.block; ++r) rows.main.push_back(r);
    }
    for (std::int64_t r = n_visible - n_visible % at.block; r < n_visible; ++r) {
      rows.main.push_back(r);
    }
  } else {
    const std::int64_t first =
        at.window > 0 ? std::max<std::int64_t>(n_visible - at.window, 0) : 0;
    for (std::int64_t r = first; r < n_visible; ++r) rows.main.push_back(r);
  }
  if (at.ratio > 0 && at.top_k > 0) rows.pooled = blocks;
  if (at.ratio > 0 && at.top_k == 0) {
    for (std::int64_t r = 0; r < n_visible / at.ratio; ++r) rows.pooled.push_back(r);
  }
  const AttendedRows expected = attended_rows(at, n_visible);
  CHECK(static_cast<std::int64_t>(rows.main.size()) == expected.main);
  CHECK(static_cast<std::int64_t>(rows.pooled.size()) == expected.pooled);
  return rows;
}

namespace {

// A head's query: its part of the first input, then its part of the rotated one, if there is one.
std::vector<float> query_of(Input& q, Input* rotated, std::int64_t t, std::size_t head,
                            std::size_t n_heads, std::size_t qk_dim) {
  const std::size_t plain = q.row(t).size() / n_heads, rest = qk_dim - plain;
  const auto begin = q.row(t).subspan(head * plain, plain);
  std::vector<float> whole(begin.begin(), begin.end());
  if (rotated != nullptr) {
    const auto end = rotated->row(t).subspan(head * rest, rest);
    whole.insert(whole.end(), end.begin(), end.end());
  }
  return whole;
}

// Of a segment: rows seen; where keys are selected, at most as many as were.
std::int64_t rows_read(const OpAttributes& at, const Segment& s, std::int64_t n_seen,
                       std::int64_t n_far, std::int64_t n_selected) {
  const std::int64_t n_all = s.n_past + s.n_new;
  if (at.top_k == 0) return n_seen + n_far;
  return at.ratio > 0 ? n_seen + std::min(n_all / at.ratio, n_selected) : std::min(n_all, n_selected);
}

}  // namespace

void Interpreter::attention(const Op& op) {
  const OpAttributes& at = op.at;
  Input q = in(op, 0);
  const bool split = op.in[2] != kNoValue;
  Input rotated = split ? in(op, 2) : q;
  const bool biased = op.in[4] != kNoValue;
  Input biases = biased ? in(op, 4) : q;
  Output y = out(op);
  const auto layer = static_cast<std::size_t>(op.cache), n_heads = static_cast<std::size_t>(at.n_heads),
             qk_dim = static_cast<std::size_t>(at.qk_dim), v_dim = static_cast<std::size_t>(at.v_dim),
             n_kv_heads = static_cast<std::size_t>(at.n_kv_heads);
  const auto bytes = [&](std::size_t n) {
    return static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(n)));
  };
  const std::int64_t row_bytes =
      bytes(n_kv_heads * qk_dim) + (at.latent ? 0 : bytes(n_kv_heads * v_dim));
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& s = graph_.segments[i];
    const std::span<const float> k = kv_[i].k[layer], v = at.latent ? k : kv_[i].v[layer];
    std::span<const float> far;
    if (at.ratio > 0) far = kv_[i].pooled[static_cast<std::size_t>(op.pooled)];
    std::set<std::int64_t> seen, seen_far;
    std::int64_t selected = 0;
    for (std::int64_t j = 0; j < s.n_new; ++j, ++t) {
      const std::int64_t position = s.n_past + j;
      const Attended rows = attended(op, t, position + 1);
      seen.insert(rows.main.begin(), rows.main.end());
      seen_far.insert(rows.pooled.begin(), rows.pooled.end());
      selected += static_cast<std::int64_t>(at.ratio > 0 ? rows.pooled.size() : rows.main.size());
      for (std::size_t head = 0; head < n_heads; ++head) {
        const std::size_t kv_head = head * n_kv_heads / n_heads;
        const std::vector<float> whole = query_of(q, split ? &rotated : nullptr, t, head, n_heads, qk_dim);
        Head one{.q = whole,
                 .k = {},
                 .v = {},
                 .scale = at.scale * attention_temperature(model_, position),
                 .softcap = at.softcap,
                 .sink = op.in[1] == kNoValue ? nullptr : &weights_(value(op.in[1]).name)[head],
                 .bias = {}};
        if (biased) {
          const auto extent = static_cast<std::size_t>(at.extent);
          one.bias = biases.row(t).subspan(head * extent, extent);
        }
        const std::size_t v_cols = at.latent ? n_kv_heads * qk_dim : n_kv_heads * v_dim;
        for (const std::int64_t r : rows.main) {
          const auto row = static_cast<std::size_t>(r);
          one.k.push_back(&k[(row * n_kv_heads + kv_head) * qk_dim]);
          one.v.push_back(&v[row * v_cols + (at.latent ? 0 : kv_head * v_dim)]);
        }
        for (const std::int64_t r : rows.pooled) {
          one.k.push_back(&far[static_cast<std::size_t>(r) * qk_dim]);
          one.v.push_back(one.k.back());
        }
        attend(one, y.row(t).subspan(head * v_dim, v_dim));
      }
    }
    meter_.tally.kv_read_bytes +=
        rows_read(at, s, static_cast<std::int64_t>(seen.size()), static_cast<std::int64_t>(seen_far.size()), selected) *
        row_bytes;
  }
  if (op.in[1] != kNoValue) in(op, 1).row(0);
  if (op.in[3] != kNoValue) {
    Input blocks = in(op, 3);
    for (std::int64_t r = 0; r < blocks.rows(); ++r) blocks.row(r);
  }
}

}  // namespace tinderbox::reference
