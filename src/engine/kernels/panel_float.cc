#include "engine/kernels/panel_float.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/panel_float.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "base/check.h"

HWY_BEFORE_NAMESPACE();
namespace tinderbox {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int kRows = 16;
using Full = hn::CappedTag<float, kRows>;

template <typename T>
HWY_INLINE hn::Vec<Full> LoadWeights(Full d, const T* p) {
  if constexpr (sizeof(T) == 4) {
    return hn::LoadU(d, p);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, Full>(), p));
  }
}

// kTokens tokens times 16 rows in 16 / lanes registers each.
template <typename T, int kTokens>
HWY_INLINE void Tile(const T* HWY_RESTRICT w, std::int64_t k, const void* const* x,
                     float* HWY_RESTRICT out) {
  const Full d;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(Full()));
  constexpr int kVectors = kRows / kLanes;
  using V = hn::Vec<Full>;
  V acc[kTokens * kVectors];
  const float* rows[kTokens];
  for (int t = 0; t < kTokens; ++t) rows[t] = static_cast<const float*>(x[t]);
  for (auto& a : acc) a = hn::Zero(d);
  for (std::int64_t i = 0; i < k; ++i, w += kRows) {
    V weights[kVectors];
    for (int v = 0; v < kVectors; ++v) weights[v] = LoadWeights<T>(d, w + v * kLanes);
    for (int t = 0; t < kTokens; ++t) {
      const V xi = hn::Set(d, rows[t][i]);
      for (int v = 0; v < kVectors; ++v) {
        acc[t * kVectors + v] = hn::MulAdd(weights[v], xi, acc[t * kVectors + v]);
      }
    }
  }
  for (int i = 0; i < kTokens * kVectors; ++i) hn::StoreU(acc[i], d, out + i * kLanes);
}

template <typename T>
void Panel(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out) {
  const T* w = reinterpret_cast<const T*>(panel);
  switch (n) {
    case 1:
      Tile<T, 1>(w, k, x, out);
      return;
    case 2:
      Tile<T, 2>(w, k, x, out);
      return;
    case 3:
      Tile<T, 3>(w, k, x, out);
      return;
    default:
      Tile<T, 4>(w, k, x, out);
  }
}

void PanelF32(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out) {
  Panel<float>(panel, k, x, n, out);
}
void PanelF16(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out) {
  Panel<hwy::float16_t>(panel, k, x, n, out);
}
void PanelBf16(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out) {
  Panel<hwy::bfloat16_t>(panel, k, x, n, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tinderbox
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tinderbox {

HWY_EXPORT(PanelF32);
HWY_EXPORT(PanelF16);
HWY_EXPORT(PanelBf16);

PanelKernel float_panel_kernel(DType dtype) {
  CHECK(dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16);
  if (dtype == DType::F32) return [](auto... args) { HWY_DYNAMIC_DISPATCH(PanelF32)(args...); };
  if (dtype == DType::F16) return [](auto... args) { HWY_DYNAMIC_DISPATCH(PanelF16)(args...); };
  return [](auto... args) { HWY_DYNAMIC_DISPATCH(PanelBf16)(args...); };
}

}  // namespace tinderbox
#endif
