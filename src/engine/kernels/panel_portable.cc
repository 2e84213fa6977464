#include "engine/kernels/panel_portable.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "engine/float_bits.h"

namespace tinderbox::portable {

namespace {

constexpr int kRows = 8;

inline float half(const std::uint8_t* p, int row) {
  std::uint16_t bits;
  std::memcpy(&bits, p + 2 * row, sizeof(bits));
  return f16_to_f32(bits);
}

// 32 codes of each of 8 rows, step after step: code of row r, column 2 s + j at 16 s + 2 r + j.
struct Codes {
  std::int16_t code[256];
};

void unpack_nibbles(const std::uint8_t* p, Codes& codes) {
  for (int i = 0; i < 4; ++i) {
    for (int lane = 0; lane < 16; ++lane) {
      const int bits = p[32 * i + 2 * lane] | p[32 * i + 2 * lane + 1] << 8;
      for (int n = 0; n < 4; ++n) {
        codes.code[16 * (4 * i + n) + lane] = static_cast<std::int16_t>(bits >> (4 * n) & 15);
      }
    }
  }
}

void unpack_q6(const std::uint8_t* low, const std::uint8_t* high, Codes& codes) {
  unpack_nibbles(low, codes);
  for (int s = 0; s < 16; ++s) {
    for (int lane = 0; lane < 16; ++lane) {
      const std::uint8_t* p = high + 32 * (s / 8) + 2 * lane;
      const int bits = (p[0] | p[1] << 8) >> (2 * (s % 8)) & 3;
      std::int16_t& code = codes.code[16 * s + lane];
      code = static_cast<std::int16_t>((code | bits << 4) - 32);
    }
  }
}

// dots[r] += codes of row r times activations, over steps [begin, end).
void dot(const Codes& codes, const ActBlock& x, int begin, int end, std::int32_t* dots) {
  for (int s = begin; s < end; ++s) {
    const std::int32_t first = x.q[2 * s], second = x.q[2 * s + 1];
    for (int r = 0; r < kRows; ++r) {
      const std::int16_t* c = codes.code + 16 * s + 2 * r;
      dots[r] += c[0] * first + c[1] * second;
    }
  }
}

struct Tile {
  const void* const* x;
  int n;
  float* out;

  const ActBlock& at(int t, std::int64_t block) const {
    return static_cast<const ActBlock*>(x[t])[block];
  }
  void clear() { std::fill_n(out, kRows * n, 0.0f); }
};

// d and m are arrays of a scale and (if min) an addend a row; one block of every token.
void add_block(Tile& tile, std::int64_t b, const Codes& codes, const float* d, const float* m) {
  for (int t = 0; t < tile.n; ++t) {
    const ActBlock& x = tile.at(t, b);
    std::int32_t dots[kRows] = {};
    dot(codes, x, 0, 16, dots);
    float* acc = tile.out + kRows * t;
    for (int r = 0; r < kRows; ++r) {
      acc[r] += static_cast<float>(dots[r]) * (d[r] * x.d);
      if (m != nullptr) acc[r] += m[r] * x.d_sum;
    }
  }
}

// Q4_0, Q4_1 and Q8_0 share one loop: d, perhaps m, then codes.
template <DType kType>
void simple(const std::uint8_t* p, std::int64_t k, const void* const* x, int n, float* out) {
  Tile tile{x, n, out};
  tile.clear();
  for (std::int64_t b = 0; b < k / 32; ++b) {
    float d[kRows], m[kRows];
    for (int r = 0; r < kRows; ++r) d[r] = half(p, r);
    p += 16;
    if (kType == DType::Q4_1) {
      for (int r = 0; r < kRows; ++r) m[r] = half(p, r);
      p += 16;
    }
    Codes codes;
    if (kType == DType::Q8_0) {
      for (int i = 0; i < 256; ++i) codes.code[i] = static_cast<std::int8_t>(p[i]);
      p += 256;
    } else {
      unpack_nibbles(p, codes);
      p += 128;
    }
    if (kType == DType::Q4_0) {
      for (std::int16_t& c : codes.code) c = static_cast<std::int16_t>(c - 8);
    }
    add_block(tile, b, codes, d, kType == DType::Q4_1 ? m : nullptr);
  }
}

void q4_k(const std::uint8_t* p, std::int64_t k, const void* const* x, int n, float* out) {
  Tile tile{x, n, out};
  tile.clear();
  for (std::int64_t b = 0; b < k / 32; b += 8) {
    const std::uint8_t* head = p;
    p += 32;
    for (int j = 0; j < 8; ++j, p += 144) {
      float d[kRows], m[kRows];
      for (int r = 0; r < kRows; ++r) {
        d[r] = half(head, r) * static_cast<float>(p[r]);
        m[r] = -(half(head + 16, r) * static_cast<float>(p[8 + r]));
      }
      Codes codes;
      unpack_nibbles(p + 16, codes);
      add_block(tile, b + j, codes, d, m);
    }
  }
}

void q6_k(const std::uint8_t* p, std::int64_t k, const void* const* x, int n, float* out) {
  Tile tile{x, n, out};
  tile.clear();
  for (std::int64_t b = 0; b < k / 32; b += 8) {
    const std::uint8_t* head = p;
    p += 16;
    for (int j = 0; j < 8; ++j, p += 208) {
      Codes codes;
      unpack_q6(p + 16, p + 144, codes);
      for (int t = 0; t < n; ++t) {
        const ActBlock& a = tile.at(t, b + j);
        std::int32_t first[kRows] = {}, second[kRows] = {};
        dot(codes, a, 0, 8, first);
        dot(codes, a, 8, 16, second);
        for (int r = 0; r < kRows; ++r) {
          const int sum = first[r] * static_cast<std::int8_t>(p[r]) +
                          second[r] * static_cast<std::int8_t>(p[8 + r]);
          out[kRows * t + r] += static_cast<float>(sum) * (half(head, r) * a.d);
        }
      }
    }
  }
}

}  // namespace

void quantise(const float* x, std::int64_t n_blocks, ActBlock* out) {
  for (std::int64_t b = 0; b < n_blocks; ++b, x += 32) {
    ActBlock& block = out[b];
    bool finite = true;
    float largest = 0;
    for (int i = 0; i < 32; ++i) {
      finite = finite && std::isfinite(x[i]);
      largest = std::max(largest, std::fabs(x[i]));
    }
    // A block of tiny subnormals has no finite inverse and counts as zero.
    const float inverse = finite && std::isfinite(kActMax / largest) ? kActMax / largest : 0.0f;
    int sum = 0;
    for (int i = 0; i < 32; ++i) {
      const int q = finite ? static_cast<int>(std::nearbyint(x[i] * inverse)) : 0;
      block.q[i] = static_cast<std::int16_t>(q);
      sum += q;
    }
    block.d = !finite       ? std::numeric_limits<float>::quiet_NaN()
              : inverse > 0 ? largest / kActMax
                            : 0.0f;
    block.d_sum = block.d * static_cast<float>(sum);
  }
}

PanelKernel panel_kernel(DType dtype) {
  switch (dtype) {
    case DType::Q8_0:
      return simple<DType::Q8_0>;
    case DType::Q4_0:
      return simple<DType::Q4_0>;
    case DType::Q4_1:
      return simple<DType::Q4_1>;
    case DType::Q4_K:
      return q4_k;
    case DType::Q6_K:
      return q6_k;
    default:
      check_failed(__FILE__, __LINE__, "a quantised format without a kernel");
  }
}

}  // namespace tinderbox::portable
