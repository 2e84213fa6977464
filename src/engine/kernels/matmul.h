// Matrix products of activations with packed weights: out[t] = x[t] w^T + b. The naive version and
// the definition: kernels/naive.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/panel.h"

namespace tinderbox {

// Bytes of one prepared row of k activations for weights of this kind.
std::size_t prepared_row_bytes(bool quantised, std::int64_t k);

// x (k) to k / 32 blocks. Requires k to be a multiple of 32.
void quantise(const float* x, std::int64_t k, ActBlock* out);

struct MatMul {
  const PackedMatrix* weights = nullptr;
  std::int64_t matrix = 0;      // which of the weights' matrices
  const float* bias = nullptr;  // (rows) of that matrix, or null
  std::span<const void* const>
      x;                        // prepared rows: ActBlocks or floats, as the weights' format needs
  std::span<float* const> out;  // one row of weights->rows() floats for each x
};

// Computes the output columns of panels [begin, end) for every row. Different panel ranges may run
// at the same time; the result does not depend on how rows and panels are divided.
void matmul_panels(const MatMul& op, std::int64_t begin, std::int64_t end);

}  // namespace tinderbox
