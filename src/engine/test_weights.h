// Random weights in every format the engine supports, for tests and benchmarks: well-formed blocks
// whose values have a standard deviation near `spread`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "engine/dequantise.h"
#include "engine/float_bits.h"

namespace tinderbox::test {

inline constexpr DType kFormats[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q4_0,
                                     DType::Q4_1, DType::Q8_0, DType::Q4_K, DType::Q6_K};

inline void put_half(std::byte* at, double value) {
  const std::uint16_t bits = f32_to_f16(static_cast<float>(value));
  std::memcpy(at, &bits, sizeof(bits));
}

// Sets the float fields of one block of random bytes.
inline void scale_block(DType dtype, std::byte* block, double spread, Random& random) {
  const double jitter = 0.5 + random.uniform();  // blocks differ in scale
  switch (dtype) {
    case DType::Q4_0:
      put_half(block, jitter * spread / 4.6);
      return;
    case DType::Q4_1:
      put_half(block, jitter * spread / 4.6);
      put_half(block + 2, -7.5 * jitter * spread / 4.6);
      return;
    case DType::Q8_0:
      put_half(block, jitter * spread / 74.0);
      return;
    case DType::Q4_K:
      put_half(block, jitter * spread / 250.0);
      put_half(block + 2, jitter * spread / 33.0);
      return;
    case DType::Q6_K:
      put_half(block + 208, jitter * spread / 1360.0);
      return;
    default:
      return;
  }
}

// rows x cols, as a GGUF tensor's data. Requires whole blocks.
inline std::vector<std::byte> random_weights(DType dtype, std::int64_t rows, std::int64_t cols,
                                             double spread, Random& random) {
  std::vector<std::byte> data(static_cast<std::size_t>(rows) * row_bytes(dtype, cols));
  const DTypeInfo& info = dtype_info(dtype);
  for (std::size_t at = 0; at < data.size(); at += static_cast<std::size_t>(info.block_bytes)) {
    if (info.block_elements == 1) {
      const float value = static_cast<float>(random.normal() * spread);
      if (dtype == DType::F32) std::memcpy(&data[at], &value, 4);
      if (dtype == DType::F16) put_half(&data[at], value);
      if (dtype == DType::BF16)
        std::memcpy(&data[at], reinterpret_cast<const char*>(&value) + 2, 2);
      continue;
    }
    for (int i = 0; i < info.block_bytes; ++i) {
      data[at + static_cast<std::size_t>(i)] = static_cast<std::byte>(random.bits() & 255);
    }
    scale_block(dtype, &data[at], spread, random);
  }
  return data;
}

inline std::vector<float> random_floats(std::size_t n, double spread, Random& random) {
  std::vector<float> out(n);
  for (float& x : out) x = static_cast<float>(random.normal() * spread);
  return out;
}

inline std::vector<float> dequantised(DType dtype, std::int64_t rows, std::int64_t cols,
                                      const std::vector<std::byte>& data) {
  TensorView view;
  view.dtype = dtype;
  view.rows = rows;
  view.cols = cols;
  view.data = data;
  return dequantise(view);
}

}  // namespace tinderbox::test
