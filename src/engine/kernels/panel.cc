#include "engine/kernels/panel.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/dequantise.h"

namespace tinderbox {

namespace {

constexpr int kRows = kQuantPanelRows;
using Codes = std::uint8_t[kRows][32];  // one 32-block of every row, as stored (not yet centred)

inline std::uint8_t u8(const std::byte* p, std::size_t i) {
  return std::to_integer<std::uint8_t>(p[i]);
}

// Sequential writer of one panel.
struct Writer {
  std::uint8_t* at;

  void halves(const std::byte* const* blocks, std::size_t offset) {
    for (int r = 0; r < kRows; ++r, at += 2) {
      if (blocks[r] != nullptr) std::memcpy(at, blocks[r] + offset, 2);
    }
  }
  void byte(std::uint8_t value) { *at++ = value; }
  void bytes(const Codes& codes) {
    for (int s = 0; s < 16; ++s) {
      for (int lane = 0; lane < 16; ++lane) byte(codes[lane / 2][2 * s + lane % 2]);
    }
  }
  // Bits [kShift, kShift + 16 / kSteps) of kSteps steps in each 16-bit lane.
  template <int kSteps, int kShift>
  void lanes(const Codes& codes) {
    constexpr int kWidth = 16 / kSteps, kMask = (1 << kWidth) - 1;
    for (int s = 0; s < 16; s += kSteps) {
      for (int lane = 0; lane < 16; ++lane) {
        int bits = 0;
        for (int n = 0; n < kSteps; ++n) {
          bits |= (codes[lane / 2][2 * (s + n) + lane % 2] >> kShift & kMask) << (n * kWidth);
        }
        byte(static_cast<std::uint8_t>(bits & 255));
        byte(static_cast<std::uint8_t>(bits >> 8));
      }
    }
  }
  void nibbles(const Codes& codes) { lanes<4, 0>(codes); }
  void high_bits(const Codes& codes) { lanes<8, 4>(codes); }
};

// The codes of sub-block j (of 32) of one block.
void read_codes(DType dtype, const std::byte* b, int j, std::uint8_t* out) {
  if (dtype == DType::Q8_0) {
    std::memcpy(out, b + 2, 32);
  } else if (dtype == DType::Q4_0 || dtype == DType::Q4_1) {
    const std::byte* pairs = b + (dtype == DType::Q4_0 ? 2 : 4);
    for (std::size_t i = 0; i < 16; ++i) {
      out[i] = u8(pairs, i) & 15;
      out[i + 16] = u8(pairs, i) >> 4;
    }
  } else if (dtype == DType::Q4_K) {
    const std::byte* pairs = b + 16 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (std::size_t i = 0; i < 32; ++i) out[i] = u8(pairs, i) >> shift & 15;
  } else {  // Q6_K: sub-block j is quarter j % 4 of half j / 4
    const int half = j / 4, quarter = j % 4;
    const std::byte *lows = b + half * 64 + quarter % 2 * 32, *highs = b + 128 + half * 32;
    for (std::size_t i = 0; i < 32; ++i) {
      const int low = u8(lows, i) >> (quarter / 2 * 4), high = u8(highs, i) >> (quarter * 2);
      out[i] = static_cast<std::uint8_t>((low & 15) | (high & 3) << 4);
    }
  }
}

void gather_codes(DType dtype, const std::byte* const* blocks, int j, Codes& codes) {
  for (int r = 0; r < kRows; ++r) {
    if (blocks[r] != nullptr) {
      read_codes(dtype, blocks[r], j, codes[r]);
    } else {
      std::memset(codes[r], 0, sizeof(codes[r]));
    }
  }
}

void pack_q4_k(Writer& w, const std::byte* const* blocks) {
  w.halves(blocks, 0);
  w.halves(blocks, 2);
  for (int j = 0; j < 8; ++j) {
    ScaleMin s[kRows] = {};
    for (int r = 0; r < kRows; ++r) {
      std::uint8_t packed[12];
      if (blocks[r] == nullptr) continue;
      std::memcpy(packed, blocks[r] + 4, sizeof(packed));
      s[r] = q4_k_scale_min(packed, j);
    }
    for (const ScaleMin& row : s) w.byte(row.scale);
    for (const ScaleMin& row : s) w.byte(row.min);
    Codes codes;
    gather_codes(DType::Q4_K, blocks, j, codes);
    w.nibbles(codes);
  }
}

void pack_q6_k(Writer& w, const std::byte* const* blocks) {
  w.halves(blocks, 208);
  for (int j = 0; j < 8; ++j) {
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < kRows; ++r) {
        w.byte(blocks[r] == nullptr ? std::uint8_t{0}
                                    : u8(blocks[r], static_cast<std::size_t>(192 + 2 * j + half)));
      }
    }
    Codes codes;
    gather_codes(DType::Q6_K, blocks, j, codes);
    w.nibbles(codes);
    w.high_bits(codes);
  }
}

// One block of 8 rows; blocks[r] is null for a row past the end.
void pack_block(DType dtype, Writer& w, const std::byte* const* blocks) {
  if (dtype == DType::Q4_K) return pack_q4_k(w, blocks);
  if (dtype == DType::Q6_K) return pack_q6_k(w, blocks);
  Codes codes;
  gather_codes(dtype, blocks, 0, codes);
  w.halves(blocks, 0);
  if (dtype == DType::Q4_1) w.halves(blocks, 2);
  if (dtype == DType::Q8_0) {
    w.bytes(codes);
  } else {
    w.nibbles(codes);
  }
}

}  // namespace

PanelFormat panel_format(DType dtype) {
  CHECK(engine_supports(dtype));
  switch (dtype) {
    case DType::Q8_0:
      return {true, kRows, 32, 272};
    case DType::Q4_0:
      return {true, kRows, 32, 144};
    case DType::Q4_1:
      return {true, kRows, 32, 160};
    case DType::Q4_K:
      return {true, kRows, 256, 1184};
    case DType::Q6_K:
      return {true, kRows, 256, 1680};
    case DType::F32:
      return {false, kFloatPanelRows, 1, 4 * kFloatPanelRows};
    default:
      return {false, kFloatPanelRows, 1, 2 * kFloatPanelRows};  // F16, BF16
  }
}

PackedMatrix::PackedMatrix(DType dtype, std::int64_t n_matrices, std::int64_t rows,
                           std::int64_t cols)
    : dtype_(dtype),
      layout_(panel_format(dtype)),
      n_matrices_(n_matrices),
      rows_(rows),
      cols_(cols) {
  CHECK(n_matrices >= 1 && rows >= 1 && cols >= 1 && cols % layout_.block_elements == 0);
  n_panels_ = (rows + layout_.rows - 1) / layout_.rows;
  panel_bytes_ = cols / layout_.block_elements * layout_.block_bytes;
  data_ = hwy::AllocateAligned<std::uint8_t>(static_cast<std::size_t>(bytes()) + 64);
  if (data_ == nullptr) {
    throw_too_large(
        format("no memory for a weight of {} ({} matrices of {} x {}, {}); use a smaller model",
               human(Bytes(static_cast<double>(bytes()))), n_matrices, rows, cols,
               dtype_info(dtype).name));
  }
}

void PackedMatrix::fill(const std::byte* source, std::int64_t matrix, std::int64_t index) {
  const std::size_t stride = row_bytes(dtype_, cols_);
  const std::int64_t first = index * layout_.rows;
  const std::byte* rows[kPanelRowsMax] = {};
  for (int r = 0; r < layout_.rows && first + r < rows_; ++r) {
    rows[r] = source + static_cast<std::size_t>(matrix * rows_ + first + r) * stride;
  }
  std::uint8_t* out = data_.get() + (matrix * n_panels_ + index) * panel_bytes_;
  std::memset(out, 0, static_cast<std::size_t>(panel_bytes_));
  if (!layout_.quantised) {
    const std::size_t size = static_cast<std::size_t>(layout_.block_bytes / layout_.rows);
    for (std::size_t c = 0; c < static_cast<std::size_t>(cols_); ++c) {
      for (int r = 0; r < layout_.rows; ++r, out += size) {
        if (rows[r] != nullptr) std::memcpy(out, rows[r] + c * size, size);
      }
    }
    return;
  }
  Writer writer{out};
  const int block_bytes = dtype_info(dtype_).block_bytes;
  for (std::int64_t c = 0; c < cols_; c += layout_.block_elements) {
    pack_block(dtype_, writer, rows);
    for (int r = 0; r < kRows; ++r) {
      if (rows[r] != nullptr) rows[r] += block_bytes;
    }
  }
}

}  // namespace tinderbox
