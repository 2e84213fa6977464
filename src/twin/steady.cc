#include "twin/steady.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

Seconds steady_tpot(const StepModel& model, const Point& point) {
  CHECK(point.prompt >= 1 && point.gen >= 2 && point.concurrency >= 1);
  const std::int64_t end = point.depth + point.prompt + point.gen;
  if (end > model.twin().model.n_ctx) {
    throw_unsupported(format("{} tokens exceed the {} of {}", end, model.twin().model.n_ctx, model.twin().model.id));
  }
  const Segment decoding{.n_past = static_cast<std::int32_t>(point.depth + point.prompt + point.gen / 2),
                         .n_new = 1,
                         .samples = true};
  std::vector<Segment> segments(static_cast<std::size_t>(point.concurrency), decoding);
  const Seconds step = model.price(segments).time;

  const std::int64_t budget = point.step_tokens > 0 ? point.step_tokens : model.twin().stack.step_tokens_max;
  const std::int64_t chunk = std::max<std::int64_t>(budget - point.concurrency, 1);
  Seconds added{};
  segments.emplace_back();
  for (std::int64_t read = 0; read < point.prompt; read += chunk) {
    const std::int64_t n_new = std::min(chunk, point.prompt - read);
    segments.back() = {.n_past = static_cast<std::int32_t>(point.depth + read),
                       .n_new = static_cast<std::int32_t>(n_new),
                       .samples = read + n_new == point.prompt};
    added += model.price(segments).time - step;
  }
  return step + added * (static_cast<double>(point.concurrency) / static_cast<double>(point.gen - 1));
}

}  // namespace tinderbox
