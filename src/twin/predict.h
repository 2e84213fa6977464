// One operating point of a model on a machine: the answer of `tinderbox predict` and of each row of
// validate.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "twin/memory_plan.h"
#include "twin/step_model.h"

namespace tinderbox {

struct Point {
  std::int64_t prompt = 512, gen = 128, depth = 0;  // tokens; depth: cached before the prompt
  std::int64_t concurrency = 1;
  // 0: the stack's. Tokens of a step at most; sequences running at once at most.
  std::int64_t step_tokens = 0, sequences = 0;
};

struct Prediction {
  double prefill_tok_per_s =
      0;  // all streams: prompt tokens over the time until the last prompt is read
  double decode_tok_per_s =
      0;         // all streams: tokens after the first over the time from the first to the last one
  Seconds prompts_read;  // start to the end of the step that reads the last prompt
  Seconds first_decode_step;  // one token of one stream after a prompt of one token
  Seconds ttft;  // mean over streams that start at once; with the stack's time of a request
  Seconds tpot;  // mean over streams of (end - first token) / tokens after the first
  Seconds ttft_p50, ttft_p95;  // over these streams
  double stream_tok_per_s = 0;  // mean over streams of their own rates
  // decode_step, if the twin speculates, is one that gives each stream several tokens.
  Seconds total;  // until the last stream ends; with the stack's time of a request
  StepCost prefill_step,
      decode_step;  // explained: whole prefill; one decode step at mid-generation
  MemoryPlan memory;
};

// Chunks prefill by the stack's token budget; integrates decode over the growing context. With no
// prompt, decode starts at `depth` and every token counts. Throws Error::Invalid if a length is
// negative or all are 0, Error::Unsupported if the point exceeds the model's context.
Prediction predict(const StepModel& step_model, const Point& point, bool explain = false);

// Of a metric at a point; wider where the twin extrapolates: weights whose kernels no measurement
// has moved, longer contexts or more streams than calibration saw.
Interval interval_of(const TwinModel& twin, Metric metric, const Point& point);

}  // namespace tinderbox
