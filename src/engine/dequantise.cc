#include "engine/dequantise.h"

#include <cstring>

#include "base/check.h"
#include "engine/float_bits.h"

namespace tinderbox {

namespace {

inline int byte_at(const std::byte* p, int i) { return std::to_integer<int>(p[i]); }

// Bytes: d f16, 16 nibble pairs (value j low, value j + 16 high).
void block_q4_0(const std::byte* b, float* out) {
  const float d = load_f16(b);
  for (int j = 0; j < 16; ++j) {
    const int pair = byte_at(b, 2 + j);
    out[j] = d * static_cast<float>((pair & 15) - 8);
    out[j + 16] = d * static_cast<float>((pair >> 4) - 8);
  }
}

// Bytes: d f16, m f16, 16 nibble pairs.
void block_q4_1(const std::byte* b, float* out) {
  const float d = load_f16(b), m = load_f16(b + 2);
  for (int j = 0; j < 16; ++j) {
    const int pair = byte_at(b, 4 + j);
    out[j] = d * static_cast<float>(pair & 15) + m;
    out[j + 16] = d * static_cast<float>(pair >> 4) + m;
  }
}

// Bytes: d f16, 32 signed bytes.
void block_q8_0(const std::byte* b, float* out) {
  const float d = load_f16(b);
  for (int j = 0; j < 32; ++j)
    out[j] = d * static_cast<float>(static_cast<std::int8_t>(byte_at(b, 2 + j)));
}

// Bytes: d f16, dmin f16, 12 of scales and minima, 128 nibble pairs; each 32 bytes hold 64 values.
void block_q4_k(const std::byte* b, float* out) {
  const float d = load_f16(b), dmin = load_f16(b + 2);
  std::uint8_t scales[12];
  std::memcpy(scales, b + 4, sizeof(scales));
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = q4_k_scale_min(scales, j);
    const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
    for (int i = 0; i < 32; ++i) {
      const int pair = byte_at(b, 16 + (j / 2) * 32 + i);
      out[j * 32 + i] = scale * static_cast<float>(j % 2 == 0 ? pair & 15 : pair >> 4) - min;
    }
  }
}

// Bytes: 128 of low nibbles, 64 of high bit pairs, 16 signed scales (one for 16 values), d f16.
void block_q6_k(const std::byte* b, float* out) {
  const float d = load_f16(b + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
    const int low = byte_at(b, half * 64 + (quarter % 2) * 32 + l) >> (quarter / 2 * 4) & 15;
    const int high = byte_at(b, 128 + half * 32 + l) >> (quarter * 2) & 3;
    const auto scale = static_cast<std::int8_t>(byte_at(b, 192 + i / 16));
    out[i] = d * static_cast<float>(scale) * static_cast<float>((low | high << 4) - 32);
  }
}

template <typename Block>
void each_block(DType dtype, const std::byte* row, std::span<float> out, Block block) {
  const DTypeInfo& info = dtype_info(dtype);
  const auto elements = static_cast<std::size_t>(info.block_elements);
  CHECK(out.size() % elements == 0);
  for (std::size_t i = 0; i < out.size(); i += elements, row += info.block_bytes)
    block(row, &out[i]);
}

}  // namespace

bool engine_supports(DType dtype) {
  switch (dtype) {
    case DType::F32:
    case DType::F16:
    case DType::BF16:
    case DType::Q4_0:
    case DType::Q4_1:
    case DType::Q8_0:
    case DType::Q4_K:
    case DType::Q6_K:
      return true;
    default:
      return false;  // a new format is unsupported until it has a kernel
  }
}

std::size_t row_bytes(DType dtype, std::int64_t cols) {
  const DTypeInfo& info = dtype_info(dtype);
  CHECK(cols % info.block_elements == 0);
  return static_cast<std::size_t>(cols / info.block_elements * info.block_bytes);
}

ScaleMin q4_k_scale_min(const std::uint8_t* packed, int j) {
  if (j < 4) {
    return {static_cast<std::uint8_t>(packed[j] & 63),
            static_cast<std::uint8_t>(packed[j + 4] & 63)};
  }
  return {static_cast<std::uint8_t>((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4),
          static_cast<std::uint8_t>((packed[j + 4] >> 4) | (packed[j] >> 6) << 4)};
}

void dequantise_row(DType dtype, const std::byte* row, std::span<float> out) {
  switch (dtype) {
    case DType::F32:
      std::memcpy(out.data(), row, out.size_bytes());
      return;
    case DType::F16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = load_f16(row + 2 * i);
      return;
    case DType::BF16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_f32(load_u16(row + 2 * i));
      return;
    case DType::Q4_0:
      each_block(dtype, row, out, block_q4_0);
      return;
    case DType::Q4_1:
      each_block(dtype, row, out, block_q4_1);
      return;
    case DType::Q8_0:
      each_block(dtype, row, out, block_q8_0);
      return;
    case DType::Q4_K:
      each_block(dtype, row, out, block_q4_k);
      return;
    case DType::Q6_K:
      each_block(dtype, row, out, block_q6_k);
      return;
    default:
      CHECK(engine_supports(dtype));
  }
}

std::vector<float> dequantise(const TensorView& tensor) {
  const auto rows = static_cast<std::size_t>(tensor.rows),
             cols = static_cast<std::size_t>(tensor.cols);
  const std::size_t bytes = row_bytes(tensor.dtype, tensor.cols);
  CHECK(tensor.data.size() >= rows * bytes);
  std::vector<float> out(rows * cols);
  for (std::size_t r = 0; r < rows; ++r) {
    dequantise_row(tensor.dtype, tensor.data.data() + r * bytes, {&out[r * cols], cols});
  }
  return out;
}

}  // namespace tinderbox
