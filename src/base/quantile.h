// A quantile of a sample, linear between order statistics (Hyndman and Fan 1996, type 7).
#pragma once

#include <vector>

namespace tinderbox {

// Requires a value and a share from 0 to 1.
double quantile(std::vector<double> values, double share);

}  // namespace tinderbox
