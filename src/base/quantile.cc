#include "base/quantile.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace tinderbox {

double quantile(std::vector<double> values, double share) {
  CHECK(!values.empty() && share >= 0 && share <= 1);
  std::ranges::sort(values);
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (rank - static_cast<double>(low)) * (values[high] - values[low]);
}

}  // namespace tinderbox
