// How the engine keeps weights in memory: rows are interleaved in panels, so that one vector
// register holds the same columns of several rows and a kernel ends with one finished sum a lane,
// without horizontal additions.
//
// Quantised formats: panels of 8 rows, stored block after block along k. A block of 32 columns is
// 16 steps of 2 columns; a step is 16 codes, those of row r at lanes 2 r and 2 r + 1. Layouts
// (bytes; "8 x" means one a row):
//   Q8_0  8 x f16 d; 16 steps of signed bytes                                      272 a block
//   Q4_0  8 x f16 d; nibbles (128 bytes)                                           144 a block
//   Q4_1  8 x f16 d; 8 x f16 m; nibbles                                            160 a block
//   Q4_K  8 x f16 d; 8 x f16 dmin; 8 times {8 x u8 scale; 8 x u8 min; nibbles}     1184 a
//   super-block of 256 Q6_K  8 x f16 d; 8 times {8 x i8 scale of columns 0-15; 8 x i8 of 16-31;
//   nibbles; bit pairs (64 bytes)}
//                                                                                  1680 a
//                                                                                  super-block
//   nibbles: 4 times 16 lanes of 16 bits, with those of steps 4 i ... 4 i + 3 from the lowest bits
//   up; bit pairs: 2 times 16 lanes, with those of steps 8 i ... 8 i + 7 from the lowest bits up.
// F32, F16, BF16: panels of 16 rows, column after column. Missing rows of the last panel are zero.
#pragma once

#include <cstdint>

#include <hwy/aligned_allocator.h>

#include "engine/kernels/act_block.h"
#include "model/dtype.h"

namespace tinderbox {

inline constexpr int kQuantPanelRows = 8, kFloatPanelRows = 16, kPanelRowsMax = 16;

struct PanelFormat {
  bool quantised;
  int rows;            // of a panel
  int block_elements;  // columns of a block
  int block_bytes;     // of a block of all rows
};
// Requires a format that the engine supports.
PanelFormat panel_format(DType dtype);

// n_matrices matrices (rows, cols) of one format, each in panels of its own. Movable.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Reserves memory; throws Error::TooLarge if there is none. fill() each panel before use.
  PackedMatrix(DType dtype, std::int64_t n_matrices, std::int64_t rows, std::int64_t cols);

  DType dtype() const { return dtype_; }
  std::int64_t n_matrices() const { return n_matrices_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  const PanelFormat& layout() const { return layout_; }
  std::int64_t n_panels() const { return n_panels_; }  // of one matrix
  const std::uint8_t* panel(std::int64_t matrix, std::int64_t index) const {
    return data_.get() + (matrix * n_panels_ + index) * panel_bytes_;
  }
  std::int64_t bytes() const { return n_matrices_ * n_panels_ * panel_bytes_; }

  // Packs panel `index` of one matrix. source: the rows of all matrices as in the GGUF file.
  void fill(const std::byte* source, std::int64_t matrix, std::int64_t index);

 private:
  DType dtype_ = DType::F32;
  PanelFormat layout_{};
  std::int64_t n_matrices_ = 0, rows_ = 0, cols_ = 0, n_panels_ = 0, panel_bytes_ = 0;
  hwy::AlignedFreeUniquePtr<std::uint8_t[]> data_;
};

}  // namespace tinderbox
