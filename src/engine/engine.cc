#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "engine/execute.h"
#include "engine/kv_store.h"
#include "engine/weights.h"
#include "model/graph.h"

namespace tinderbox {

namespace {

// The graph's formats are those of the bound tensors; the builder only wants to be told something.
WeightFormat any_format() {
  WeightFormat f;
  f.name = "gguf";
  f.embedding = f.lm_head = f.attention = f.dense_mlp = f.router = f.expert = f.norm_or_bias =
      DType::F32;
  return f;
}

Graph build(const ModelConfig& model, std::vector<Segment> segments) {
  return build_step(model, any_format(), DType::F16, std::move(segments));
}

// The step with the most rows of everything.
Graph largest_step(const ModelConfig& model, const EngineOptions& options) {
  const std::int32_t n = std::min(options.sequences_max, options.step_tokens_max);
  std::vector<Segment> segments(static_cast<std::size_t>(n),
                                Segment{.n_past = 0, .n_new = 1, .samples = true});
  segments[0].n_new += options.step_tokens_max - n;
  return build(model, std::move(segments));
}

// Throws Error::Unsupported naming the first op that has no kernel.
ModelConfig runnable(ModelConfig model) {
  const Graph graph = build(model, {Segment{.n_past = 0, .n_new = 1}});
  for (const Op& op : graph.ops) {
    if (Execution::runs(op, model)) continue;
    throw_unsupported(format("{}: the engine has no kernel for op '{}' as family '{}' uses it",
                             model.id, op_name(op.kind), model.family));
  }
  return model;
}

// Limits far above use, below where sizes could overflow.
EngineOptions checked(EngineOptions options) {
  static constexpr std::int32_t kMost = 1 << 24;
  const auto check = [](std::int32_t n, std::string_view what) {
    if (n < 1 || n > kMost)
      throw_invalid(format("engine option {} is {}, expected 1 to {}", what, n, kMost));
  };
  check(options.kv_blocks, "kv_blocks");
  check(options.kv_block_tokens, "kv_block_tokens");
  check(options.step_tokens_max, "step_tokens_max");
  check(options.sequences_max, "sequences_max");
  if (options.n_threads < 0 || options.n_threads > 1024) {
    throw_invalid(format("engine option n_threads is {}, expected 0 to 1024", options.n_threads));
  }
  return options;
}

}  // namespace

struct Engine::Impl {
  std::shared_ptr<const Gguf> file;
  ModelConfig model;
  EngineOptions options;
  ThreadPool pool;
  Graph largest;
  KvStore kv;
  Weights weights;
  Execution execution;
  Graph graph;  // of the last step

  Impl(std::shared_ptr<const Gguf> f, ModelConfig m, EngineOptions o)
      : file(std::move(f)),
        model(runnable(std::move(m))),
        options(checked(o)),
        pool(options.n_threads),
        largest(largest_step(model, options)),
        kv(model, options.kv_blocks, options.kv_block_tokens),
        weights(*file, largest, pool),
        execution(largest, weights, kv, pool) {}

  void check_item(const EngineItem& item) const {
    CHECK(!item.tokens.empty() && item.n_past >= 0);
    const std::int64_t n = item.n_past + static_cast<std::int64_t>(item.tokens.size());
    CHECK(static_cast<std::int64_t>(item.blocks.size()) * options.kv_block_tokens >= n);
    for (const TokenId id : item.tokens) CHECK(id >= 0 && id < model.n_vocab);
    for (const std::int32_t block : item.blocks) CHECK(block >= 0 && block < options.kv_blocks);
  }
};

Engine::Engine(std::shared_ptr<const Gguf> file, EngineOptions options) {
  ModelConfig model = config_from_gguf(*file);
  impl_ = std::make_unique<Impl>(std::move(file), std::move(model), options);
}

Engine::Engine(std::shared_ptr<const Gguf> file, ModelConfig model, EngineOptions options)
    : impl_(std::make_unique<Impl>(std::move(file), std::move(model), options)) {}

Engine::~Engine() = default;

const ModelConfig& Engine::model() const { return impl_->model; }
const EngineOptions& Engine::options() const { return impl_->options; }

std::span<const float> Engine::step(std::span<const EngineItem> items) {
  CHECK(!items.empty() && items.size() <= static_cast<std::size_t>(impl_->options.sequences_max));
  std::vector<Segment> segments;
  std::int64_t n_tokens = 0;
  for (const EngineItem& item : items) {
    impl_->check_item(item);
    const auto n_new = static_cast<std::int32_t>(item.tokens.size());
    segments.push_back({.n_past = item.n_past, .n_new = n_new, .samples = item.samples});
    n_tokens += n_new;
  }
  CHECK(n_tokens <= impl_->options.step_tokens_max);
  impl_->graph = build(impl_->model, std::move(segments));
  return impl_->execution.run(impl_->graph, items);
}

std::span<const float> Engine::hidden() const { return impl_->execution.hidden(); }

}  // namespace tinderbox
