// How far a simulated load is from the one at which the box saturates. Below it queues are bounded
// and percentiles settle as a run gets longer; above it whoever comes later waits longer, so that a
// latency tells little but how long the run was; close to it a run must be very long to settle.
//
// What the box can do is measured: requests of the same lengths are all there at once, and answers
// are counted from when as many have ended as run together until nobody waits any more. That is the
// largest throughput that this scheduler sustains with a full batch. Several boxes do so many times
// as much, if the router keeps all of them busy; a body takes no part: the box is cool and healthy.
#pragma once

#include <string>

#include "box/simulate.h"

namespace tinderbox {

enum class Saturation : std::uint8_t { Below, Near, Above };

struct LoadMargin {
  std::string why_not = {};  // why there is none: nothing below is then set
  double load = 0;           // requests/s that come, on average and
  double peak_load = 0;      // at the busiest time of a day
  // Requests/s of all boxes: the median of the seeds; least and most of them, and of the halves of
  // each.
  double saturation = 0, saturation_low = 0, saturation_high = 0;
  bool body = false;  // took part in the run, not in this
  int seeds = 0;
  std::int64_t requests = 0;  // of each seed

  double share() const { return load / saturation; }
  double share_low() const { return load / saturation_high; }
  double share_high() const { return load / saturation_low; }
  Saturation verdict() const;
};

// Of the load that was simulated with this result. Deterministic; the work is bounded: a few
// thousand requests for each seed. Of a closed loop there is none: it waits for the box.
LoadMargin load_margin(const StepModel& model, const SimulateOptions& options,
                       const SimulationResult& result);

std::string load_margin_text(const LoadMargin& margin);
nlohmann::ordered_json load_margin_json(const LoadMargin& margin);

}  // namespace tinderbox
