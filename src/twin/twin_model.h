// What the twin is a twin of: one model in its formats, served by one stack on one machine or on
// several alike, with or without speculation. A value.
#pragma once

#include <optional>
#include <string>

#include "machine/machine.h"
#include "model/config.h"
#include "model/weight_format.h"
#include "twin/parallel.h"
#include "twin/speculation.h"
#include "twin/stack.h"

namespace tinderbox {

struct TwinModel {
  Machine machine;
  Stack stack;
  ModelConfig model;
  WeightFormat weights;
  DType kv = DType::F16;
  Parallel parallel{};
  std::string link{};  // between the boxes; empty: the machine's usual one
  std::optional<Speculation> speculation{};  // how decoding sequences go on
};

}  // namespace tinderbox
