// The intrinsics tier of the quantised kernels: AVX2, FMA, F16C. Call only where the processor has
// them.
#pragma once

#include <cstdint>

#include "engine/kernels/act_block.h"

namespace tinderbox::avx2 {

// The same bits as the portable one.
void quantise(const float* x, std::int64_t n_blocks, ActBlock* out);

void panel_q8_0(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out);
void panel_q4_0(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out);
void panel_q4_1(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out);
void panel_q4_k(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out);
void panel_q6_k(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, float* out);

}  // namespace tinderbox::avx2
