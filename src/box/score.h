// The score of predictions against published measurements, as data/measurements/README.md prescribes
// it: the absolute relative error of each row, its median in each group (one source, one
// configuration), then median, mean and 90th percentile over the groups. Errors are fractions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tinderbox {

// One row that was predicted; measured > 0.
struct Sample {
  std::string_view group;  // outlives the call
  double measured = 0, predicted = 0;
  double low = 0, high = 0;  // of the interval; equal: there is none

  double error() const { return predicted / measured - 1; }
};

struct Score {
  std::int64_t groups = 0, rows = 0;
  double median_ape = 0, mean_ape = 0, p90_ape = 0;
  double within_10pct = 0;  // share of groups
  double bias = 0;          // median over groups of their median error with its sign
  std::int64_t intervals = 0;    // rows that have one
  double interval_coverage = 0;  // share of those that are within theirs
};

// All 0 if there are no samples.
Score score(const std::vector<Sample>& samples);

}  // namespace tinderbox
