// Rotary position embedding (Su et al. 2021) and its context extensions, as numbers: the angle of
// dimension pair i at position p is p * frequencies[i]; cos and sin are multiplied by the attention
// factor. Computed once a model. Sources: linear: Chen et al. 2023; llama3: Meta's reference
// model.py (apply_scaling); yarn: Peng et al. 2023 §3.4.
#pragma once

#include <vector>

#include "model/config.h"

namespace tinderbox {

// n_dims / 2 angles a position, in radians. Requires n_dims even and, with llama3 and yarn,
// n_ctx_original > 0.
std::vector<double> rope_frequencies(const Rope& rope);

// The factor on cos and sin (YaRN's temperature); 1 without scaling.
double rope_attention_factor(const Rope& rope);

// Ministral 3's temperature: the factor on q.k of a query at `position` beside the scale; 1 without.
double attention_temperature(const ModelConfig& model, std::int64_t position);

// The factor on q.k of a query at `position`: 1 / sqrt(head_dim), times the temperature.
double attention_scale(const ModelConfig& model, std::int64_t position);

}  // namespace tinderbox
