// How many streams a box can hold at once: the load at which it gives most.
#pragma once

#include <cstdint>

#include "twin/predict.h"
#include "twin/step_model.h"

namespace tinderbox {

// The largest number of streams of depth + prompt + gen tokens each whose memory the plan fits, at
// most the sequences that the point or else the stack admits to a batch; of all replicas (dp)
// together. 0 if not one fits.
std::int64_t concurrency_max(const StepModel& model, const Point& point);

// The point with that many streams, all in one batch. Throws Error::TooLarge if not one fits.
Point saturated(const StepModel& model, Point point);

// The point as a stack with a KV pool runs it: of more streams than the pool of its default share
// holds, halfway through their answers, those beyond wait. The same point if that pool holds not
// even one: whoever ran it chose another share.
Point within_pool(const StepModel& model, Point point);

}  // namespace tinderbox
