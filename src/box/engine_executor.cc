#include "box/engine_executor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

StepResult EngineExecutor::run(const Step& step, TimePoint start) {
  items_.clear();
  for (const StepItem& item : step.items) {
    CHECK(std::cmp_equal(item.tokens.size(), item.n_new));
    items_.push_back({.tokens = item.tokens,
                      .n_past = item.n_past,
                      .blocks = item.blocks,
                      .samples = item.samples});
  }
  const std::span<const float> logits = engine_.step(items_);
  const auto n_vocab = static_cast<std::size_t>(engine_.model().n_vocab);
  StepResult result;
  for (const StepItem& item : step.items) {
    if (!item.samples) continue;
    const std::span<const float> row = logits.subspan(result.sampled.size() * n_vocab, n_vocab);
    const auto position = static_cast<std::int64_t>(item.history.size());
    Choice choice = choose(row, *item.sampling, item.history, position);
    if (item.sampling->extras && item.sampling->extras->embeds) {
      const std::span<const float> hidden = engine_.hidden();
      const auto d_model = static_cast<std::size_t>(engine_.model().d_model);
      const std::span<const float> state = hidden.subspan(result.sampled.size() * d_model, d_model);
      if (!choice.detail) choice.detail = std::make_shared<TokenDetail>();
      choice.detail->embedding.assign(state.begin(), state.end());
    }
    if (choice.detail) {
      result.details.resize(result.sampled.size());
      result.details.push_back(std::move(choice.detail));
    }
    result.sampled.push_back(choice.token);
  }
  if (!result.details.empty()) result.details.resize(result.sampled.size());
  result.end = std::max(start, clock_.now());
  return result;
}

}  // namespace tinderbox
