// Number formats of weights, activations and KV caches, with their exact bytes: a format is blocks of
// `block_elements` values in `block_bytes` bytes, block scales included. Names are GGUF's in lower case.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/units.h"

namespace tinderbox {

enum class DType : std::uint8_t {
  F32, F16, BF16,
  TF32,  // stored as F32; the name asks for the arithmetic
  Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
  Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
  IQ2_XXS, IQ2_S, IQ3_XXS, IQ3_S, IQ4_NL, IQ4_XS,
  IQ6_K,   // of ik_llama.cpp
  Q1_0,    // 128 elements: one f16 scale + a sign bit each
  Q2_0,    // 128 elements: one f16 scale + 2 bits each (Bonsai's fork of llama.cpp)
  Q2_G64,  // the same in groups of 64: what llama.cpp itself calls Q2_0
  MXFP4,      // 32 elements: 16 B of e2m1 + one e8m0 scale
  NVFP4,      // 16 elements: 8 B of e2m1 + one fp8 scale (the per-tensor scale is not counted)
  FP8, INT8,  // one byte an element; scales of channels (or 128 x 128 blocks: 0.02 %) are not counted
  INT4_G128,  // 128 elements: 64 B + one f16 scale + half a byte of zero point, rounded up to 67 B
  NF4,        // 64 elements: 32 B + one 8-bit scale (double quantisation; its f32 scale for 256 blocks: 0.05 %)
  EXL3_4BPW, EXL3_6BPW,  // trellis codes of exactly 4 or 6 bits; scales of rows and columns are not counted
  MLX_4BIT, MLX_8BIT,    // 64 elements: f16 scale and bias + 4 or 8 bits each
  TURBO4,  // KV caches only, as most forks have it: 128 elements: two f16 norms + 4 bits each
  TQ3_0,   // KV caches only: 32 elements: one f16 scale + 3 bits each
  I32, I64, F64,
};
inline constexpr int kDTypes = static_cast<int>(DType::F64) + 1;
// Formats that a model's matrices can have in a serving stack come first.
inline constexpr int kWeightDTypes = static_cast<int>(DType::MLX_8BIT) + 1;

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
