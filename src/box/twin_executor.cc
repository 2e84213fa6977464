#include "box/twin_executor.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"

namespace tinderbox {

TimePoint after(TimePoint start, Duration duration) {
  return start + std::min(duration, TimePoint::max() - std::max(start, TimePoint{}));
}

TwinExecutor::TwinExecutor(const StepModel& model, Placeholders placeholders)
    : model_(model), placeholders_(placeholders) {
  CHECK(placeholders.n_ids >= 1);
}

StepResult TwinExecutor::run(const Step& step, TimePoint start) {
  segments_.clear();
  StepResult result;
  for (const StepItem& item : step.items) {
    segments_.push_back({.n_past = item.n_past, .n_new = item.n_new, .samples = item.samples});
    if (!item.samples) continue;
    TokenId token = 0;
    if (!item.history.empty()) {
      const auto word = philox(item.sampling->seed, Stream::Placeholder, 0, item.history.size())[0];
      token = static_cast<TokenId>(word % static_cast<std::uint32_t>(placeholders_.n_ids));
    }
    result.sampled.push_back(token);
  }
  result.end = after(start, to_duration(time_of_step(model_, segments_)));
  return result;
}

}  // namespace tinderbox
