// GGUF's weight formats as values: the naive, exact definition of each one that the engine supports
// (ggml's block layouts). Kernels are checked against it; Embed reads rows through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/dtype.h"
#include "model/gguf.h"

namespace tinderbox {

// F32 F16 BF16 Q4_0 Q4_1 Q8_0 Q4_K Q6_K: the formats that kernels exist for.
bool engine_supports(DType dtype);

// The bytes of one row of `cols` values. Requires a supported format and whole blocks.
std::size_t row_bytes(DType dtype, std::int64_t cols);

// out = values of one row; out.size() is a multiple of the format's block. Requires a supported
// format.
void dequantise_row(DType dtype, const std::byte* row, std::span<float> out);

// The whole tensor, row-major (rows, cols).
std::vector<float> dequantise(const TensorView& tensor);

// Scale and minimum of 32-value sub-block j of a Q4_K super-block: six bits each, packed in twelve
// bytes.
struct ScaleMin {
  std::uint8_t scale, min;
};
ScaleMin q4_k_scale_min(const std::uint8_t* packed, int j);

}  // namespace tinderbox
