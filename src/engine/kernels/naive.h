// Every kernel again, as plainly as it can be said: double accumulation, no SIMD, no tiles, no
// packing. They stay for ever: each is its kernel's definition and oracle. Where a kernel's
// rounding has a bound, `magnitude` returns the sum of absolute terms that the bound is a multiple
// of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/act_block.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/vector_ops.h"

namespace tinderbox::naive {

struct Sum {
  double value = 0, magnitude = 0;
};

// sum of a_i b_i
Sum dot(std::span<const float> a, std::span<const float> b);

// The values d q that blocks of activations stand for.
void quantised_values(std::span<const ActBlock> blocks, std::span<float> out);

void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out);
float glu(Activation activation, float gate, float up);
void rope(const RopeRow& row, const float* x, float* out);

// One query over n_keys visible keys and values (n_keys, head_dim), with a sink logit or none.
void attention(std::span<const float> q, std::span<const float> keys, std::span<const float> values,
               float scale, const float* sink, std::span<float> out);

}  // namespace tinderbox::naive
