#include "engine/kernels/matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/matmul.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/panel_avx2.h"
#include "engine/kernels/panel_float.h"
#include "engine/kernels/panel_portable.h"

HWY_BEFORE_NAMESPACE();
namespace tinderbox {
namespace HWY_NAMESPACE {
namespace {

// Whether the chosen target includes AVX2, FMA and F16C. Asked through the dispatch table, because
// asking the processor again is slow (cpuid leaves a virtual machine).
bool HasAvx2() {
  return HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tinderbox
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tinderbox {

HWY_EXPORT(HasAvx2);

namespace {

// Activations that stay in the second-level cache while all panels pass over them.
constexpr std::size_t kChunkBytes = std::size_t{48} << 10;

PanelKernel panel_kernel(DType dtype) {
  if (!panel_format(dtype).quantised) return float_panel_kernel(dtype);
#if defined(TINDERBOX_AVX2_TIER)
  if (HWY_DYNAMIC_DISPATCH(HasAvx2)()) {
    switch (dtype) {
      case DType::Q8_0:
        return avx2::panel_q8_0;
      case DType::Q4_0:
        return avx2::panel_q4_0;
      case DType::Q4_1:
        return avx2::panel_q4_1;
      case DType::Q4_K:
        return avx2::panel_q4_k;
      case DType::Q6_K:
        return avx2::panel_q6_k;
      default:
        break;
    }
  }
#endif
  return portable::panel_kernel(dtype);
}

// Adds the bias and stores n rows of one panel; tile is (n, rows of a panel).
void store_tile(const MatMul& op, std::int64_t panel, std::size_t first, int n, const float* tile) {
  const int rows = op.weights->layout().rows;
  const std::int64_t column = panel * rows;
  const auto width = static_cast<int>(std::min<std::int64_t>(rows, op.weights->rows() - column));
  for (int t = 0; t < n; ++t) {
    float* out = op.out[first + static_cast<std::size_t>(t)] + column;
    const float* from = tile + t * rows;
    if (op.bias == nullptr) {
      std::memcpy(out, from, static_cast<std::size_t>(width) * sizeof(float));
    } else {
      for (int i = 0; i < width; ++i) out[i] = from[i] + op.bias[column + i];
    }
  }
}

}  // namespace

std::size_t prepared_row_bytes(bool quantised, std::int64_t k) {
  return quantised ? static_cast<std::size_t>(k / 32) * sizeof(ActBlock)
                   : static_cast<std::size_t>(k) * sizeof(float);
}

void quantise(const float* x, std::int64_t k, ActBlock* out) {
  DCHECK(k % 32 == 0);
#if defined(TINDERBOX_AVX2_TIER)
  if (HWY_DYNAMIC_DISPATCH(HasAvx2)()) return avx2::quantise(x, k / 32, out);
#endif
  portable::quantise(x, k / 32, out);
}

void matmul_panels(const MatMul& op, std::int64_t begin, std::int64_t end) {
  const PackedMatrix& w = *op.weights;
  const PanelKernel kernel = panel_kernel(w.dtype());
  const std::size_t row_bytes = prepared_row_bytes(w.layout().quantised, w.cols());
  const std::size_t chunk = std::max<std::size_t>(4, kChunkBytes / row_bytes / 4) * kTileTokens;
  float tile[kTileTokens * kPanelRowsMax];
  for (std::size_t first = 0; first < op.x.size(); first += chunk) {
    const std::size_t last = std::min(op.x.size(), first + chunk);
    for (std::int64_t p = begin; p < end; ++p) {
      for (std::size_t t = first; t < last; t += kTileTokens) {
        const int n = static_cast<int>(std::min<std::size_t>(kTileTokens, last - t));
        kernel(w.panel(op.matrix, p), w.cols(), &op.x[t], n, tile);
        store_tile(op, p, t, n, tile);
      }
    }
  }
}

}  // namespace tinderbox
#endif
