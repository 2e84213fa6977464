// The wider intrinsics tier of the quantised kernels: AVX-512 F, BW, VL, DQ and VNNI, and what
// panel_avx2.h needs. Call only where the processor has them.
#pragma once

#include <cstdint>

#include "engine/kernels/act_block.h"

namespace tinderbox::avx512 {

// Each a PairKernel; the same bits as two calls of the PanelKernel of panel_avx2.h.
void pair_q8_0(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k,
               const void* const* x, int n, float* out);
void pair_q4_0(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k,
               const void* const* x, int n, float* out);
void pair_q4_1(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k,
               const void* const* x, int n, float* out);
void pair_q4_k(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k,
               const void* const* x, int n, float* out);
void pair_q6_k(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k,
               const void* const* x, int n, float* out);

}  // namespace tinderbox::avx512
