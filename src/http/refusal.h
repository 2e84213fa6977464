// What a client is told of a request that the scheduler did not take, or lost.
#pragma once

#include "http/http.h"
#include "sched/scheduler.h"

namespace tinderbox {

// Requires that it was not accepted.
HttpResponse refusal_of(Admission admission);
// The modelled box went off or froze (box/outages.h); a server that stops lets answers end.
HttpResponse box_down();

}  // namespace tinderbox
