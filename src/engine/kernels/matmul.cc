#include "engine/kernels/matmul.h"

#define HWY_WANT_AVX3_DL  // the target that has VNNI
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/matmul.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/kernels/panel_avx2.h"
#include "engine/kernels/panel_avx512.h"
#include "engine/kernels/panel_float.h"
#include "engine/kernels/panel_portable.h"

HWY_BEFORE_NAMESPACE();
namespace tinderbox {
namespace HWY_NAMESPACE {
namespace {

// Which tier of intrinsics the chosen target has: 1 AVX2, FMA and F16C; 2 AVX-512 with VNNI, too.
// Asked through the dispatch table, because asking the processor again is slow (cpuid leaves a
// virtual machine).
int Tier() {
  if (HWY_TARGET == HWY_AVX3_DL) return 2;
  return HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 ? 1 : 0;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace tinderbox
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tinderbox {

HWY_EXPORT(Tier);

namespace {

// Activations that stay in the second-level cache while all panels pass over them.
constexpr std::size_t kChunkBytes = std::size_t{48} << 10;
constexpr int kTileFloats =
    std::max(kTileTokens * kPanelRowsMax, kPairTokens * 2 * kQuantPanelRows);

// How products with weights of a format are computed here.
struct Kernels {
  PanelKernel panel;
  PairKernel pair;  // or null
};

Kernels kernels_of(DType dtype) {
  if (!panel_format(dtype).quantised) return {float_panel_kernel(dtype), nullptr};
#if defined(TINDERBOX_X86_TIERS)
  const int tier = HWY_DYNAMIC_DISPATCH(Tier)();
  const auto of_tier = [&](PanelKernel panel, PairKernel pair) {
    return Kernels{tier >= 1 ? panel : portable::panel_kernel(dtype), tier >= 2 ? pair : nullptr};
  };
  switch (dtype) {
    case DType::Q8_0:
      return of_tier(avx2::panel_q8_0, avx512::pair_q8_0);
    case DType::Q4_0:
      return of_tier(avx2::panel_q4_0, avx512::pair_q4_0);
    case DType::Q4_1:
      return of_tier(avx2::panel_q4_1, avx512::pair_q4_1);
    case DType::Q4_K:
      return of_tier(avx2::panel_q4_k, avx512::pair_q4_k);
    case DType::Q6_K:
      return of_tier(avx2::panel_q6_k, avx512::pair_q6_k);
    default:
      break;
  }
#endif
  return {portable::panel_kernel(dtype), nullptr};
}

// Adds the bias and stores n rows from column `column` on; tile is (n, width of it), where the
// weights may end earlier.
void store_tile(const MatMul& op, std::int64_t column, int tile_width, std::size_t first, int n,
                const float* tile) {
  const auto width =
      static_cast<int>(std::min<std::int64_t>(tile_width, op.weights->rows() - column));
  for (int t = 0; t < n; ++t) {
    float* out = op.out[first + static_cast<std::size_t>(t)] + column;
    const float* from = tile + t * tile_width;
    if (op.bias == nullptr && width == 2 * kQuantPanelRows) {
      std::memcpy(out, from, 2 * kQuantPanelRows * sizeof(float));  // without a call
    } else if (op.bias == nullptr) {
      std::memcpy(out, from, static_cast<std::size_t>(width) * sizeof(float));
    } else {
      for (int i = 0; i < width; ++i) out[i] = from[i] + op.bias[column + i];
    }
  }
}

// Calls kernel(t, n) for the tokens of [first, last), `most` at a time.
template <typename Kernel>
void each_tile(std::size_t first, std::size_t last, int most, Kernel kernel) {
  for (std::size_t t = first; t < last; t += static_cast<std::size_t>(most)) {
    kernel(t, static_cast<int>(std::min(static_cast<std::size_t>(most), last - t)));
  }
}

}  // namespace

std::size_t prepared_row_bytes(bool quantised, std::int64_t k) {
  return quantised ? static_cast<std::size_t>(k / 32) * sizeof(ActBlock)
                   : static_cast<std::size_t>(k) * sizeof(float);
}

void quantise(const float* x, std::int64_t k, ActBlock* out) {
  DCHECK(k % 32 == 0);
#if defined(TINDERBOX_X86_TIERS)
  if (HWY_DYNAMIC_DISPATCH(Tier)() >= 1) return avx2::quantise(x, k / 32, out);
#endif
  portable::quantise(x, k / 32, out);
}

void matmul_panels(const MatMul& op, std::int64_t begin, std::int64_t end) {
  const PackedMatrix& w = *op.weights;
  const Kernels kernels = kernels_of(w.dtype());
  const int rows = w.layout().rows;
  const std::size_t row_bytes = prepared_row_bytes(w.layout().quantised, w.cols());
  const std::size_t chunk =
      std::max<std::size_t>(1, kChunkBytes / row_bytes / kPairTokens) * kPairTokens;
  float tile[kTileFloats];
  for (std::size_t first = 0; first < op.x.size(); first += chunk) {
    const std::size_t last = std::min(op.x.size(), first + chunk);
    std::int64_t p = begin;
    for (; kernels.pair != nullptr && p + 2 <= end; p += 2) {
      each_tile(first, last, kPairTokens, [&](std::size_t t, int n) {
        kernels.pair(w.panel(op.matrix, p), w.panel(op.matrix, p + 1), w.cols(), &op.x[t], n, tile);
        store_tile(op, p * rows, 2 * rows, t, n, tile);
      });
    }
    for (; p < end; ++p) {
      each_tile(first, last, kTileTokens, [&](std::size_t t, int n) {
        kernels.panel(w.panel(op.matrix, p), w.cols(), &op.x[t], n, tile);
        store_tile(op, p * rows, rows, t, n, tile);
      });
    }
  }
}

}  // namespace tinderbox
#endif
