// Constants of the GGUF v3 container (ggml docs, gguf.md), shared by its reader and its writer.
#pragma once

#include <cstdint>
#include <optional>

#include "model/dtype.h"

namespace tinderbox {

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF" read as little-endian
inline constexpr std::uint32_t kGgufVersion = 3;
inline constexpr std::uint64_t kGgufAlignment = 32;  // unless general.alignment says otherwise

// gguf_metadata_value_type.
enum class GgufType : std::uint32_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64,
};
inline constexpr std::uint32_t kGgufTypes = 13;

// The number of a format in ggml's `enum ggml_type`; nullopt if GGUF files cannot hold it.
constexpr std::optional<std::uint32_t> ggml_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return 0;
    case DType::F16:
      return 1;
    case DType::Q4_0:
      return 2;
    case DType::Q4_1:
      return 3;
    case DType::Q5_0:
      return 6;
    case DType::Q5_1:
      return 7;
    case DType::Q8_0:
      return 8;
    case DType::Q2_K:
      return 10;
    case DType::Q3_K:
      return 11;
    case DType::Q4_K:
      return 12;
    case DType::Q5_K:
      return 13;
    case DType::Q6_K:
      return 14;
    case DType::IQ2_XXS:
      return 16;
    case DType::IQ3_XXS:
      return 18;
    case DType::IQ3_S:
      return 21;
    case DType::IQ2_S:
      return 22;
    case DType::IQ4_NL:
      return 20;
    case DType::IQ4_XS:
      return 23;
    case DType::INT8:
      return 24;
    case DType::I32:
      return 26;
    case DType::I64:
      return 27;
    case DType::F64:
      return 28;
    case DType::BF16:
      return 30;
    case DType::MXFP4:
      return 39;
    case DType::NVFP4:  // there 64 elements in 36 bytes: the same bytes in another order
      return 40;
    case DType::Q1_0:
      return 41;
    case DType::Q2_G64:
      return 42;
    case DType::TF32:
    case DType::IQ6_K:
    case DType::Q2_0:
    case DType::FP8:
    case DType::INT4_G128:
    case DType::NF4:
    case DType::EXL3_4BPW:
    case DType::EXL3_6BPW:
    case DType::MLX_4BIT:
    case DType::MLX_8BIT:
    case DType::TURBO4:
    case DType::TQ3_0:
      return std::nullopt;
  }
  return std::nullopt;
}

constexpr std::optional<DType> dtype_of_ggml(std::uint32_t type) {
  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (ggml_type(dtype) == type) return dtype;
  }
  return std::nullopt;
}

}  // namespace tinderbox
