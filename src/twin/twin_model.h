// What the twin is a twin of: one model in its formats, served by one stack on one machine,
// with or without speculation. A value.
#pragma once

#include <optional>

#include "machine/machine.h"
#include "model/config.h"
#include "model/weight_format.h"
#include "twin/speculation.h"
#include "twin/stack.h"

namespace tinderbox {

struct TwinModel {
  Machine machine;
  Stack stack;
  ModelConfig model;
  WeightFormat weights;
  DType kv = DType::F16;
  std::optional<Speculation> speculation{};  // how decoding sequences go on
};

}  // namespace tinderbox
