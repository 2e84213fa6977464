// How the next token is chosen from logits: plain values shared by the scheduler's requests, the API and the
// sampler. Order of application: presence and frequency penalty, bias, constraint (SamplingExtras; then logprobs are
// read), repetition penalty, temperature, top-k, top-p, min-p, draw.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tinderbox {

using TokenId = std::int32_t;

// What an answer must be like: of one sequence, whose tokens it is shown.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Sets to -infinity what may not follow the answer so far. Box thread; each answer begins with the one before.
  virtual void mask(std::span<const TokenId> answer, std::span<float> logits) = 0;
};

// What few requests ask for.
struct SamplingExtras {
  // Over the answer's tokens, not the prompt's, as OpenAI defines them: taken from the logit of a token that has come
  // up, once, and for each time.
  double presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<TokenId, float>> bias = {};  // added to logits
  std::int32_t n_logprobs = -1;  // -1: none are told; 0: the chosen token's; k: those of the k likeliest, too
  bool embeds = false;           // what the model makes of the prompt is told: its last token's hidden state
  std::int32_t n_prompt = 0;     // where the answer begins in the history
  std::shared_ptr<TokenConstraint> constraint = {};
};

struct SamplingParams {
  double temperature = 1.0;         // 0: greedy, ties to the lowest id
  std::int32_t top_k = 0;           // 0: all
  double top_p = 1.0;               // 1: all
  double min_p = 0.0;               // 0: all
  double repetition_penalty = 1.0;  // 1: none; over the tokens of prompt and answer
  std::uint64_t seed = 0;           // draws are philox(seed, Stream::Sampling, 0, position)
  std::shared_ptr<const SamplingExtras> extras = {};  // null: none
};

// What is told of a token beside it. Logprobs are those of temperature 1 over what bias, penalties and constraint
// leave.
struct TokenDetail {
  float logprob = 0;
  std::vector<std::pair<TokenId, float>> top = {};  // likeliest first
  std::vector<float> embedding = {};                // d_model values, as the model's last norm leaves them
};

}  // namespace tinderbox
