// Quantised panels times quantised activations with AVX-512 and its dot products (VNNI). Compiled
// for them as a whole, like panel_avx2.cc, therefore without any header whose inline functions
// other translation units share.
//
// A register holds one step of two panels: two columns of sixteen rows. vpdpwssd multiplies its
// 16-bit lanes with two activations of one token, broadcast from memory, and adds neighbours and
// the sum so far in int32: one instruction where AVX2 takes two for half the rows. Sums as in
// panel_avx2.cc, and floats are added in its order: the same bits.
#include "engine/kernels/panel_avx512.h"

#include <immintrin.h>

namespace tinderbox::avx512 {

namespace {

#define TINDERBOX_INLINE inline __attribute__((always_inline))

// The same place in two panels.
struct Pair {
  const std::uint8_t *first, *second;

  TINDERBOX_INLINE Pair operator+(std::int64_t offset) const {
    return {first + offset, second + offset};
  }
  TINDERBOX_INLINE void operator+=(std::int64_t offset) { *this = *this + offset; }
};

// 8, 16 and 32 bytes of each.
TINDERBOX_INLINE __m128i load8(Pair p) {
  return _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p.first)),
                            _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p.second)));
}
TINDERBOX_INLINE __m256i load16(Pair p) {
  return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(p.second),
                             reinterpret_cast<const __m128i*>(p.first));
}
TINDERBOX_INLINE __m512i load32(Pair p) {
  return _mm512_inserti64x4(
      _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p.first))),
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p.second)), 1);
}
TINDERBOX_INLINE __m512 load_halves(Pair p) { return _mm512_cvtph_ps(load16(p)); }
TINDERBOX_INLINE __m512i load_u8(Pair p) { return _mm512_cvtepu8_epi32(load8(p)); }
TINDERBOX_INLINE __m512i load_i8(Pair p) { return _mm512_cvtepi8_epi32(load8(p)); }

// Four steps of codes as 16-bit lanes.
struct Steps {
  __m512i w[4];
};

TINDERBOX_INLINE Steps nibbles(Pair codes, int i) {
  const __m512i mask = _mm512_set1_epi16(15), v = load32(codes + 32 * i);
  return {{_mm512_and_si512(v, mask), _mm512_and_si512(_mm512_srli_epi16(v, 4), mask),
           _mm512_and_si512(_mm512_srli_epi16(v, 8), mask), _mm512_srli_epi16(v, 12)}};
}

TINDERBOX_INLINE Steps bytes(Pair codes, int i) {
  Steps steps;
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) steps.w[n] = _mm512_cvtepi8_epi16(load16(codes + (64 * i + 16 * n)));
  return steps;
}

TINDERBOX_INLINE Steps minus(Steps steps, short offset) {
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) steps.w[n] = _mm512_sub_epi16(steps.w[n], _mm512_set1_epi16(offset));
  return steps;
}

// codes: 128 bytes of nibbles, then 64 of bit pairs; the result is centred.
TINDERBOX_INLINE Steps six_bits(Pair codes, int i) {
  const __m512i mask = _mm512_set1_epi16(48);
  // The pairs of the four steps from bit 4 up.
  const __m512i both = load32(codes + (128 + 32 * (i / 2))),
                high = i % 2 == 0 ? both : _mm512_srli_epi16(both, 8);
  Steps steps = nibbles(codes, i);
  steps.w[0] = _mm512_or_si512(steps.w[0], _mm512_and_si512(_mm512_slli_epi16(high, 4), mask));
  steps.w[1] = _mm512_or_si512(steps.w[1], _mm512_and_si512(_mm512_slli_epi16(high, 2), mask));
  steps.w[2] = _mm512_or_si512(steps.w[2], _mm512_and_si512(high, mask));
  steps.w[3] = _mm512_or_si512(steps.w[3], _mm512_and_si512(_mm512_srli_epi16(high, 2), mask));
  return minus(steps, 32);
}

// dots[t] += four steps from 4 i on, times activations of block b.
template <int N>
TINDERBOX_INLINE void multiply(const Steps& steps, const ActBlock* const* x, std::int64_t b, int i,
                               __m512i* dots) {
#pragma GCC unroll 4
  for (int n = 0; n < 4; ++n) {
#pragma GCC unroll 8
    for (int t = 0; t < N; ++t) {
      int pair;
      __builtin_memcpy(&pair, x[t][b].q + 2 * (4 * i + n), 4);
      dots[t] = _mm512_dpwssd_epi32(dots[t], steps.w[n], _mm512_set1_epi32(pair));
    }
  }
}

template <int N>
TINDERBOX_INLINE void clear(__m512i* dots) {
#pragma GCC unroll 8
  for (int t = 0; t < N; ++t) dots[t] = _mm512_setzero_si512();
}

template <int N>
TINDERBOX_INLINE void dot_u4(Pair codes, const ActBlock* const* x, std::int64_t b, __m512i* dots) {
  clear<N>(dots);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) multiply<N>(nibbles(codes, i), x, b, i, dots);
}

// acc += dots * (scale * d)
TINDERBOX_INLINE __m512 add_scaled(__m512 acc, __m512i dots, __m512 scale, float d) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), _mm512_mul_ps(scale, _mm512_set1_ps(d)), acc);
}

// A format each: acc[t] += a block of two panels times the activations of token t, block after
// block.
struct Q8_0 {
  template <int N>
  TINDERBOX_INLINE static void run(Pair p, std::int64_t n_blocks, const ActBlock* const* x,
                                   __m512* acc) {
    for (std::int64_t b = 0; b < n_blocks; ++b, p += 272) {
      const __m512 d = load_halves(p);
      __m512i dots[N];
      clear<N>(dots);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) multiply<N>(bytes(p + 16, i), x, b, i, dots);
#pragma GCC unroll 8
      for (int t = 0; t < N; ++t) acc[t] = add_scaled(acc[t], dots[t], d, x[t][b].d);
    }
  }
};

struct Q4_0 {
  template <int N>
  TINDERBOX_INLINE static void run(Pair p, std::int64_t n_blocks, const ActBlock* const* x,
                                   __m512* acc) {
    for (std::int64_t b = 0; b < n_blocks; ++b, p += 144) {
      const __m512 d = load_halves(p);
      __m512i dots[N];
      clear<N>(dots);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) multiply<N>(minus(nibbles(p + 16, i), 8), x, b, i, dots);
#pragma GCC unroll 8
      for (int t = 0; t < N; ++t) acc[t] = add_scaled(acc[t], dots[t], d, x[t][b].d);
    }
  }
};

struct Q4_1 {
  template <int N>
  TINDERBOX_INLINE static void run(Pair p, std::int64_t n_blocks, const ActBlock* const* x,
                                   __m512* acc) {
    for (std::int64_t b = 0; b < n_blocks; ++b, p += 160) {
      const __m512 d = load_halves(p), m = load_halves(p + 16);
      __m512i dots[N];
      dot_u4<N>(p + 32, x, b, dots);
#pragma GCC unroll 8
      for (int t = 0; t < N; ++t) {
        acc[t] = add_scaled(acc[t], dots[t], d, x[t][b].d);
        acc[t] = _mm512_fmadd_ps(m, _mm512_set1_ps(x[t][b].d_sum), acc[t]);
      }
    }
  }
};

struct Q4_K {
  template <int N>
  TINDERBOX_INLINE static void run(Pair p, std::int64_t n_blocks, const ActBlock* const* x,
                                   __m512* acc) {
    for (std::int64_t b = 0; b < n_blocks; b += 8) {
      const __m512 d = load_halves(p), d_min = load_halves(p + 16);
      p += 32;
      for (int j = 0; j < 8; ++j, p += 144) {
        const __m512 scale = _mm512_mul_ps(d, _mm512_cvtepi32_ps(load_u8(p)));
        const __m512 min = _mm512_mul_ps(d_min, _mm512_cvtepi32_ps(load_u8(p + 8)));
        __m512i dots[N];
        dot_u4<N>(p + 16, x, b + j, dots);
#pragma GCC unroll 8
        for (int t = 0; t < N; ++t) {
          acc[t] = add_scaled(acc[t], dots[t], scale, x[t][b + j].d);
          acc[t] = _mm512_fnmadd_ps(min, _mm512_set1_ps(x[t][b + j].d_sum), acc[t]);
        }
      }
    }
  }
};

struct Q6_K {
  template <int N>
  TINDERBOX_INLINE static void run(Pair p, std::int64_t n_blocks, const ActBlock* const* x,
                                   __m512* acc) {
    for (std::int64_t b = 0; b < n_blocks; b += 8) {
      const __m512 d = load_halves(p);
      p += 16;
      for (int j = 0; j < 8; ++j, p += 208) {
        const __m512i scales[2] = {load_i8(p), load_i8(p + 8)};  // of columns 0-15 and 16-31
        __m512i sum[N];
        for (int half = 0; half < 2; ++half) {
          __m512i dots[N];
          clear<N>(dots);
          multiply<N>(half == 0 ? six_bits(p + 16, 0) : six_bits(p + 16, 2), x, b + j, 2 * half,
                      dots);
          multiply<N>(half == 0 ? six_bits(p + 16, 1) : six_bits(p + 16, 3), x, b + j, 2 * half + 1,
                      dots);
#pragma GCC unroll 8
          for (int t = 0; t < N; ++t) {
            const __m512i scaled = _mm512_mullo_epi32(dots[t], scales[half]);
            sum[t] = half == 0 ? scaled : _mm512_add_epi32(sum[t], scaled);
          }
        }
#pragma GCC unroll 8
        for (int t = 0; t < N; ++t) acc[t] = add_scaled(acc[t], sum[t], d, x[t][b + j].d);
      }
    }
  }
};

template <int N, typename Format>
void tile(Pair pair, std::int64_t k, const void* const* x, float* out) {
  const ActBlock* rows[N];
  __m512 acc[N];
  for (int t = 0; t < N; ++t) {
    rows[t] = static_cast<const ActBlock*>(x[t]);
    acc[t] = _mm512_setzero_ps();
  }
  Format::template run<N>(pair, k / 32, rows, acc);
  for (int t = 0; t < N; ++t) _mm512_storeu_ps(out + 16 * t, acc[t]);
}

// The kernel of `want` tokens, from N tokens up.
template <typename Format, int N = 1>
void dispatch(int want, Pair pair, std::int64_t k, const void* const* x, float* out) {
  if constexpr (N < kPairTokens) {
    if (want != N) return dispatch<Format, N + 1>(want, pair, k, x, out);
  }
  tile<N, Format>(pair, k, x, out);
}

}  // namespace

#define TINDERBOX_PAIR(name, Format)                                                      \
  void pair_##name(const std::uint8_t* first, const std::uint8_t* second, std::int64_t k, \
                   const void* const* x, int n, float* out) {                             \
    dispatch<Format>(n, {first, second}, k, x, out);                                      \
  }
TINDERBOX_PAIR(q8_0, Q8_0)
TINDERBOX_PAIR(q4_0, Q4_0)
TINDERBOX_PAIR(q4_1, Q4_1)
TINDERBOX_PAIR(q4_k, Q4_K)
TINDERBOX_PAIR(q6_k, Q6_K)
#undef TINDERBOX_PAIR

}  // namespace tinderbox::avx512
