// Activations as the quantised kernels read them. Plain data only: the AVX2
// and AVX-512 translation units include it.
#pragma once

#include <cstdint>

namespace tinderbox {

// 32 activations of one token as 14-bit integers: x ~ d q, |q| <= kActMax, rounded to nearest even.
//
// Integers, because their products with the weights' codes sum exactly: a block's dot product has
// the same bits whatever the batch, the chunking or the number of threads. 14 bits and not
// llama.cpp's 8, because 8 cost accuracy where it shows: on SmolLM2-135M (Q4_1) the likeliest
// tokens' probabilities move by up to 0.06 from those of exact arithmetic, in llama.cpp as in an
// 8-bit version of these kernels, and by as much between llama.cpp's own attention kernels; with 14
// bits they stay within 0.002 (tests/reference/logits_check.mjs). Decoding is bound by memory
// either way; a prefill takes about half as long again as with 8 bits. 14 bits are the most for
// which a Q6_K block's sum fits int32.
//
// A block with a NaN or an infinity has d = NaN and q = 0, so that the NaN reaches the logits.
struct ActBlock {
  float d;
  float d_sum;  // d * sum of q
  std::int16_t q[32];
};
static_assert(sizeof(ActBlock) == 72);
inline constexpr int kActMax = 8191;

// Tokens that a kernel takes at once; weights are unpacked once for all of them.
inline constexpr int kTileTokens = 4;

// out (n, rows of a panel) = panel x (k) for n <= kTileTokens tokens. x[t]: k / 32 ActBlocks if the
// format is quantised, else k floats. Each output has one accumulator, over k in ascending order:
// its bits do not depend on n.
using PanelKernel = void (*)(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n,
                             float* out);

// The same for two quantised panels at once and n <= kPairTokens tokens: out (n, rows of both).
inline constexpr int kPairTokens = 8;
using PairKernel = void (*)(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k,
                            const void* const* x, int n, float* out);

}  // namespace tinderbox
