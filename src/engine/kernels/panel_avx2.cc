// Quantised panels times quantised activations with AVX2. Compiled for AVX2 as a whole, therefore
// without any header whose inline functions other translation units share: the linker could keep
// this one's copies of them.
//
// vpmaddwd multiplies 16-bit lanes and adds neighbours in int32: two columns of eight rows with two
// activations of one token, broadcast to all rows. Each lane ends with its row's sum. The largest,
// of Q8_0 (codes up to 128), is 32 * 128 * 8191 = 34 million; Q6_K's scales make it 4.3 * 10^9 / 8
// = 0.54 * 10^9. Nothing overflows.
#include "engine/kernels/panel_avx2.h"

#include <immintrin.h>

namespace tinderbox::avx2 {

namespace {

#define TINDERBOX_INLINE inline __attribute__((always_inline))

TINDERBOX_INLINE __m256i load(const std::uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
TINDERBOX_INLINE __m256 load_halves(const std::uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
// Eight bytes to int32 lanes.
TINDERBOX_INLINE __m256i load_u8(const std::uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
TINDERBOX_INLINE __m256i load_i8(const std::uint8_t* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
// Activations 2 s and 2 s + 1 of a block, for every row.
TINDERBOX_INLINE __m256i step(const ActBlock& x, int s) {
  int pair;
  __builtin_memcpy(&pair, x.q + 2 * s, 4);
  return _mm256_set1_epi32(pair);
}

// Four steps of codes as 16-bit lanes.
struct Steps {
  __m256i w[4];
};

TINDERBOX_INLINE Steps nibbles(const std::uint8_t* codes, int i) {
  const __m256i mask = _mm256_set1_epi16(15), v = load(codes + 32 * i);
  return {{_mm256_and_si256(v, mask), _mm256_and_si256(_mm256_srli_epi16(v, 4), mask),
           _mm256_and_si256(_mm256_srli_epi16(v, 8), mask), _mm256_srli_epi16(v, 12)}};
}

TINDERBOX_INLINE Steps bytes(const std::uint8_t* codes, int i) {
  Steps steps;
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) {
    steps.w[n] = _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 64 * i + 16 * n)));
  }
  return steps;
}

TINDERBOX_INLINE Steps minus(Steps steps, short offset) {
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) steps.w[n] = _mm256_sub_epi16(steps.w[n], _mm256_set1_epi16(offset));
  return steps;
}

// codes: 128 bytes of nibbles, then 64 of bit pairs; the result is centred.
TINDERBOX_INLINE Steps six_bits(const std::uint8_t* codes, int i) {
  const __m256i mask = _mm256_set1_epi16(48), high = load(codes + 128 + 32 * (i / 2));
  Steps steps = nibbles(codes, i);
  if (i % 2 == 0) {
    steps.w[0] = _mm256_or_si256(steps.w[0], _mm256_and_si256(_mm256_slli_epi16(high, 4), mask));
    steps.w[1] = _mm256_or_si256(steps.w[1], _mm256_and_si256(_mm256_slli_epi16(high, 2), mask));
    steps.w[2] = _mm256_or_si256(steps.w[2], _mm256_and_si256(high, mask));
    steps.w[3] = _mm256_or_si256(steps.w[3], _mm256_and_si256(_mm256_srli_epi16(high, 2), mask));
  } else {
    steps.w[0] = _mm256_or_si256(steps.w[0], _mm256_and_si256(_mm256_srli_epi16(high, 4), mask));
    steps.w[1] = _mm256_or_si256(steps.w[1], _mm256_and_si256(_mm256_srli_epi16(high, 6), mask));
    steps.w[2] = _mm256_or_si256(steps.w[2], _mm256_and_si256(_mm256_srli_epi16(high, 8), mask));
    steps.w[3] = _mm256_or_si256(steps.w[3], _mm256_and_si256(_mm256_srli_epi16(high, 10), mask));
  }
  return minus(steps, 32);
}

// dots[t] (+)= four steps from 4 i on, times activations of block b.
template <int N>
TINDERBOX_INLINE void multiply(const Steps& steps, const ActBlock* const* x, std::int64_t b, int i,
                               bool first, __m256i* dots) {
#pragma GCC unroll 4
  for (int t = 0; t < N; ++t) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) {
      const __m256i product = _mm256_madd_epi16(steps.w[n], step(x[t][b], 4 * i + n));
      dots[t] = first && n == 0 ? product : _mm256_add_epi32(dots[t], product);
      // Without a barrier g++ computes all products first and spills them.
      __asm__("" : "+x"(dots[t]));
    }
  }
}

template <int N>
TINDERBOX_INLINE void dot_u4(const std::uint8_t* codes, const ActBlock* const* x, std::int64_t b,
                             __m256i* dots) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) multiply<N>(nibbles(codes, i), x, b, i, i == 0, dots);
}

// acc += dots * (scale * d)
TINDERBOX_INLINE __m256 add_scaled(__m256 acc, __m256i dots, __m256 scale, float d) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_mul_ps(scale, _mm256_set1_ps(d)), acc);
}

template <int N>
void q8_0(const std::uint8_t* p, std::int64_t n_blocks, const ActBlock* const* x, __m256* acc) {
  for (std::int64_t b = 0; b < n_blocks; ++b, p += 272) {
    const __m256 d = load_halves(p);
    __m256i dots[N];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) multiply<N>(bytes(p + 16, i), x, b, i, i == 0, dots);
#pragma GCC unroll 4
    for (int t = 0; t < N; ++t) acc[t] = add_scaled(acc[t], dots[t], d, x[t][b].d);
  }
}

template <int N>
void q4_0(const std::uint8_t* p, std::int64_t n_blocks, const ActBlock* const* x, __m256* acc) {
  for (std::int64_t b = 0; b < n_blocks; ++b, p += 144) {
    const __m256 d = load_halves(p);
    __m256i dots[N];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) multiply<N>(minus(nibbles(p + 16, i), 8), x, b, i, i == 0, dots);
#pragma GCC unroll 4
    for (int t = 0; t < N; ++t) acc[t] = add_scaled(acc[t], dots[t], d, x[t][b].d);
  }
}

template <int N>
void q4_1(const std::uint8_t* p, std::int64_t n_blocks, const ActBlock* const* x, __m256* acc) {
  for (std::int64_t b = 0; b < n_blocks; ++b, p += 160) {
    const __m256 d = load_halves(p), m = load_halves(p + 16);
    __m256i dots[N];
    dot_u4<N>(p + 32, x, b, dots);
#pragma GCC unroll 4
    for (int t = 0; t < N; ++t) {
      acc[t] = add_scaled(acc[t], dots[t], d, x[t][b].d);
      acc[t] = _mm256_fmadd_ps(m, _mm256_set1_ps(x[t][b].d_sum), acc[t]);
    }
  }
}

template <int N>
void q4_k(const std::uint8_t* p, std::int64_t n_blocks, const ActBlock* const* x, __m256* acc) {
  for (std::int64_t b = 0; b < n_blocks; b += 8) {
    const __m256 d = load_halves(p), d_min = load_halves(p + 16);
    p += 32;
    for (int j = 0; j < 8; ++j, p += 144) {
      const __m256 scale = _mm256_mul_ps(d, _mm256_cvtepi32_ps(load_u8(p)));
      const __m256 min = _mm256_mul_ps(d_min, _mm256_cvtepi32_ps(load_u8(p + 8)));
      __m256i dots[N];
      dot_u4<N>(p + 16, x, b + j, dots);
#pragma GCC unroll 4
      for (int t = 0; t < N; ++t) {
        acc[t] = add_scaled(acc[t], dots[t], scale, x[t][b + j].d);
        acc[t] = _mm256_fnmadd_ps(min, _mm256_set1_ps(x[t][b + j].d_sum), acc[t]);
      }
    }
  }
}

template <int N>
void q6_k(const std::uint8_t* p, std::int64_t n_blocks, const ActBlock* const* x, __m256* acc) {
  for (std::int64_t b = 0; b < n_blocks; b += 8) {
    const __m256 d = load_halves(p);
    p += 16;
    for (int j = 0; j < 8; ++j, p += 208) {
      const __m256i scale0 = load_i8(p), scale1 = load_i8(p + 8);
      __m256i first[N], second[N];  // columns 0-15 and 16-31
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        multiply<N>(six_bits(p + 16, i), x, b + j, i, i % 2 == 0, i < 2 ? first : second);
      }
#pragma GCC unroll 4
      for (int t = 0; t < N; ++t) {
        const __m256i dots = _mm256_add_epi32(_mm256_mullo_epi32(first[t], scale0),
                                              _mm256_mullo_epi32(second[t], scale1));
        acc[t] = add_scaled(acc[t], dots, d, x[t][b + j].d);
      }
    }
  }
}

template <int N, void (*Kernel)(const std::uint8_t*, std::int64_t, const ActBlock* const*, __m256*)>
TINDERBOX_INLINE void tile(const std::uint8_t* panel, std::int64_t k, const void* const* x,
                           float* out) {
  const ActBlock* rows[N];
  __m256 acc[N];
  for (int t = 0; t < N; ++t) {
    rows[t] = static_cast<const ActBlock*>(x[t]);
    acc[t] = _mm256_setzero_ps();
  }
  Kernel(panel, k / 32, rows, acc);
  for (int t = 0; t < N; ++t) _mm256_storeu_ps(out + 8 * t, acc[t]);
}

// The largest magnitude of 32 values as float bits; magnitudes order as integers, NaNs above
// infinity.
TINDERBOX_INLINE int largest_bits(const __m256* v) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
  }
  __m128i max4 =
      _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(max4, _mm_shuffle_epi32(max4, 0xb1)));
}

}  // namespace

#define TINDERBOX_PANEL(name)                                                               \
  void panel_##name(const std::uint8_t* panel, std::int64_t k, const void* const* x, int n, \
                    float* out) {                                                           \
    switch (n) {                                                                            \
      case 1:                                                                               \
        tile<1, name<1>>(panel, k, x, out);                                                 \
        return;                                                                             \
      case 2:                                                                               \
        tile<2, name<2>>(panel, k, x, out);                                                 \
        return;                                                                             \
      case 3:                                                                               \
        tile<3, name<3>>(panel, k, x, out);                                                 \
        return;                                                                             \
      default:                                                                              \
        tile<4, name<4>>(panel, k, x, out);                                                 \
    }                                                                                       \
  }
TINDERBOX_PANEL(q8_0)
TINDERBOX_PANEL(q4_0)
TINDERBOX_PANEL(q4_1)
TINDERBOX_PANEL(q4_k)
TINDERBOX_PANEL(q6_k)
#undef TINDERBOX_PANEL

void quantise(const float* x, std::int64_t n_blocks, ActBlock* out) {
  for (std::int64_t b = 0; b < n_blocks; ++b, x += 32) {
    __m256 v[4];
    for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + 8 * i);
    const int bits = largest_bits(v);
    float largest;
    __builtin_memcpy(&largest, &bits, 4);
    const bool finite = bits < 0x7f800000;
    // A block of tiny subnormals has no finite inverse and counts as zero.
    const float inverse = finite && kActMax / largest <= __FLT_MAX__ ? kActMax / largest : 0.0f;
    __m256i q[4], sum = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse)));
      if (!finite) q[i] = _mm256_setzero_si256();
      sum = _mm256_add_epi32(sum, q[i]);
    }
    for (int i = 0; i < 4; i += 2) {
      // Packing works within 128-bit halves; the permutation restores the order.
      const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[i], q[i + 1]), 0xd8);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out[b].q + 8 * i), words);
    }
    __m128i sum4 = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    sum4 = _mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0x4e));
    const int total = _mm_cvtsi128_si32(_mm_add_epi32(sum4, _mm_shuffle_epi32(sum4, 0xb1)));
    out[b].d = finite ? (inverse > 0 ? largest / kActMax : 0.0f) : __builtin_nanf("");
    out[b].d_sum = out[b].d * static_cast<float>(total);
  }
}

}  // namespace tinderbox::avx2
