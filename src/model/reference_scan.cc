// The ops that keep a state of fixed size instead of a cache: short convolution and recurrent scan.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "model/reference_interpreter.h"

namespace tinderbox::reference {

void Interpreter::conv(const Op& op) {
  Input x = in(op, 0), w = in(op, 1);
  Output y = out(op);
  std::span<const float> bias;
  if (op.in[2] != kNoValue) bias = in(op, 2).row(0);
  const auto kernel = static_cast<std::size_t>(w.cols()), channels = static_cast<std::size_t>(w.rows());
  const auto kept_bytes = static_cast<std::int64_t>(
      static_cast<double>(kernel - 1) * dtype_bytes(op.at.state, static_cast<double>(channels)));
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    std::vector<float>& kept = kv_[i].conv[value(op.in[1]).name];
    kept.resize((kernel - 1) * channels, 0.0f);
    for (std::int32_t j = 0; j < graph_.segments[i].n_new; ++j, ++t) {
      const auto row = x.row(t);
      const auto to = y.row(t);
      for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0.0;
        for (std::size_t tap = 0; tap < kernel; ++tap) {
          const double value = tap + 1 < kernel ? kept[tap * channels + c] : row[c];
          sum = meter_.add(sum, meter_.mul(value, w.row(static_cast<std::int64_t>(c))[tap]));
        }
        if (!bias.empty()) sum = meter_.add(sum, bias[c]);
        to[c] = static_cast<float>(activate(op.at.activation, sum));
      }
      kept.insert(kept.end(), row.begin(), row.end());
      kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(channels));
    }
    meter_.tally.kv_read_bytes += kept_bytes;
    meter_.tally.kv_write_bytes += kept_bytes;
  }
}

// One token of GatedDelta or ChannelDelta; state (v_heads, k_dim, v_dim).
void Interpreter::delta_token(const Op& op, std::span<const float> x, std::span<const float> decay,
                              std::span<const float> beta, std::span<float> state,
                              std::span<float> y) {
  Meter& m = meter_;
  const OpAttributes& at = op.at;
  const auto k_heads = static_cast<std::size_t>(at.n_kv_heads),
             heads = static_cast<std::size_t>(at.n_heads), dk = static_cast<std::size_t>(at.qk_dim),
             dv = static_cast<std::size_t>(at.v_dim);
  const auto a = in(op, 3).row(0), dt = in(op, 4).row(0);
  const auto unit = [&](std::size_t begin, bool query) {
    std::vector<double> v(x.begin() + static_cast<std::ptrdiff_t>(begin),
                          x.begin() + static_cast<std::ptrdiff_t>(begin + dk));
    double squares = 0.0;
    for (const double e : v) squares = m.add(squares, m.mul(e, e));
    double inverse = m.div(1.0, m.sqrt(m.add(squares, 1e-6)));
    if (query) inverse = m.mul(inverse, 1.0 / std::sqrt(static_cast<double>(dk)));
    for (double& e : v) e = m.mul(e, inverse);
    return v;
  };
  const bool channels = at.rule == ScanRule::ChannelDelta;
  for (std::size_t kh = 0; kh < k_heads; ++kh) {
    const std::vector<double> q = unit(kh * dk, true), k = unit((k_heads + kh) * dk, false);
    for (std::size_t h = kh * heads / k_heads; h < (kh + 1) * heads / k_heads; ++h) {
      std::vector<double> keep;
      for (std::size_t i = 0; i < (channels ? dk : 1); ++i) {
        const std::size_t c = channels ? kh * dk + i : h;
        keep.push_back(m.exp(m.mul(a[h], m.softplus(m.add(decay[c], dt[c])))));
      }
      const double b = m.sigmoid(beta[h]);
      const auto s = state.subspan(h * dk * dv, dk * dv);
      std::vector<double> seen(dv, 0.0), result(dv, 0.0);
      for (std::size_t i = 0; i < dk; ++i) {
        for (std::size_t j = 0; j < dv; ++j) {
          float& e = s[i * dv + j];
          e = static_cast<float>(m.mul(e, keep[channels ? i : 0]));
          seen[j] = m.fma(seen[j], e, k[i]);
        }
      }
      const auto v = x.subspan(2 * k_heads * dk + h * dv, dv);
      for (std::size_t j = 0; j < dv; ++j) {
        const double delta = m.mul(m.sub(v[j], seen[j]), b);
        for (std::size_t i = 0; i < dk; ++i) {
          float& e = s[i * dv + j];
          e = static_cast<float>(m.fma(e, k[i], delta));
          result[j] = m.fma(result[j], e, q[i]);
        }
        y[h * dv + j] = static_cast<float>(result[j]);
      }
    }
  }
}

void Interpreter::mamba_token(const Op& op, std::span<const float> x, std::span<const float> decay,
                              std::span<float> state, std::span<float> y) {
  Meter& m = meter_;
  const OpAttributes& at = op.at;
  const auto groups = static_cast<std::size_t>(at.n_kv_heads),
             heads = static_cast<std::size_t>(at.n_heads), dk = static_cast<std::size_t>(at.qk_dim),
             dv = static_cast<std::size_t>(at.v_dim);
  const auto a = in(op, 3).row(0), dt = in(op, 4).row(0), d = in(op, 5).row(0);
  for (std::size_t h = 0; h < heads; ++h) {
    const std::size_t group = h * groups / heads;
    const auto v = x.subspan(h * dv, dv), k = x.subspan(heads * dv + group * dk, dk),
               q = x.subspan(heads * dv + (groups + group) * dk, dk);
    const double step = m.softplus(m.add(decay[h], dt[h])), keep = m.exp(m.mul(a[h], step));
    const auto s = state.subspan(h * dk * dv, dk * dv);
    for (std::size_t j = 0; j < dv; ++j) {
      const double input = m.mul(step, v[j]);
      double result = 0.0;
      for (std::size_t i = 0; i < dk; ++i) {
        float& e = s[i * dv + j];
        e = static_cast<float>(m.fma(m.mul(e, keep), k[i], input));
        result = m.fma(result, e, q[i]);
      }
      y[h * dv + j] = static_cast<float>(m.add(result, m.mul(d[h], v[j])));
    }
  }
}

void Interpreter::scan(const Op& op) {
  const OpAttributes& at = op.at;
  Input x = in(op, 0), decay = in(op, 1);
  const bool mamba = at.rule == ScanRule::Mamba2;
  Input beta = mamba ? decay : in(op, 2);
  Output y = out(op);
  const auto size = static_cast<std::size_t>(at.n_heads) * static_cast<std::size_t>(at.qk_dim) *
                    static_cast<std::size_t>(at.v_dim);
  const auto state_bytes = static_cast<std::int64_t>(
      static_cast<double>(at.n_heads) * at.qk_dim * dtype_bytes(at.state, at.v_dim));
  std::int64_t t = 0;
  for (std::size_t i = 0; i < graph_.segments.size(); ++i) {
    std::vector<float>& state = kv_[i].state[static_cast<std::size_t>(op.layer)];
    state.resize(size, 0.0f);
    for (std::int32_t j = 0; j < graph_.segments[i].n_new; ++j, ++t) {
      if (mamba) {
        mamba_token(op, x.row(t), decay.row(t), state, y.row(t));
      } else {
        delta_token(op, x.row(t), decay.row(t), beta.row(t), state, y.row(t));
      }
    }
    meter_.tally.kv_read_bytes += state_bytes;
    meter_.tally.kv_write_bytes += state_bytes;
  }
  // Read once, however many tokens use them.
  meter_.tally.weight_bytes = 0;
  for (const std::size_t i : {std::size_t{3}, std::size_t{4}, std::size_t{5}}) {
    if (op.in[i] != kNoValue) in(op, i).row(0);
  }
}

}  // namespace tinderbox::reference
