#include "engine/kernels/vector_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/vector_ops.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
// After highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace tinderbox {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// out[i] = f(a[i], b[i]); the tail passes through zero-padded buffers (partial loads of this
// Highway may read past the end on old processors).
template <typename F>
HWY_INLINE void Map2(const float* a, const float* b, std::int64_t n, float* out, F f) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(f(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, out + i);
  if (i == n) return;
  HWY_ALIGN float tail[2][HWY_MAX_BYTES / sizeof(float)] = {};
  const std::size_t bytes = static_cast<std::size_t>(n - i) * sizeof(float);
  std::memcpy(tail[0], a + i, bytes);
  std::memcpy(tail[1], b + i, bytes);
  hn::Store(f(hn::Load(d, tail[0]), hn::Load(d, tail[1])), d, tail[0]);
  std::memcpy(out + i, tail[0], bytes);
}

void RmsNorm(const float* HWY_RESTRICT x, const float* HWY_RESTRICT weight, float eps,
             std::int64_t n, float* HWY_RESTRICT out) {
  const D d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sum = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V v = hn::LoadU(d, x + i);
    sum = hn::MulAdd(v, v, sum);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) total += x[i] * x[i];
  const V scale = hn::Set(d, 1.0f / std::sqrt(total / static_cast<float>(n) + eps));
  Map2(x, weight, n, out, [scale](V v, V w) HWY_ATTR { return hn::Mul(hn::Mul(v, scale), w); });
}

void Add(const float* a, const float* b, std::int64_t n, float* out) {
  Map2(a, b, n, out, [](V x, V y) HWY_ATTR { return hn::Add(x, y); });
}

// 1 / (1 + exp(-x)); Highway's Exp is valid up to 104, and beyond 88 the result is 0 or 1 in any
// case.
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)))));
}

HWY_INLINE V GeluTanh(D d, V x) {
  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016.
  const V cubic = hn::Mul(hn::Mul(x, x), hn::Mul(x, hn::Set(d, 0.044715f)));
  const V inner = hn::Mul(hn::Set(d, 0.7978845608f), hn::Add(x, cubic));
  return hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), hn::Add(hn::Set(d, 1.0f), hn::Tanh(d, inner)));
}

void Glu(Activation activation, const float* gate, const float* up, std::int64_t n, float* out) {
  const D d;
  switch (activation) {
    case Activation::Silu:
      Map2(gate, up, n, out,
           [d](V g, V u) HWY_ATTR { return hn::Mul(hn::Mul(g, Sigmoid(d, g)), u); });
      return;
    case Activation::GeluTanh:
      Map2(gate, up, n, out, [d](V g, V u) HWY_ATTR { return hn::Mul(GeluTanh(d, g), u); });
      return;
    case Activation::SwigluOai:
      Map2(gate, up, n, out, [d](V g, V u) HWY_ATTR {
        const V limit = hn::Set(d, 7.0f);
        const V clipped = hn::Min(g, limit);
        const V bounded = hn::Max(hn::Min(u, limit), hn::Neg(limit));
        const V swish = hn::Mul(clipped, Sigmoid(d, hn::Mul(clipped, hn::Set(d, 1.702f))));
        return hn::Mul(hn::Add(bounded, hn::Set(d, 1.0f)), swish);
      });
      return;
    case Activation::Gelu:
    case Activation::Relu2:
    case Activation::Sigmoid:
    case Activation::Identity:
      break;  // no model that the engine loads has them
  }
  std::abort();
}

// (a, b) turned by one angle a lane.
struct Turned {
  V a, b;
};
HWY_INLINE Turned Turn(V a, V b, V c, V s) {
  return {hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), hn::MulAdd(a, s, hn::Mul(b, c))};
}

void Rope(const RopeRow& row, const float* HWY_RESTRICT x, float* HWY_RESTRICT out) {
  const D d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int half = row.n_dims / 2;
  for (int h = 0; h < row.n_heads; ++h, x += row.head_dim, out += row.head_dim) {
    int i = 0;
    for (; i + lanes <= half; i += lanes) {
      const V c = hn::LoadU(d, row.cosine + i), s = hn::LoadU(d, row.sine + i);
      if (row.interleaved) {
        V a, b;
        hn::LoadInterleaved2(d, x + 2 * i, a, b);
        const Turned t = Turn(a, b, c, s);
        hn::StoreInterleaved2(t.a, t.b, d, out + 2 * i);
      } else {
        const Turned t = Turn(hn::LoadU(d, x + i), hn::LoadU(d, x + half + i), c, s);
        hn::StoreU(t.a, d, out + i);
        hn::StoreU(t.b, d, out + half + i);
      }
    }
    for (; i < half; ++i) {
      const int a = row.interleaved ? 2 * i : i, b = row.interleaved ? 2 * i + 1 : half + i;
      const float xa = x[a], xb = x[b];
      out[a] = xa * row.cosine[i] - xb * row.sine[i];
      out[b] = xa * row.sine[i] + xb * row.cosine[i];
    }
    for (int j = row.n_dims; j < row.head_dim; ++j) out[j] = x[j];
  }
}

void AddScaled(const float* x, float weight, std::int64_t n, float* out) {
  const V w = hn::Set(D(), weight);
  Map2(x, out, n, out, [w](V v, V o) HWY_ATTR { return hn::MulAdd(w, v, o); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tinderbox
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tinderbox {

HWY_EXPORT(RmsNorm);
HWY_EXPORT(Add);
HWY_EXPORT(Glu);
HWY_EXPORT(Rope);
HWY_EXPORT(AddScaled);

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, eps, n, out);
}
void add(const float* a, const float* b, std::int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Add)(a, b, n, out);
}
void glu(Activation activation, const float* gate, const float* up, std::int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Glu)(activation, gate, up, n, out);
}
void rope(const RopeRow& row, const float* x, float* out) {
  HWY_DYNAMIC_DISPATCH(Rope)(row, x, out);
}
void add_scaled(const float* x, float weight, std::int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(AddScaled)(x, weight, n, out);
}

}  // namespace tinderbox
#endif
