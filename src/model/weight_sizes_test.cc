// Bytes of weights by our formats against the sizes of published files.
#include <cmath>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "model/graph.h"

namespace tinderbox {
namespace {

using enum WeightFile;

// In 1e9 bytes: column checkpoint_gb of data/measurements (inference, cluster, machines, memory), or `bytes`
// of data/models/catalogue-weights.csv where the measurements have none. Notes are weights_note or
// higher_precision_modules of the same rows, empty where they only repeat the default.
struct Published {
  const char *id, *weights;
  WeightFile file;
  double gb;
  const char* note = "";
  const char* outlier = "";  // why our count differs by more than kTolerance
};
constexpr double kTolerance = 0.02;

constexpr const char* kMore = "vision";  // not an outlier: the file also holds vision and MTP
// Of Ollama's library, as https://kgptalkie.com/local-llms-2026-technical-reference-guide lists it.
constexpr const char* kLibrary = "whole gigabytes, with vision";
constexpr const char* kAbout = "stated as 'about'";
constexpr const char* kLayers = "makers choose types layer by layer";
constexpr const char* kGgufSize = "the stated size is the GGUF file's";

constexpr Published kFiles[] = {
    {"deepseek-r1", "q4_k_m", Gguf, 404.4},
    {"deepseek-v2-lite", "q4_k_m", Gguf, 10.36},
    {"deepseek-v4-flash", "ds4_q2", Gguf, 86.76},
    {"deepseek-v4-flash", "fp8_mxfp4exp", Checkpoint, 159.6, "experts fp4, the rest fp8", kMore},
    {"deepseek-v4-flash", "iq3_xxs", Gguf, 103, "", kLayers},
    {"deepseek-v4-flash", "mxfp4", Gguf, 156.4, "experts mxfp4, the rest q8_0"},
    {"gemma-3-4b", "q4_0", Gguf, 2.523, "", "its maker keeps the tied head in q8_0: 0.16 GB more"},
    {"gemma-4-26b-a4b", "nvfp4", Checkpoint, 17, "", kAbout},
    {"gemma-4-26b-a4b", "q4_0", Gguf, 14.42},
    {"gemma-4-26b-a4b", "q4_k_m", Gguf, 16.78},
    {"gemma-4-31b", "bf16", Gguf, 61.4},
    {"gemma-4-31b", "q4_k_m", Gguf, 18.67},
    {"gemma-4-31b", "q4_k_xl", Gguf, 18.75},
    {"gemma-4-e2b", "q8_0", Gguf, 4.95},
    {"gemma-4-e4b", "q4_k_m", Gguf, 5.315},
    {"glm-4.7-flash", "q8_0", Gguf, 31.84},
    {"glm-5.2", "nvfp4", Checkpoint, 465, "", kAbout},
    {"glm-5.3-flash", "iq2_xxs", Gguf, 96.64, "", kLayers},
    {"glm-5.3-flash", "nvfp4", Checkpoint, 194.3, "", kMore},
    {"gpt-oss-120b", "mxfp4", Checkpoint, 63.37, "", kGgufSize},
    {"gpt-oss-120b", "mxfp4", Gguf, 63.37, "experts mxfp4; attention, embedding and head q8_0"},
    {"gpt-oss-120b", "q4_k_m", Gguf, 87.84},
    {"gpt-oss-20b", "mxfp4", Checkpoint, 12.1, "", kGgufSize},
    {"gpt-oss-20b", "mxfp4", Gguf, 12.1, "experts mxfp4; attention, embedding and head q8_0"},
    {"inkling-small", "nvfp4", Checkpoint, 170.7, "", "8 MTP heads and encoders of unknown shape"},
    {"laguna-s-2.1", "nvfp4", Checkpoint, 72, "", kAbout},
    {"llama-2-13b", "q4_0", Gguf, 7.366},
    {"llama-2-7b", "f16", Gguf, 13.48},
    {"llama-2-7b", "q4_0", Gguf, 3.823},
    {"llama-2-7b", "q4_k_m", Gguf, 4.08},
    {"llama-2-7b", "q8_0", Gguf, 7.162},
    {"llama-3-8b", "f16", Gguf, 16.06},
    {"llama-3-8b", "q4_k_m", Gguf, 4.918},
    {"llama-3.1-70b", "q4_k_m", Gguf, 42.51},
    {"llama-3.1-8b", "bf16", Gguf, 16.06},
    {"llama-3.1-8b", "q4_0", Gguf, 4.649},
    {"llama-3.1-8b", "q4_k_m", Gguf, 4.918},
    {"llama-3.1-8b", "q4_k_s", Gguf, 4.703},
    {"llama-3.2-1b", "q4_k_m", Gguf, 0.7999},
    {"llama-3.2-3b", "q4_k_m", Gguf, 2.008},
    {"ministral-3-14b", "q4_k_m", Gguf, 8.236},
    {"ministral-3-3b", "q4_k_m", Gguf, 2.137},
    {"ministral-3-8b", "q4_k_m", Gguf, 5.186},
    {"mistral-small-4-119b", "nvfp4", Checkpoint, 72, "", kAbout},
    {"muse-glimmer-30b", "bf16", Checkpoint, 59.58, "", kMore},
    {"nemotron-3-nano-30b-a3b", "nvfp4", Checkpoint, 19.34,
     "experts, shared experts, 17 of 23 Mamba in/out projections NVFP4; attention (6 layers), 6 Mamba "
     "in/out projections, conv1d, embeddings, lm_head bf16"},
    {"nemotron-3-nano-4b", "bf16", Checkpoint, 7.946},
    {"nemotron-3-nano-4b", "q8_0", Gguf, 4.231},
    {"nemotron-3-nano-omni-30b-a3b", "nvfp4", Checkpoint, 21, "", kAbout},
    {"nemotron-3-super-120b-a12b", "nvfp4", Checkpoint, 80.32},
    {"nemotron-3-super-120b-a12b", "q4_k", Gguf, 69.9, "", "plain q4_k and q5_0, no mixture"},
    {"nemotron-3-super-120b-a12b", "q4_k_m", Gguf, 86, "", kAbout},
    {"nemotron-3-super-120b-a12b", "q4_k_xl", Gguf, 83.77, "", kLayers},
    {"qwen2.5-1.5b", "q4_k_m", Gguf, 1.117, "", "its maker unties the head: 0.13 GB more"},
    {"qwen2.5-14b", "q4_k_m", Gguf, 8.987},
    {"qwen2.5-3b", "q4_k_m", Gguf, 1.922},
    {"qwen2.5-7b", "q4_k_m", Gguf, 4.682},
    {"qwen2.5-7b", "q8_0", Gguf, 8.096},
    {"qwen3-1.7b", "q1_0", Gguf, 0.2424},
    {"qwen3-1.7b", "q4_k_m", Gguf, 1.106},
    {"qwen3-235b-a22b", "iq6_k", Gguf, 212.9},
    {"qwen3-235b-a22b", "q6_k", Gguf, 212.9, "", "the size is that of the iq6_k file"},
    {"qwen3-30b-a3b", "iq4_xs", Gguf, 16.45},
    {"qwen3-30b-a3b", "q4_k_m", Gguf, 18.55},
    {"qwen3-30b-a3b", "q8_0", Gguf, 32.48},
    {"qwen3-30b-a3b-2507", "q4_k_m", Gguf, 18.55},
    {"qwen3-32b", "q4_k_m", Gguf, 19.76},
    {"qwen3-4b", "q1_0", Gguf, 0.5663},
    {"qwen3-4b", "q4_k_m", Gguf, 2.491},
    {"qwen3-8b", "q1_0", Gguf, 1.149},
    {"qwen3-8b", "q4_k_m", Gguf, 5.025},
    {"qwen3-coder-30b-a3b", "q4_k_m", Gguf, 18.55},
    {"qwen3-coder-30b-a3b", "q8_0", Gguf, 32.48},
    {"qwen3.5-0.8b", "bf16", Checkpoint, 1.747, "", kMore},
    {"qwen3.5-122b-a10b", "int4", Checkpoint, 64, "", kAbout},
    {"qwen3.5-27b", "q4_k_m", Gguf, 16.54},
    {"qwen3.5-35b-a3b", "q4_k_m", OllamaGguf, 24, "", kLibrary},
    {"qwen3.5-35b-a3b", "mxfp4", Gguf, 22.55, "experts mxfp4, the rest q8_0", kLayers},
    {"qwen3.5-35b-a3b", "q8_0", Gguf, 36.89},
    {"qwen3.5-9b", "bf16", Checkpoint, 19.31, "", kMore},
    {"qwen3.6-27b", "bf16", Checkpoint, 55.56, "", kMore},
    {"qwen3.6-27b", "fp8", Checkpoint, 30.87, "", kMore},
    {"qwen3.6-27b", "nvfp4", Gguf, 21.47},
    {"qwen3.6-27b", "q1_0", Gguf, 3.79},
    {"qwen3.6-27b", "q2_0", Gguf, 7.151},
    {"qwen3.6-27b", "q4_k_m", Gguf, 16.54},
    {"qwen3.6-27b", "q8_k_xl", Gguf, 35.77},
    {"qwen3.6-35b-a3b", "bf16", Gguf, 69.36},
    {"qwen3.6-35b-a3b", "fp8", Checkpoint, 37.45, "", kMore},
    {"qwen3.6-35b-a3b", "nvfp4", Checkpoint, 22, "", kAbout},
    {"qwen3.6-35b-a3b", "nvfp4", Checkpoint, 22.92,
     "experts and full attention NVFP4; embeddings, lm_head, DeltaNet, router bf16"},
    {"qwen3.6-35b-a3b", "q4_k_xl", Gguf, 22.84, "", kLayers},
    {"qwen3.6-35b-a3b", "q8_0", Gguf, 36.89},
    {"qwen3.6-35b-a3b", "q8_k_xl", Gguf, 38.44},
    {"qwen3.8-27b", "nvfp4", Checkpoint, 21.9,
     "MLP and lm_head NVFP4 (W4A16); attention and DeltaNet fp8; rest bf16", kMore},
    {"qwen3.8-27b", "q4_k_xl", Gguf, 17.91},
    {"step-3.7-flash", "q4_k_s", Gguf, 105, "", kAbout},
};

double weight_gb(const Graph& graph, bool mtp_only = false) {
  double bytes = 0;
  for (const Value& v : graph.values) {
    if (v.role != Role::Weight || (mtp_only && v.weight_class != WeightClass::Mtp)) continue;
    bytes += dtype_bytes(v.dtype, static_cast<double>(v.cols)) * static_cast<double>(v.rows);
  }
  return bytes / 1e9;
}

double weight_gb(const ModelConfig& model, const WeightFormat& weights, bool more) {
  const std::vector<Segment> one = {{0, 1, true}};
  double gb = weight_gb(build_step(model, weights, DType::F16, one));
  if (!more) return gb;
  gb += dtype_bytes(weights.vision, model.vision_parameters) / 1e9;
  if (model.n_mtp > 0) {
    gb += model.n_mtp * weight_gb(build_draft_step(model, weights, DType::F16, one), true);
  }
  return gb;
}

TEST(WeightSizes, OfPublishedFiles) {
  int n_checked = 0, n_outliers = 0;
  std::map<std::string, int> skipped;  // by reason
  for (const Published& p : kFiles) {
    const auto path =
        std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/models" / (std::string(p.id) + ".json");
    ModelConfig model;
    try {
      model = load_config(path);
    } catch (const Error& error) {
      ++skipped[error.what()];
      continue;
    }
    const WeightFormat plain = weight_format(p.weights, p.file, kind_of(model));
    const bool library = p.outlier == std::string_view(kLibrary);
    const bool more = library || p.outlier == std::string_view(kMore);
    const double gb = weight_gb(model, with_note(plain, p.note), more);
    const std::string line = format("{} {}: {:.4g} GB, published {:.4g} ({:+.2f} %) {}", p.id,
                                    p.weights, gb, p.gb, 100 * (gb / p.gb - 1), p.outlier);
    if (p.outlier[0] != '\0' && !more) {
      ++n_outliers;
      std::printf("outlier: %s\n", line.c_str());
      continue;
    }
    ++n_checked;
    EXPECT_LE(std::abs(gb - p.gb), library ? 0.5 : kTolerance * p.gb) << line;
  }
  for (const auto& [reason, n] : skipped) std::printf("skipped %d: %s\n", n, reason.c_str());
  std::printf("checked %d, outliers %d of %zu\n", n_checked, n_outliers, std::size(kFiles));
  // As many as this version's families allow: raise it with every new family.
  EXPECT_GE(n_checked, 36);
}

}  // namespace
}  // namespace tinderbox
