#include "cli/loaded_model.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "cli/model_finder.h"

namespace tinderbox::cli {

namespace {

constexpr std::int32_t kBlockTokens = 16;
constexpr std::int64_t kContextDefaultMax = 8192;

ChatTemplate template_of(const Gguf& file) {
  const auto source = file.string("tokenizer.chat_template");
  return source ? ChatTemplate::parse(*source) : ChatTemplate::chatml();
}

std::int64_t context_of(const ModelConfig& model, std::int64_t asked) {
  if (asked == 0) return std::min<std::int64_t>(model.n_ctx, kContextDefaultMax);
  if (asked < 1 || asked > model.n_ctx) {
    throw_invalid(
        format("--context {}: this model's context is 1 to {} tokens", asked, model.n_ctx));
  }
  return asked;
}

}  // namespace

std::string LoadedModel::id() const {
  std::string name = lower(std::filesystem::path(file->name()).stem().string());
  std::ranges::replace(name, ' ', '-');
  return to_valid_utf8(name);
}

KvPool LoadedModel::kv_pool() const {
  return {engine_options.kv_blocks, engine_options.kv_block_tokens};
}

LoadedModel open_model_file(const EngineOptionsCli& options, std::int32_t sequences_max,
                            std::int32_t step_tokens_max) {
  LoadedModel model;
  model.file = std::make_shared<const Gguf>(Gguf::open(find_model_file(options.file)));
  const ModelConfig config = config_from_gguf(*model.file);
  const std::int64_t context = context_of(config, options.context);
  model.codec =
      std::make_unique<TokenizerCodec>(
      Tokenizer::from_gguf(*model.file), template_of(*model.file), now_unix);
  // KV for a handful of full contexts; more sequences share it, since few fill theirs.
  const std::int64_t full_contexts = std::min<std::int64_t>(sequences_max, 4);
  const std::int64_t blocks = full_contexts * ((context + kBlockTokens - 1) / kBlockTokens);
  model.engine_options = {.n_threads = options.threads,
                          .kv_blocks = static_cast<std::int32_t>(blocks),
                          .kv_block_tokens = kBlockTokens,
                          .step_tokens_max = step_tokens_max,
                          .sequences_max = sequences_max};
  model.limits = {.step_tokens_max = step_tokens_max,
                  .sequences_max = sequences_max,
                  .context_max = static_cast<std::int32_t>(context)};
  return model;
}

LoadedModel load_model_file(const EngineOptionsCli& options, std::int32_t sequences_max,
                            std::int32_t step_tokens_max) {
  LoadedModel model = open_model_file(options, sequences_max, step_tokens_max);
  model.engine = std::make_unique<Engine>(model.file, model.engine_options);
  return model;
}

std::string main_weights_format(const Gguf& file) {
  std::map<DType, std::size_t> bytes;
  for (const TensorView& tensor : file.tensors()) bytes[tensor.dtype] += tensor.data.size();
  if (bytes.empty()) throw_invalid(format("{}: holds no tensors", file.name()));
  const auto most =
      std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; });
  return std::string(dtype_info(most->first).name);
}

}  // namespace tinderbox::cli
