// The row-wise operations between matrix products, by Highway. Each output row depends on its input
// row only, so rows may be divided among threads at will. Naive versions and definitions:
// kernels/naive.h.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace tinderbox {

// out = x / sqrt(mean(x^2) + eps) * weight over n values (Zhang and Sennrich 2019).
void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out);

// out = a + b.
void add(const float* a, const float* b, std::int64_t n, float* out);

// out = activation(gate) * up. SwigluOai: gate at most 7, up within [-7, 7], (up + 1) gate
// sigmoid(1.702 gate) (gpt-oss).
void glu(Activation activation, const float* gate, const float* up, std::int64_t n, float* out);

// One token's rotary embedding of n_heads heads. cosine, sine: (n_dims / 2). Pairs (2 i, 2 i + 1)
// if interleaved, else (i, i + n_dims / 2); dimensions from n_dims on are copied.
struct RopeRow {
  const float *cosine, *sine;
  int n_dims, head_dim, n_heads;
  bool interleaved;
};
void rope(const RopeRow& row, const float* x, float* out);

// out += weight * x.
void add_scaled(const float* x, float weight, std::int64_t n, float* out);

}  // namespace tinderbox
