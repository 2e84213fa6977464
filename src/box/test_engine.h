// For tests: the model that is small enough for git, and an engine for it.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "model/gguf.h"

namespace tinderbox::testing {

inline constexpr EngineOptions kTinyEngine = {.n_threads = 1,
                                              .kv_blocks = 64,
                                              .kv_block_tokens = 4,
                                              .step_tokens_max = 64,
                                              .sequences_max = 8};

inline std::shared_ptr<const Gguf> tiny_model() {
  return std::make_shared<const Gguf>(Gguf::open(TINDERBOX_SOURCE_DIR "/data/tiny/tinderbox-tiny.gguf"));
}

}  // namespace tinderbox::testing
