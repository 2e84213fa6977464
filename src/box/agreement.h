// How well published measurements predict one another: configurations that several publishers have
// measured, each publisher's median taken for a prediction of each other's. No twin that is told the
// configuration alone can be expected to do better than they.
#pragma once

#include <cstdint>

#include "box/validation_document.h"

namespace tinderbox {

struct Agreement {
  std::int64_t configurations = 0, publishers = 0;  // that share one, publishers counted in each
  double median_ape = 0, p90_ape = 0;  // over configurations, of the median over ordered pairs
};

// Of rows of one kind (Decode or Prefill), one box, one stream, no speculation. Rows are of one
// configuration if machine, stack, model, weights and KV format are the same and their context is
// short: to 2048 tokens of depth, prompts of prefill of the same size to the nearest power of two. A
// publisher is the first part of a group's id. Rows with a bad cell do not count.
Agreement agreement(const Validation& validation, RowKind kind);

}  // namespace tinderbox
