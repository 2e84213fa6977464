// What a predicted step asks of the body, a second, while such steps follow one another.
#pragma once

#include <span>
#include <utility>

#include "twin/power.h"
#include "twin/predict.h"

namespace tinderbox {

// Of one box. The step must be explained.
Load load_of(const StepModel& model, const StepCost& step);

// A prediction as the load of its two phases and the share of the time each takes; a share is 0
// where there is no such phase. The prediction must be explained.
struct PhaseLoads {
  Load prefill{}, decode{};
  double prefill_share = 0, decode_share = 0;
};
PhaseLoads phase_loads(const StepModel& model, const Point& point, const Prediction& prediction);

// Loads that alternate faster than anything warms, as one. Shares add up to 1.
Load mixed(std::span<const std::pair<Load, double>> loads);
Load mixed(const PhaseLoads& phases);

}  // namespace tinderbox
