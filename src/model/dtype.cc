#include "model/dtype.h"

#include <array>
#include <cmath>
#include <cstddef>

#include "base/check.h"

namespace tinderbox {
namespace {

// In the order of DType. Block layouts: ggml-common.h of ggml (sizes of block_q4_0, block_q2_K,
// ...) and, for iq6_k, of ik_llama.cpp; NVFP4 and the formats after it: dtype.h.
constexpr std::array<DTypeInfo, kDTypes> kInfo = {{
    {"f32", 1, 4},         {"f16", 1, 2},         {"bf16", 1, 2},       {"tf32", 1, 4},        //
    {"q4_0", 32, 18},      {"q4_1", 32, 20},      {"q5_0", 32, 22},     {"q5_1", 32, 24},      //
    {"q8_0", 32, 34},                                                                          //
    {"q2_k", 256, 84},     {"q3_k", 256, 110},    {"q4_k", 256, 144},   {"q5_k", 256, 176},    //
    {"q6_k", 256, 210},                                                                        //
    {"iq2_xxs", 256, 66},  {"iq2_s", 256, 82},    {"iq3_xxs", 256, 98}, {"iq3_s", 256, 110},   //
    {"iq4_nl", 32, 18},    {"iq4_xs", 256, 136},  {"iq6_k", 256, 212},                         //
    {"q1_0", 128, 18},     {"q2_0", 128, 34},     {"q2_g64", 64, 18},                          //
    {"mxfp4", 32, 17},     {"nvfp4", 16, 9},      {"fp8", 1, 1},        {"int8", 1, 1},        //
    {"int4_g128", 128, 67}, {"nf4", 64, 33},                                                   //
    {"exl3_4bpw", 16, 8},  {"exl3_6bpw", 16, 12}, {"mlx_4bit", 64, 36}, {"mlx_8bit", 64, 68},  //
    {"turbo4", 128, 68},   {"tq3_0", 32, 14},                                                  //
    {"i32", 1, 4},         {"i64", 1, 8},         {"f64", 1, 8},
}};

}  // namespace

const DTypeInfo& dtype_info(DType dtype) {
  const auto index = static_cast<std::size_t>(dtype);
  CHECK(index < kInfo.size());
  return kInfo[index];
}

double dtype_bytes(DType dtype, double n) {
  const DTypeInfo& info = dtype_info(dtype);
  return std::ceil(n / info.block_elements) * info.block_bytes;
}

double dtype_bits(DType dtype) {
  const DTypeInfo& info = dtype_info(dtype);
  return 8.0 * info.block_bytes / info.block_elements;
}

}  // namespace tinderbox
