#include "box/calibrate_intervals.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace tinderbox {
namespace {

constexpr double kGroupsMin = 12;  // fewer have no tails

// Quantiles of 5 and 95 % by weight, a group counting once; with few groups further out, since a
// new one lands beyond all n seen in 2 of n + 1 cases.
std::optional<Interval> interval_from(std::vector<Miss> misses) {
  double n_groups = 0;
  for (const Miss& m : misses) n_groups += m.weight;
  if (n_groups < kGroupsMin) return std::nullopt;
  std::ranges::sort(misses, {}, &Miss::log_ratio);
  const double tail = std::max(0.05 - 0.5 / n_groups, 0.0) * n_groups;
  double below = 0, low = misses.front().log_ratio, high = misses.back().log_ratio;
  for (const Miss& m : misses) {
    below += m.weight;
    if (below >= tail) {
      low = m.log_ratio;
      break;
    }
  }
  double above = 0;
  for (auto m = misses.rbegin(); m != misses.rend(); ++m) {
    above += m->weight;
    if (above >= tail) {
      high = m->log_ratio;
      break;
    }
  }
  return Interval{.low = std::exp(std::min(low, 0.0)), .high = std::exp(std::max(high, 0.0))};
}

}  // namespace

std::vector<Miss> misses_of(const std::string& stack,
                           const std::vector<CalibrationRow>& rows,
                           const std::vector<double>& left_out) {
  std::vector<Miss> out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const CalibrationRow& row = rows[i];
    if (row.steady) continue;  // at a load that was looked up
    const bool is_rate = row.measured.reading != Reading::Tpot;
    const double ratio = std::log(row.value / left_out[i]);
    out.push_back({stack, metric_of(row.measured), is_rate ? ratio : -ratio, row.weight});
  }
  return out;
}

void add_intervals(const std::vector<Miss>& misses, std::vector<FittedStack>& stacks) {
  for (int q = 0; q < kMetrics; ++q) {
    const auto metric = static_cast<Metric>(q);
    const auto of = [&](const std::string* stack) {
      std::vector<Miss> some;
      for (const Miss& m : misses) {
        if (m.metric == metric && (stack == nullptr || m.stack == *stack)) some.push_back(m);
      }
      return interval_from(std::move(some));
    };
    const std::optional<Interval> all = of(nullptr);
    for (FittedStack& stack : stacks) {
      const std::optional<Interval> own = of(&stack.id);
      if (own || all) stack.intervals[static_cast<std::size_t>(q)] = own ? *own : *all;
    }
  }
}

}  // namespace tinderbox
