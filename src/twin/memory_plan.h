// Memory of a model on a machine by part, and what fits. Exact for weights and KV; runtime and
// activations by the stack.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"
#include "twin/twin_model.h"
#include "twin/work.h"

namespace tinderbox {

enum class Fit : std::uint8_t {
  Fits,
  Tight,
  Freezes
};  // below memory_safe, below memory_freeze, above
std::string_view fit_name(Fit fit);

struct MemoryPlan {
  Bytes weights, kv, activations, runtime;
  Bytes reserved;  // what the stack preallocates beyond these
  Bytes total;
  Bytes kv_per_token;  // of one sequence, all layers; windowed layers only within their window
  Bytes safe, visible;
  Fit fit = Fit::Fits;
  std::int64_t kv_tokens_max = 0;  // tokens of KV that stay within `safe` beside the rest
};

// What of a model's memory does not depend on the operating point; computed once by StepModel.
struct Footprint {
  Bytes weights;
  Bytes state;  // recurrent state of one sequence, all layers
  // Layers whose caches are alike; layers that read another's cache hold none.
  struct Layers {
    std::int32_t window = 0;  // 0: full attention
    int n = 0;
    Bytes row{};  // of one token in one layer
  };
  std::vector<Layers> layers;
  // Activations alive at once, in bytes; the peak of a step is the largest of these.
  std::vector<Rows> live;
};
Footprint footprint(const ModelConfig& model, const WeightFormat& weights, DType kv);

// Requires context >= 0 and concurrency >= 1.
MemoryPlan plan_memory(const TwinModel& twin, std::int64_t context, std::int64_t concurrency);
MemoryPlan plan_memory(const TwinModel& twin, const Footprint& footprint, std::int64_t context,
                       std::int64_t concurrency);

// Bytes of the weights in their formats; every weight once.
Bytes weight_bytes(const ModelConfig& model, const WeightFormat& weights);
// Cache and recurrent state of one sequence; a windowed layer keeps at most its window.
Bytes kv_bytes(const ModelConfig& model, DType kv, std::int64_t context);

}  // namespace tinderbox
