// Fits what speculation accepts: for every row that speculates, the number of accepted tokens that would make the twin
// say what was measured; of them, every group with the same weight, the median, held to the prior by its spread. One
// parameter a method; how far rows lie from it is the method's interval. To be run on fitted stacks.
#pragma once

#include <vector>

#include "box/calibrate.h"

namespace tinderbox {

// By method with at least one row, in the form of a stack's fit: with_fitted() writes it, and the interval is that of
// Metric::Decode, {1, 1} if there are too few groups. Rows whose source states the acceptance are left out. Throws
// Error::Invalid as calibrate().
std::vector<FittedStack> calibrate_speculation(const Csv& rows, const TwinCatalogues& catalogues);

}  // namespace tinderbox
