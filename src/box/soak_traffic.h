// A box that serves requests for minutes to days: what soak() tells of a load, of traffic as it comes.
#pragma once

#include "box/report.h"
#include "box/simulate.h"
#include "box/soak.h"

namespace tinderbox {

struct TrafficSoak {
  SoakReport soak;
  Report traffic;               // what of it was over in that time
  std::int64_t unanswered = 0;  // taken in, and not over
};

// Of one box, with options.body, whose windows are of a second: `every` is rounded up to whole ones. What comes later
// than `total` is left out, a step under way then is finished; after the last request the box rests. Throws as
// simulate() and soak() do, and Error::Invalid for users or conversations.
TrafficSoak soak_traffic(const StepModel& model, const SimulateOptions& options, Duration total, Duration every,
                         const SoakProgress& progress = {});

}  // namespace tinderbox
