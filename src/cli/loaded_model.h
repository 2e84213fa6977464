// A GGUF file made ready to answer: engine, text codec, and the limits that fit this computer.
#pragma once

#include <memory>
#include <string>

#include "cli/commands.h"
#include "engine/engine.h"
#include "http/text_codec.h"
#include "model/gguf.h"
#include "sched/scheduler.h"

namespace tinderbox::cli {

struct LoadedModel {
  std::shared_ptr<const Gguf> file;
  std::unique_ptr<const TextCodec> codec;
  EngineOptions engine_options;
  std::unique_ptr<Engine> engine;  // empty: only opened
  Limits limits;

  std::string id() const;  // the file's name in lower case, without .gguf: general.name is often a
                           // training label
  KvPool kv_pool() const;
};

// Throws Error if the file is not a model that this version runs, or if the KV of `sequences` full
// contexts does not fit this computer. context 0: the model's, at most 8,192 tokens.
LoadedModel open_model_file(const EngineOptionsCli& options, std::int32_t sequences_max,
                            std::int32_t step_tokens_max);
// The same with its engine.
LoadedModel load_model_file(const EngineOptionsCli& options, std::int32_t sequences_max,
                            std::int32_t step_tokens_max);

// The weights format of a file by its bytes: the name of the type that most of them have ("q4_1").
std::string main_weights_format(const Gguf& file);

}  // namespace tinderbox::cli
