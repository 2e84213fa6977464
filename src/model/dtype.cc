#include "model/dtype.h"

#include <array>
#include <cmath>
#include <cstddef>

#include "base/check.h"

namespace tinderbox {
namespace {

// In the order of DType. Block layouts: ggml-common.h of ggml (sizes of block_q4_0, block_q2_K,
// ...); NVFP4 and the last ones: dtype.h.
constexpr std::array<DTypeInfo, 24> kInfo = {{
    {"f32", 1, 4},          {"f16", 1, 2},        {"bf16", 1, 2},                            //
    {"q4_0", 32, 18},       {"q4_1", 32, 20},     {"q5_0", 32, 22},   {"q5_1", 32, 24},      //
    {"q8_0", 32, 34},                                                                        //
    {"q2_k", 256, 84},      {"q3_k", 256, 110},   {"q4_k", 256, 144}, {"q5_k", 256, 176},    //
    {"q6_k", 256, 210},                                                                      //
    {"iq2_xxs", 256, 66},   {"iq3_xxs", 256, 98}, {"iq4_nl", 32, 18}, {"iq4_xs", 256, 136},  //
    {"mxfp4", 32, 17},      {"nvfp4", 16, 9},                                                //
    {"fp8", 1, 1},          {"int8", 1, 1},                                                  //
    {"int4_g128", 128, 67},                                                                  //
    {"i32", 1, 4},          {"i64", 1, 8},
}};
static_assert(kInfo.size() == static_cast<std::size_t>(DType::I64) + 1);

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
