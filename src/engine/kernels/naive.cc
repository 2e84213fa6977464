#include "engine/kernels/naive.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace tinderbox::naive {

Sum dot(std::span<const float> a, std::span<const float> b) {
  Sum sum;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    sum.value += product;
    sum.magnitude += std::fabs(product);
  }
  return sum;
}

void quantised_values(std::span<const ActBlock> blocks, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = blocks[i / 32].d * static_cast<float>(blocks[i / 32].q[i % 32]);
  }
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  double squares = 0;
  for (std::int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps));
  for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] * scale * weight[i]);
}

float glu(Activation activation, float gate, float up) {
  const double g = gate, u = up;
  switch (activation) {
    case Activation::Silu:
      return static_cast<float>(g / (1.0 + std::exp(-g)) * u);
    case Activation::GeluTanh:
      return static_cast<float>(
          0.5 * g * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (g + 0.044715 * g * g * g))) * u);
    case Activation::SwigluOai: {
      const double clipped = std::min(g, 7.0), bounded = std::clamp(u, -7.0, 7.0);
      return static_cast<float>((bounded + 1.0) * clipped / (1.0 + std::exp(-1.702 * clipped)));
    }
    case Activation::Gelu:
    case Activation::Relu2:
    case Activation::Sigmoid:
    case Activation::Identity:
      break;  // no model that the engine loads has them
  }
  std::abort();
}

void rope(const RopeRow& row, const float* x, float* out) {
  const int half = row.n_dims / 2;
  for (int h = 0; h < row.n_heads; ++h) {
    const float* from = x + h * row.head_dim;
    float* to = out + h * row.head_dim;
    for (int i = 0; i < row.head_dim; ++i) to[i] = from[i];
    for (int i = 0; i < half; ++i) {
      const int a = row.interleaved ? 2 * i : i, b = row.interleaved ? 2 * i + 1 : i + half;
      const double c = row.cosine[i], s = row.sine[i];
      to[a] = static_cast<float>(from[a] * c - from[b] * s);
      to[b] = static_cast<float>(from[a] * s + from[b] * c);
    }
  }
}

void attention(std::span<const float> q, std::span<const float> keys, std::span<const float> values,
               float scale, const float* sink, std::span<float> out) {
  const std::size_t head_dim = q.size(), n_keys = keys.size() / head_dim;
  std::vector<double> scores(n_keys);
  double largest = sink != nullptr ? static_cast<double>(*sink) : -1e300;
  for (std::size_t t = 0; t < n_keys; ++t) {
    scores[t] = scale * dot(q, keys.subspan(t * head_dim, head_dim)).value;
    largest = std::max(largest, scores[t]);
  }
  double total = sink != nullptr ? std::exp(*sink - largest) : 0.0;
  for (double& s : scores) total += s = std::exp(s - largest);
  for (std::size_t d = 0; d < head_dim; ++d) {
    double sum = 0;
    for (std::size_t t = 0; t < n_keys; ++t) sum += scores[t] / total * values[t * head_dim + d];
    out[d] = static_cast<float>(sum);
  }
}

}  // namespace tinderbox::naive
