// Any bytes as config.json: a model whose graph verifies and can be counted, or an Error.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "model/config.h"
#include "model/graph.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tinderbox;
  try {
    const ModelConfig model =
        parse_config(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    verify(build_step(model, weight_format("q4_k_m", WeightFile::Gguf), DType::F16,
                      {{3, 2, true}, {0, 1, false}}));
    if (count_parameters(model).total <= 0) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
