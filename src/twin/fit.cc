#include "twin/fit.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::int64_t kTokensMax = 1 << 24;
constexpr std::int64_t kSequencesMax = 1 << 20;

void expect(const char* what, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  throw_invalid(format("fit: {} of {} is not within {} to {}", what, value, low, high));
}

void verify(const TwinModel& twin, const MemoryDemand& demand) {
  expect("a context", demand.context, 1, kTokensMax);
  expect("a concurrency", demand.concurrency, 1, kSequencesMax);
  expect("a limit of step tokens (0: the stack's)", demand.step_tokens, 0, kTokensMax);
  expect("a limit of sequences (0: the stack's)", demand.sequences, 0, kSequencesMax);
  expect("a number of ranks", demand.ranks, 1, 1024);
  if (demand.context > twin.model.n_ctx) {
    throw_invalid(format("fit: a context of {} tokens exceeds the {} of {}; choose a shorter one",
                         demand.context, twin.model.n_ctx, twin.model.id));
  }
  if (!demand.share) return;
  if (twin.stack.memory.pool == PoolRule::None) {
    throw_invalid(format("fit: a memory fraction says nothing to {}, which allocates what the "
                         "context needs; leave it out",
                         twin.stack.name));
  }
  if (!(*demand.share > 0 && *demand.share <= 1)) {
    throw_invalid(format("fit: a memory fraction of {} is not above 0 and at most 1", *demand.share));
  }
}

// The largest n in [0, most] for which `holds`, which never turns true again once false.
template <typename F>
std::int64_t largest(std::int64_t most, const F& holds) {
  std::int64_t low = 0, high = most;
  while (low < high) {
    const std::int64_t middle = high - (high - low) / 2;
    if (holds(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string flags_of(const TwinModel& twin, const MemoryDemand& demand, const MemoryPlan& plan) {
  const MemoryPolicy& policy = twin.stack.memory;
  const std::int64_t step_tokens =
      demand.step_tokens > 0 ? demand.step_tokens : twin.computed_tokens_max();
  const std::int64_t all = demand.context * demand.concurrency;
  std::string flags = policy.flags;
  flags = replaced(flags, "{share}", format("{:.2f}", plan.share));
  flags = replaced(flags, "{context}", format("{}", demand.context));
  flags = replaced(flags, "{context_all}", format("{}", all));
  flags = replaced(flags, "{concurrency}", format("{}", demand.concurrency));
  flags = replaced(flags, "{step_tokens}", format("{}", step_tokens));
  const std::string kv(dtype_info(twin.kv).name);
  if (const auto flag = policy.kv_flags.find(kv);
      flag != policy.kv_flags.end() && kv != twin.stack.kv_default) {
    flags += " " + flag->second;
  }
  return flags;
}

}  // namespace

FitReport fit(const TwinModel& twin, const Footprint& model, const MemoryDemand& demand) {
  verify(twin, demand);
  const MemoryPolicy& policy = twin.stack.memory;
  FitReport report;
  report.plan = plan_memory(twin, model, demand);
  const auto fits = [&](const MemoryDemand& d) {
    return plan_memory(twin, model, d).fit == Fit::Fits;
  };
  report.context_max = largest(twin.model.n_ctx, [&](std::int64_t n) {
    MemoryDemand d = demand;
    d.context = n;
    return fits(d);
  });
  report.concurrency_max = largest(kSequencesMax, [&](std::int64_t n) {
    MemoryDemand d = demand;
    d.concurrency = n;
    return fits(d);
  });
  if (policy.pool != PoolRule::None) {
    report.share_needed = share_for_pool(twin, report.plan, report.plan.kv, true);
    if (!demand.share && report.plan.share < policy.share) {
      MemoryDemand d = demand;
      d.share = policy.share;
      report.by_default = plan_memory(twin, model, d);
    }
  }
  if (report.plan.fit == Fit::Fits) report.flags = flags_of(twin, demand, report.plan);
  return report;
}

}  // namespace tinderbox
