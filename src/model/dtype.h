// Number formats of weights, activations and KV caches, with their exact bytes: a format is blocks of
// `block_elements` values in `block_bytes` bytes, block scales included. Names are GGUF's in lower case.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/units.h"

namespace tinderbox {

enum class DType : std::uint8_t {
  F32, F16, BF16,
  Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
  Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
  IQ2_XXS, IQ3_XXS, IQ4_NL, IQ4_XS,
  MXFP4,      // 32 elements: 16 B of e2m1 + one e8m0 scale
  NVFP4,      // 16 elements: 8 B of e2m1 + one fp8 scale (the per-tensor scale is not counted)
  FP8, INT8,  // one byte an element; channel scales are not counted
  INT4_G128,  // 128 elements: 64 B + one f16 scale + half a byte of zero point, rounded up to 67 B
  I32, I64,
};

struct DTypeInfo {
  std::string_view name;
  int block_elements;
  int block_bytes;
};
const DTypeInfo& dtype_info(DType dtype);

// Bytes of `n` elements. Requires n to be a multiple of the block where the format has blocks; otherwise the
// last block is counted whole.
double dtype_bytes(DType dtype, double n);
// Mean bits of one element, scales included (q4_1: 5.0, nvfp4: 4.5).
double dtype_bits(DType dtype);

}  // namespace tinderbox
