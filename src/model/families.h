// Families of models that are known by name only: what their graphs need beyond the op set, for
// messages.
#pragma once

#include <string_view>

namespace tinderbox {

// The families with a graph, as config.json names them; for messages.
inline constexpr std::string_view kKnownFamilies =
    "llama, mistral, ministral3, qwen2, qwen3, qwen3_moe, gpt_oss, mixtral, phi3";

// What a family (model_type or general.architecture) needs that the op set does not have; "" if it
// is unknown.
std::string_view missing_ops(std::string_view family);

}  // namespace tinderbox
