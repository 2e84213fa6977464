// Which kinds of files exist in a weights format, and the names of KV-cache formats.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

constexpr std::array<std::string_view, 3> kPlain = {"f32", "f16", "bf16"};
constexpr std::array<std::string_view, 2> kMlx = {"mlx_4bit", "mlx_8bit"};
// Other names are types of GGUF files.
constexpr std::array<std::string_view, 8> kCheckpointOnly = {
    "tf32", "fp8", "int8", "int4", "nf4", "exl3_4bpw", "fp8_mxfp4exp", "int4_int8mix"};
// Both as GGUF and as checkpoint.
constexpr std::array<std::string_view, 2> kBoth = {"mxfp4", "nvfp4"};

template <std::size_t N>
bool in(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

constexpr std::array<std::pair<std::string_view, DType>, 14> kKvFormats = {{
    {"f16", DType::F16},
    {"bf16", DType::BF16},
    {"f32", DType::F32},
    {"fp8", DType::FP8},
    {"int8", DType::INT8},
    {"nvfp4", DType::NVFP4},
    {"q8_0", DType::Q8_0},
    {"q5_1", DType::Q5_1},
    {"q5_0", DType::Q5_0},
    {"q4_1", DType::Q4_1},
    {"q4_0", DType::Q4_0},
    {"iq4_nl", DType::IQ4_NL},
    {"turbo4", DType::TURBO4},
    {"tq3_0", DType::TQ3_0},
}};

}  // namespace

bool exists_as(std::string_view name, WeightFile file) {
  const std::vector<std::string> known = weight_format_names();
  if (std::ranges::find(known, name) == known.end()) return false;
  if (name == "fp64") return false;  // of benchmarks of arithmetic; no model comes in it
  const bool plain = in(kPlain, name);
  switch (file) {
    case WeightFile::Gguf:
    case WeightFile::OllamaGguf:
      return !in(kMlx, name) && !in(kCheckpointOnly, name);
    case WeightFile::Checkpoint:
      return plain || in(kCheckpointOnly, name) || in(kBoth, name);
    case WeightFile::Mlx:
      return plain || in(kMlx, name);
  }
  std::abort();
}

void require_readable(std::string_view name, WeightFile file, std::string_view stack) {
  weight_format(name, WeightFile::Checkpoint);  // throws for unknown names
  if (exists_as(name, file)) return;
  std::string readers;
  if (is_gguf_format(name)) readers = "GGUF: llama.cpp and Ollama";
  if (is_checkpoint_format(name)) {
    readers += format("{}checkpoints: vLLM, SGLang and TensorRT-LLM", readers.empty() ? "" : "; ");
  }
  if (exists_as(name, WeightFile::Mlx)) readers = "MLX";
  if (name.starts_with("ds4_")) readers = "ds4";
  if (name.starts_with("exl3_")) readers = "ExLlamaV3";
  if (readers.empty()) readers = "no serving stack";
  throw_unsupported(format("{} cannot load weights in '{}'; these can: {}", stack, name, readers));
}

DType kv_format(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [kv_name, dtype] : kKvFormats) {
    if (kv_name == name) return dtype;
    known.emplace_back(kv_name);
  }
  throw_invalid(format("unknown KV-cache format '{}'{}; known are {}", name,
                       did_you_mean(name, known), fmt::join(known, " ")));
}

}  // namespace tinderbox
