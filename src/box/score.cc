#include "box/score.h"

#include <cmath>
#include <map>
#include <utility>

#include "base/quantile.h"

namespace tinderbox {

Score score(const std::vector<Sample>& samples) {
  std::map<std::string_view, std::vector<double>> errors;  // by group
  Score s;
  double n_within = 0;
  for (const Sample& sample : samples) {
    errors[sample.group].push_back(sample.error());
    ++s.rows;
    if (sample.high <= sample.low) continue;
    ++s.intervals;
    if (sample.measured >= sample.low && sample.measured <= sample.high) n_within += 1;
  }
  if (errors.empty()) return s;
  if (s.intervals > 0) s.interval_coverage = n_within / static_cast<double>(s.intervals);
  std::vector<double> medians, biases;
  for (const auto& [group, signed_errors] : errors) {
    biases.push_back(quantile(signed_errors, 0.5));
    std::vector<double> absolute;
    for (const double e : signed_errors) absolute.push_back(std::abs(e));
    medians.push_back(quantile(std::move(absolute), 0.5));
  }
  s.groups = static_cast<std::int64_t>(medians.size());
  for (const double m : medians) {
    s.mean_ape += m / static_cast<double>(s.groups);
    s.within_10pct += (m <= 0.1 ? 1.0 : 0.0) / static_cast<double>(s.groups);
  }
  s.median_ape = quantile(medians, 0.5);
  s.p90_ape = quantile(medians, 0.9);
  s.bias = quantile(biases, 0.5);
  return s;
}

}  // namespace tinderbox
