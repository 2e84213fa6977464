// Intervals of predictions from how far off those were of rows that the fit had not seen.
#pragma once

#include <string>
#include <vector>

#include "box/calibrate.h"
#include "box/calibration_rows.h"

namespace tinderbox {

// How far off a rate was that the fit had not seen.
struct Miss {
  std::string stack;
  Metric metric{};
  double log_ratio = 0;  // of measured over predicted
  double weight = 0;
};

// left_out: a value a row, in base units. Rows at a load that was looked up say nothing.
std::vector<Miss> misses_of(const std::string& stack, const std::vector<CalibrationRow>& rows,
                            const std::vector<double>& left_out);

// Of each stack and metric; of all stacks together where its own groups are too few.
void add_intervals(const std::vector<Miss>& misses, std::vector<FittedStack>& stacks);

}  // namespace tinderbox
