#include "model/families.h"

#include <array>
#include <string>

#include "base/text.h"

namespace tinderbox {
namespace {

// By the beginning of the family's name; the first that fits wins.
struct MissingOps {
  std::string_view family, missing;
};
constexpr std::array<MissingOps, 19> kMissing = {{
    {"deepseek", "multi-head latent attention and shared experts"},
    {"kimi", "multi-head latent attention and shared experts"},
    {"glm4_moe_lite", "multi-head latent attention and shared experts"},
    {"glm4_moe", "shared experts and sigmoid routing"},
    {"glm", "sparse attention and shared experts"},
    {"mistral4", "multi-head latent attention and shared experts"},
    {"gemma4", "norms after attention and MLP, per-layer embeddings and layers of different shape"},
    {"gemma", "scaled embeddings and norms after attention and MLP"},
    {"gpt2", "LayerNorm, learnt positions and an MLP without gate"},
    {"gptj", "LayerNorm and an MLP without gate"},
    {"lfm2", "short convolutions"},
    {"nemotron-nas", "layers of different shape"},
    {"nemotron", "Mamba-2 layers"},
    {"olmo2", "norms after attention and MLP"},
    {"minimax", "q and k norms across heads and sigmoid routing"},
    {"qwen3_next", "Gated DeltaNet layers"},
    {"qwen3_5", "Gated DeltaNet layers"},
    {"muse_glimmer",
     "norms after attention and MLP, layers without positions and soft-capped logits"},
    {"laguna", "gated attention, layers of different shape and shared experts"},
}};

}  // namespace

std::string_view missing_ops(std::string_view family) {
  const std::string name = lower(family);
  for (const MissingOps& entry : kMissing) {
    if (name.starts_with(entry.family)) return entry.missing;
  }
  return {};
}

}  // namespace tinderbox
