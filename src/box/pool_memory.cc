#include "box/pool_memory.h"

#include <algorithm>
#include <cmath>

#include "twin/memory_plan.h"

namespace tinderbox {

std::int64_t MemoryNeed::bytes_with(std::int64_t kv_tokens) const {
  return static_cast<std::int64_t>(std::ceil((fixed + kv_of(kv_tokens)).value()));
}

MemoryNeed memory_need(const StepModel& model, std::int64_t longest, std::int64_t sequences) {
  const TwinModel& twin = model.twin();
  MemoryNeed need;
  need.longest = std::min<std::int64_t>(twin.model.n_ctx, longest);
  need.sequences = sequences;
  const MemoryPlan plan = plan_memory(twin, model.footprint(), need.longest, sequences);
  need.fixed = plan.weights + plan.activations + plan.runtime - host_memory(twin.machine, twin.stack.memory);
  need.kv_per_token = plan.kv_per_token;
  return need;
}

Bytes memory_room(const std::vector<std::shared_ptr<const StepModel>>& models) {
  const Machine& machine = models.front()->twin().machine;
  Bytes host;
  for (const auto& model : models) host = std::max(host, host_memory(machine, model->twin().stack.memory));
  return machine.memory_safe - host;
}

std::vector<std::int64_t> share_kv(const std::vector<MemoryNeed>& needs, Bytes room) {
  Bytes fixed;
  for (const MemoryNeed& n : needs) fixed += n.fixed;
  const Bytes even = (room - fixed) / static_cast<double>(needs.size());
  const bool together = std::ranges::all_of(needs, [&](const MemoryNeed& n) { return n.kv_of(n.longest) <= even; });
  std::vector<std::int64_t> tokens;
  for (const MemoryNeed& n : needs) {
    const Bytes most = n.kv_of(n.longest * n.sequences);
    const Bytes kv = std::min(most, together ? even : room - n.fixed);
    tokens.push_back(static_cast<std::int64_t>(std::max(0.0, kv / n.kv_per_token)));
  }
  return tokens;
}

}  // namespace tinderbox
