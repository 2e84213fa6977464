#include "twin/concurrency.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "twin/memory_plan.h"

namespace tinderbox {

std::int64_t concurrency_max(const StepModel& model, const Point& point) {
  const TwinModel& twin = model.twin();
  const std::int64_t context = point.depth + point.prompt + point.gen;
  const auto fits = [&](std::int64_t n) {
    const MemoryDemand demand{.context = context,
                              .concurrency = n,
                              .step_tokens = point.step_tokens,
                              .sequences = point.sequences};
    return plan_memory(twin, model.footprint(), demand).fit == Fit::Fits;
  };
  if (!fits(1)) return 0;
  std::int64_t low = 1;  // fits
  std::int64_t high =
      std::max<std::int64_t>(1, point.sequences > 0 ? point.sequences : twin.stack.sequences_max);
  while (low < high) {
    const std::int64_t middle = high - (high - low) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low * twin.parallel.replicas();
}

Point within_pool(const StepModel& model, Point point) {
  const TwinModel& twin = model.twin();
  if (twin.stack.memory.pool == PoolRule::None || point.concurrency == 1) return point;
  const std::int64_t context = point.depth + point.prompt + point.gen / 2;
  const MemoryPlan plan =
      plan_memory(twin, model.footprint(), {.context = context, .share = twin.stack.memory.share});
  const std::int64_t held = plan.kv_tokens_max / std::max<std::int64_t>(context, 1);
  if (held == 0) return point;
  const std::int64_t admitted = point.sequences > 0 ? point.sequences : twin.stack.sequences_max;
  point.sequences = std::min(admitted, held * twin.parallel.replicas());
  return point;
}

Point saturated(const StepModel& model, Point point) {
  const std::int64_t n = concurrency_max(model, point);
  if (n == 0) {
    throw_too_large(format(
        "one stream of {} tokens of {} does not fit {} safely; see `tinderbox fit`",
        point.depth + point.prompt + point.gen, model.twin().model.id, model.twin().machine.id));
  }
  point.concurrency = n;
  return point;
}

}  // namespace tinderbox
