// The DGX Spark's body, and loads for it.
#pragma once

#include <filesystem>

#include "base/mapped_file.h"
#include "machine/machine.h"
#include "twin/body.h"
#include "twin/test_models.h"

namespace tinderbox {

inline const BodyFacts& spark_body() {
  static const BodyFacts body =
      *parse_machine(
           read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml"),
           "dgx-spark")
           .body;
  return body;
}

// A machine of round numbers with that body.
inline Machine round_machine_with_body() {
  Machine machine = testing::round_machine();
  machine.body = spark_body();
  machine.clock_light = Hertz(2450e6);
  return machine;
}

// Large dense products in 16 bits, as at the light clock.
inline Load gemm_load() {
  Load load;
  load.clock = Hertz(2450e6);
  load.flops[static_cast<std::size_t>(MathType::F16)] = 108e12;
  load.memory_bytes = 60e9;
  load.gpu_busy = load.compute_share = 1;
  load.cpu_p_busy = 0.16;
  load.awake = true;
  return load;
}

// One stream of a model that reads all its weights for each token.
inline Load decode_load() {
  Load load;
  load.clock = Hertz(2450e6);
  load.flops[static_cast<std::size_t>(MathType::F16)] = 0.2e12;
  load.memory_bytes = 215e9;
  load.gpu_busy = load.memory_share = 1;
  load.cpu_p_busy = 0.16;
  load.awake = true;
  return load;
}

}  // namespace tinderbox
