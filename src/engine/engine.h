// Real arithmetic on this computer: executes a step's graph over mapped weights and paged KV. Owned
// and called by one thread; parallel inside. Results are the same bits whatever the number of
// threads, the batch or the chunking (fixed reduction order per output; see STYLE.md on numerics).
// All tensor memory is reserved at construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/sampling.h"
#include "model/config.h"
#include "model/gguf.h"

namespace tinderbox {

struct EngineOptions {
  int n_threads = 0;  // 0: all processors
  std::int32_t kv_blocks = 512;
  std::int32_t kv_block_tokens = 16;
  std::int32_t step_tokens_max = 512;  // T of the largest step
  std::int32_t sequences_max = 64;     // segments of the largest step
};

// One sequence's share of a step (the engine's view of a scheduler's StepItem).
struct EngineItem {
  std::span<const TokenId> tokens;  // n_new ids at positions n_past ...
  std::int32_t n_past = 0;
  std::span<const std::int32_t> blocks;  // KV block ids of positions 0 ... n_past + n_new - 1
  bool samples = false;
};

class Engine {
 public:
  // Throws Error::Unsupported naming tensor and type if a weight has a format without kernel,
  // Error::Invalid if a tensor is missing or has the wrong shape, Error::TooLarge if the KV pool
  // exceeds this computer's memory.
  Engine(std::shared_ptr<const Gguf> file, EngineOptions options);
  // The same for a model that the file's header does not describe (tests, converted weights).
  Engine(std::shared_ptr<const Gguf> file, ModelConfig model, EngineOptions options);
  ~Engine();

  const ModelConfig& model() const;
  const EngineOptions& options() const;

  // Runs the step; returns the logits of the sampling items in order, (S, n_vocab) row-major, valid
  // until the next call. Requires: items and tokens within the options, ids in the vocabulary,
  // blocks in the pool.
  std::span<const float> step(std::span<const EngineItem> items);
  // Of the last step: what the logits were made from, (S, d_model), valid until the next one. Empty if no item sampled.
  std::span<const float> hidden() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Chooses the next token. history: prompt and answer so far; position: index of the token being
// chosen (drives the random stream, so that a sequence's draws do not depend on its batch).
TokenId sample(std::span<const float> logits, const SamplingParams& params,
               std::span<const TokenId> history, std::int64_t position);

// The same with what SamplingExtras ask for. detail: null unless they ask to be told.
struct Choice {
  TokenId token = -1;
  std::shared_ptr<TokenDetail> detail;
};
Choice choose(std::span<const float> logits, const SamplingParams& params, std::span<const TokenId> history,
              std::int64_t position);

}  // namespace tinderbox
