// Streams that come and go at an even pace, rather than all at once as in twin/predict.h.
#pragma once

#include "base/units.h"
#include "twin/predict.h"

namespace tinderbox {

// Mean time per token while `point.concurrency` streams generate at once, on average, and each that ends is
// followed by one that brings its prompt, which the others wait for: by Little's law as many arrive during an
// answer as generate at once, so
//
//   (gen - 1) tpot = (gen - 1) step + concurrency * (what a prompt adds to the steps that read it)
//
// with the step at mid-answer. Requires prompt >= 1, gen >= 2, concurrency >= 1. Throws Error::Unsupported if the
// point exceeds the model's context.
Seconds steady_tpot(const StepModel& model, const Point& point);

}  // namespace tinderbox
