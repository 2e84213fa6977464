// Constants of the GGUF v3 container (ggml docs, gguf.md), shared by its reader and its writer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

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

// The number of each format that GGUF files can hold, in ggml's `enum ggml_type`. 40 has blocks of 64 elements
// in 36 bytes there: ours of NVFP4 in another order. 42 is what ggml calls Q2_0.
inline constexpr std::array<std::pair<DType, std::uint32_t>, 27> kGgmlTypes = {{
    {DType::F32, 0}, {DType::F16, 1}, {DType::Q4_0, 2}, {DType::Q4_1, 3}, {DType::Q5_0, 6},
    {DType::Q5_1, 7}, {DType::Q8_0, 8}, {DType::Q2_K, 10}, {DType::Q3_K, 11}, {DType::Q4_K, 12},
    {DType::Q5_K, 13}, {DType::Q6_K, 14}, {DType::IQ2_XXS, 16}, {DType::IQ3_XXS, 18},
    {DType::IQ3_S, 21}, {DType::IQ2_S, 22}, {DType::IQ4_NL, 20}, {DType::IQ4_XS, 23},
    {DType::INT8, 24}, {DType::I32, 26}, {DType::I64, 27}, {DType::F64, 28}, {DType::BF16, 30},
    {DType::MXFP4, 39}, {DType::NVFP4, 40}, {DType::Q1_0, 41}, {DType::Q2_G64, 42},
}};

// nullopt if GGUF files cannot hold the format.
constexpr std::optional<std::uint32_t> ggml_type(DType dtype) {
  for (const auto& [format, type] : kGgmlTypes) {
    if (format == dtype) return type;
  }
  return std::nullopt;
}

constexpr std::optional<DType> dtype_of_ggml(std::uint32_t type) {
  for (const auto& [format, number] : kGgmlTypes) {
    if (number == type) return format;
  }
  return std::nullopt;
}

}  // namespace tinderbox
