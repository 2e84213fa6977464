// The ops of sparse attention: pooled rows and the selection of blocks by an index.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "model/reference_interpreter.h"
#include "model/rope.h"

namespace tinderbox::reference {

// Row `row` of the pooled cache from x | gates of all tokens so far.
std::vector<double> Interpreter::pool(const Op& op, std::span<const float> inputs,
                                      std::int64_t row) {
  Meter& m = meter_;
  const OpAttributes& at = op.at;
  const auto width = static_cast<std::size_t>(at.qk_dim), ratio = static_cast<std::size_t>(at.ratio),
             overlap = static_cast<std::size_t>(at.overlap), cols = overlap * width;
  const bool gated = op.in[1] != kNoValue, biased = op.in[2] != kNoValue;
  const std::size_t stride = gated ? 2 * cols : cols;
  std::span<const float> bias;
  if (biased) bias = weights_(value(op.in[2]).name);
  std::vector<double> pooled;
  for (std::size_t c = 0; c < width; ++c) {
    // What each token of the window, and of the one before if they overlap, gives to the channel.
    std::vector<double> values, gates;
    for (std::size_t half = 0; half < overlap; ++half) {
      const std::int64_t window = row - static_cast<std::int64_t>(overlap - 1 - half);
      for (std::size_t place = 0; place < ratio; ++place) {
        const std::size_t channel = half * width + c;
        const bool exists = window >= 0;  // nothing stands before the first window
        const std::size_t at_row =
            exists ? (static_cast<std::size_t>(window) * ratio + place) * stride : 0;
        values.push_back(exists ? inputs[at_row + channel] : 0.0);
        if (!gated) continue;
        double gate = exists ? inputs[at_row + cols + channel]
                             : -std::numeric_limits<double>::infinity();
        if (biased) gate = m.add(gate, bias[place * cols + channel]);
        gates.push_back(gate);
      }
    }
    double sum = 0.0, mixed = 0.0;
    if (!gated) {
      for (const double v : values) mixed = m.add(mixed, v);
      pooled.push_back(m.div(mixed, static_cast<double>(values.size())));
      continue;
    }
    double top = -std::numeric_limits<double>::infinity();
    for (const double g : gates) top = m.max(g, top);
    for (double& g : gates) sum = m.add(sum, g = m.exp(m.sub(g, top)));
    for (std::size_t i = 0; i < values.size(); ++i) {
      mixed = m.add(mixed, m.mul(m.div(gates[i], sum), values[i]));
    }
    pooled.push_back(mixed);
  }
  return pooled;
}

void Interpreter::rotate(const Rope& table, std::span<const double> from, double position,
                         std::span<double> to) {
  const std::vector<double> frequencies = rope_frequencies(table);
  const double factor = rope_attention_factor(table);
  const std::size_t pairs = frequencies.size();
  for (std::size_t i = 0; i < pairs; ++i) {
    const std::size_t a = table.interleaved ? 2 * i : i, b = table.interleaved ? a + 1 : i + pairs;
    const double c = std::cos(position * frequencies[i]) * factor;
    const double s = std::sin(position * frequencies[i]) * factor;
    to[a] = meter_.sub(meter_.mul(from[a], c), meter_.mul(from[b], s));
    to[b] = meter_.add(meter_.mul(from[a], s), meter_.mul(from[b], c));
  }
}

void Interpreter::pool_store(const Op& op) {
  Meter& m = meter_;
  const OpAttributes& at = op.at;
  Input x = in(op, 0);
  const bool gated = op.in[1] != kNoValue;
  Input gates = gated ? in(op, 1) : x;
  std::span<const float> norm_weight;
  if (op.in[3] != kNoValue) norm_weight = in(op, 3).row(0);
  if (op.in[2] != kNoValue) {
    Input bias = in(op, 2);
    for (std::int64_t r = 0; r < bias.rows(); ++r) bias.row(r);
  }
  const auto layer = static_cast<std::size_t>(op.layer);
  const auto kept = std::int64_t{at.ratio} * at.overlap;
  const auto kept_bytes = static_cast<std::int64_t>(
      dtype_bytes(at.state, static_cast<double>(x.cols() + (gated ? gates.cols() : 0))));
  const auto row_bytes =
      static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(at.qk_dim)));
  const bool index = at.store == CacheKind::Index;
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& s = graph_.segments[i];
    std::vector<float>& inputs = (index ? kv_[i].index_inputs : kv_[i].pooled_inputs)[layer];
    std::vector<float>& cache = (index ? kv_[i].index : kv_[i].pooled)[layer];
    for (std::int32_t j = 0; j < s.n_new; ++j, ++t) {
      inputs.insert(inputs.end(), x.row(t).begin(), x.row(t).end());
      if (gated) inputs.insert(inputs.end(), gates.row(t).begin(), gates.row(t).end());
    }
    const std::int64_t first = s.n_past / at.ratio, last = (s.n_past + s.n_new) / at.ratio;
    for (std::int64_t row = first; row < last; ++row) {
      std::vector<double> pooled = pool(op, inputs, row);
      if (!norm_weight.empty()) {
        double squares = 0.0;
        for (const double a : pooled) squares = m.add(squares, m.mul(a, a));
        const double mean = m.div(squares, static_cast<double>(pooled.size()));
        const double inverse = m.div(1.0, m.sqrt(m.add(mean, model_.norm_eps)));
        for (std::size_t c = 0; c < pooled.size(); ++c) {
          pooled[c] = m.mul(m.mul(pooled[c], inverse), norm_weight[c]);
        }
      }
      if (at.rope != LayerRope::None) {
        const Rope& table = at.rope == LayerRope::Local ? model_.rope_local : model_.rope;
        const std::vector<double> plain = pooled;
        const auto begin = static_cast<std::size_t>(at.begin);
        rotate(table, std::span(plain).subspan(begin), static_cast<double>(row * at.ratio),
               std::span(pooled).subspan(begin));
      }
      cache.insert(cache.end(), pooled.begin(), pooled.end());
    }
    meter_.tally.kv_write_bytes += (last - first) * row_bytes;
    meter_.tally.kv_write_bytes += std::min<std::int64_t>(s.n_new, kept) * kept_bytes;
    if (last > first) meter_.tally.kv_read_bytes += kept * kept_bytes;
  }
}

// The score of each complete block of index keys for a token.
std::vector<double> Interpreter::block_scores(const OpAttributes& at, std::span<const float> q,
                                              std::span<const float> weights,
                                              std::span<const float> keys, std::int64_t n_blocks) {
  Meter& m = meter_;
  const auto width = static_cast<std::size_t>(at.qk_dim);
  const std::int64_t keys_per_block = at.block / at.ratio;
  std::vector<double> scores;
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    double best = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = b * keys_per_block; j < (b + 1) * keys_per_block; ++j) {
      const auto key = keys.subspan(static_cast<std::size_t>(j) * width, width);
      double score = 0.0;
      for (std::size_t h = 0; h < static_cast<std::size_t>(at.n_heads); ++h) {
        double part = m.max(m.dot(q.subspan(h * width, width), key), 0.0);
        if (!weights.empty()) part = m.mul(part, weights[h]);
        score = m.add(score, part);
      }
      best = keys_per_block > 1 ? m.max(score, best) : score;
    }
    scores.push_back(best);
  }
  return scores;
}

void Interpreter::select(const Op& op) {
  const OpAttributes& at = op.at;
  Input q = in(op, 0);
  const bool weighted = op.in[1] != kNoValue;
  Input weights = weighted ? in(op, 1) : q;
  Output y = out(op);
  const auto row_bytes =
      static_cast<std::int64_t>(dtype_bytes(graph_.kv_dtype, static_cast<double>(at.qk_dim)));
  std::int64_t t = 0, touched = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    const Segment& s = graph_.segments[i];
    const std::span<const float> keys = kv_[i].index[static_cast<std::size_t>(op.cache)];
    for (std::int64_t j = 0; j < s.n_new; ++j, ++t) {
      const std::int64_t n_blocks = (s.n_past + j + 1) / at.block;
      std::span<const float> of_heads;
      if (weighted) of_heads = weights.row(t);
      const std::vector<double> scores = block_scores(at, q.row(t), of_heads, keys, n_blocks);
      std::vector<std::int64_t> order(scores.size());
      for (std::size_t b = 0; b < order.size(); ++b) order[b] = static_cast<std::int64_t>(b);
      std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) {
        return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
      });
      // However it is done, a selection looks at each score once or a few times: one flop each.
      meter_.tally.vector_flops += n_blocks;
      const auto to = y.row(t);
      for (std::size_t b = 0; b < to.size(); ++b) {
        to[b] = b < order.size() ? static_cast<float>(order[b]) : -1.0f;
      }
    }
    touched += (s.n_past + s.n_new) / at.block * (at.block / at.ratio);
  }
  meter_.tally.kv_read_bytes += touched * row_bytes;
}

}  // namespace tinderbox::reference
