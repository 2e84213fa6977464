// The ops of residual streams.
#include <cmath>
#include <limits>

#include "base/check.h"
#include "model/reference_interpreter.h"

namespace tinderbox::reference {

constexpr double kStreamEps = 1e-6;  // hc_eps of every published file

void Interpreter::dot(const Op& op) {
  Input a = in(op, 0), b = in(op, 1);
  Output y = out(op);
  const auto width = static_cast<std::size_t>(op.at.width);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto to = y.row(t);
    for (std::size_t g = 0; g < to.size(); ++g) {
      double sum = 0.0;
      for (std::size_t i = g * width; i < (g + 1) * width; ++i) {
        sum = meter_.add(sum, meter_.mul(a.row(t)[i], b.row(t)[i]));
      }
      to[g] = static_cast<float>(op.at.scale == 1.0 ? sum : meter_.mul(sum, op.at.scale));
    }
  }
}

// Rows, then columns of the matrix to sums of 1, again and again.
void Interpreter::sinkhorn(std::span<double> matrix, std::size_t n, int iterations) {
  Meter& m = meter_;
  const auto normalise = [&](std::size_t step, std::size_t stride) {
    for (std::size_t line = 0; line < n; ++line) {
      double sum = 0.0;
      for (std::size_t i = 0; i < n; ++i) sum = m.add(sum, matrix[line * stride + i * step]);
      sum = m.add(sum, kStreamEps);
      for (std::size_t i = 0; i < n; ++i) {
        double& a = matrix[line * stride + i * step];
        a = m.div(a, sum);
      }
    }
  };
  normalise(n, 1);
  for (int i = 1; i < iterations; ++i) {
    normalise(1, n);
    normalise(n, 1);
  }
}

void Interpreter::stream_gates(const Op& op) {
  Meter& m = meter_;
  Input x = in(op, 0);
  const auto base = in(op, 1).row(0), factor = in(op, 2).row(0);
  Output y = out(op);
  const auto n = static_cast<std::size_t>(op.at.n_streams);
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    const auto from = x.row(t);
    const auto to = y.row(t);
    std::vector<double> z;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const std::size_t part = i < n ? 0 : i < 2 * n ? 1 : 2;
      z.push_back(m.add(m.mul(from[i], factor[part]), base[i]));
    }
    for (std::size_t i = 0; i < n; ++i) z[i] = m.add(m.sigmoid(z[i]), kStreamEps);
    if (from.size() > n) {
      for (std::size_t i = n; i < 2 * n; ++i) z[i] = m.mul(2.0, m.sigmoid(z[i]));
      const std::span<double> matrix = std::span(z).subspan(2 * n);
      for (std::size_t row = 0; row < n; ++row) {
        const auto line = matrix.subspan(row * n, n);
        double top = -std::numeric_limits<double>::infinity(), sum = 0.0;
        for (const double a : line) top = m.max(a, top);
        for (double& a : line) sum = m.add(sum, a = m.exp(m.sub(a, top)));
        for (double& a : line) a = m.add(m.div(a, sum), kStreamEps);
      }
      sinkhorn(matrix, n, op.at.iterations);
    }
    for (std::size_t i = 0; i < z.size(); ++i) to[i] = static_cast<float>(z[i]);
  }
}

void Interpreter::stream_read(const Op& op) {
  Meter& m = meter_;
  Input x = in(op, 0);
  const bool weighted = op.in[1] != kNoValue;
  Input weights = weighted ? in(op, 1) : x;
  Output y = out(op);
  const auto n = static_cast<std::size_t>(op.at.n_streams), d = static_cast<std::size_t>(y.cols());
  for (std::int64_t t = 0; t < y.rows(); ++t) {
    for (std::size_t c = 0; c < d; ++c) {
      double sum = 0.0;
      for (std::size_t s = 0; s < n; ++s) {
        const double a = x.row(t)[s * d + c];
        sum = m.add(sum, weighted ? m.mul(weights.row(t)[s], a) : a);
      }
      y.row(t)[c] = static_cast<float>(weighted ? sum : m.mul(sum, 1.0 / static_cast<double>(n)));
    }
  }
}

void Interpreter::stream_write(const Op& op) {
  Meter& m = meter_;
  Input y = in(op, 0);
  const bool has_streams = op.in[1] != kNoValue, weighted = op.in[2] != kNoValue,
             mixes = op.in[3] != kNoValue;
  Input streams = has_streams ? in(op, 1) : y, weights = weighted ? in(op, 2) : y,
        mixing = mixes ? in(op, 3) : y;
  Output to = out(op);
  const auto n = static_cast<std::size_t>(op.at.n_streams), d = static_cast<std::size_t>(y.cols());
  for (std::int64_t t = 0; t < to.rows(); ++t) {
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t c = 0; c < d; ++c) {
        double sum = 0.0;
        if (mixes) {
          for (std::size_t i = 0; i < n; ++i) {
            sum = m.add(sum, m.mul(mixing.row(t)[i * n + j], streams.row(t)[i * d + c]));
          }
        } else if (has_streams) {
          sum = streams.row(t)[j * d + c];
        }
        double gain = y.row(t)[c];
        if (weighted) gain = m.mul(weights.row(t)[j], gain);
        to.row(t)[j * d + c] = static_cast<float>(has_streams ? m.add(sum, gain) : gain);
      }
    }
  }
}

}  // namespace tinderbox::reference
