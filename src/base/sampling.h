// How the next token is chosen from logits: plain values shared by the scheduler's requests, the API and the
// sampler. Order of application: repetition penalty, temperature, top-k, top-p, min-p, draw.
#pragma once

#include <cstdint>

namespace tinderbox {

using TokenId = std::int32_t;

struct SamplingParams {
  double temperature = 1.0;         // 0: greedy, ties to the lowest id
  std::int32_t top_k = 0;           // 0: all
  double top_p = 1.0;               // 1: all
  double min_p = 0.0;               // 0: all
  double repetition_penalty = 1.0;  // 1: none; over the tokens of prompt and answer
  std::uint64_t seed = 0;           // draws are philox(seed, Stream::Sampling, 0, position)
};

}  // namespace tinderbox
