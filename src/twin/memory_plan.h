// Memory of a box that serves a model, by phase and part, against the machine's limits. Exact for
// weights and KV; what the stack adds (context, host processes, graphs, activations, the size of
// its KV pool) by the stack's memory policy. Page cache is shown and not counted: the kernel gives
// it back. One sequence of a model with sliding windows keeps at most its window.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
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

enum class Phase : std::uint8_t {
  Load,     // weights come in
  WarmUp,   // the stack profiles a full step, takes its pool and captures graphs
  Prefill,  // the longest step of a prompt
  Steady,   // afterwards: the allocator keeps what the longest step took
};
inline constexpr int kPhases = 4;
std::string_view phase_name(Phase phase);  // "warm_up"

struct PhaseMemory {
  Phase phase{};
  Bytes weights, kv, activations, graphs, runtime, host;  // host: the system's share too
  Bytes page_cache;                                       // beside them; not in the total
  Bytes total() const { return weights + kv + activations + graphs + runtime + host; }
};

// What is asked of the box.
struct MemoryDemand {
  std::int64_t context = 0, concurrency = 1;  // tokens of each of so many sequences
  // Of the stack's pool rule; none: the largest that stays safe, at most the stack's default.
  std::optional<double> share{};
  std::int64_t step_tokens = 0, sequences = 0;  // limits of a step; 0: the stack's
  int ranks = 1;                                // devices that weights and KV are split over
};

struct MemoryPlan {
  Bytes weights, kv, activations;  // kv: what is asked for
  Bytes runtime;                   // device context, graphs, host processes, operating system
  Bytes reserved;                  // of the pool, beyond kv
  Bytes total;                     // in use at the peak
  std::array<PhaseMemory, kPhases> phases{};
  Phase peak = Phase::Prefill;  // the first phase that reaches the total
  double share = 0;             // of the pool rule; 0: no pool
  Bytes pool;                   // what the stack would take for KV; kv where it has no pool
  Bytes kv_per_token;           // of one sequence, all layers; windowed layers only within their window
  Bytes safe, freeze, visible;
  Fit fit = Fit::Fits;             // Tight also if kv exceeds the pool
  std::int64_t kv_tokens_max = 0;  // tokens of KV that stay within the pool, or within `safe`
  // As the stack reports its pool: blocks of one token of every layer, windows not deducted.
  std::int64_t pool_blocks = 0, pool_tokens = 0, block_tokens = 0;
};

// What of a model's memory does not depend on the operating point; computed once by StepModel.
struct Footprint {
  Bytes weights;
  Bytes mtp, vision;  // beside the weights: heads that predict further tokens, encoders
  Bytes ngrams;       // of the weights: tables of n-grams, few rows of which a token reads; stacks may leave them on
                      // the drive
  Bytes state;  // recurrent state of one sequence, all layers
  // Layers whose caches are alike; layers that read another's cache hold none.
  struct Layers {
    std::int32_t window = 0;  // 0: full attention
    int n = 0;
    Bytes row{};              // of one token in one layer
    std::int32_t ratio = 1;   // tokens of a row
  };
  std::vector<Layers> layers;  // of caches: a layer may have several
  // Contexts at which the cost of a step bends: windows that are full, selections that begin to leave out.
  std::vector<std::int64_t> bends{};
  // Activations alive at once, in bytes; the peak of a step is the largest of these.
  std::vector<Rows> live;
};
Footprint footprint(const ModelConfig& model, const WeightFormat& weights, DType kv);
// Of the box that holds most, where several share the model. Throws Error::Unsupported if it does
// not split as asked.
Footprint footprint_of_box(const TwinModel& twin);

// Requires context >= 0, concurrency >= 1, ranks >= 1 and a share within (0, 1].
MemoryPlan plan_memory(const TwinModel& twin, const Footprint& footprint,
                       const MemoryDemand& demand);
MemoryPlan plan_memory(const TwinModel& twin, std::int64_t context, std::int64_t concurrency);
MemoryPlan plan_memory(const TwinModel& twin, const Footprint& footprint, std::int64_t context,
                       std::int64_t concurrency);

// The share of the stack's pool rule, in whole hundredths, at which the pool holds `pool` bytes:
// rounded up if `at_least`, else down; unclamped. Requires a stack with a pool.
double share_for_pool(const TwinModel& twin, const MemoryPlan& plan, Bytes pool, bool at_least);

// The first phase that takes more than `limit`; the last if none does.
const PhaseMemory& first_above(const MemoryPlan& plan, Bytes limit);

// What the operating system and the stack's processes hold of the memory that the model is in; 0 of a card's own.
Bytes host_memory(const Machine& machine, const MemoryPolicy& policy);

// In use by a stack whose pool is a share of all memory (PoolRule::OfTotal), whatever it serves.
// Requires such a stack.
Bytes in_use_of_share(const Machine& machine, const MemoryPolicy& policy, double share);

// KV of one sequence of so many tokens.
Bytes kv_of_sequence(const Footprint& model, std::int64_t context);
// KV of one token as a paged pool counts it: kinds of layers in groups of one size, each group with
// its own blocks (vLLM's hybrid KV cache manager), so windows do not make it smaller.
Bytes kv_of_pool_token(const Footprint& model);

// Bytes of the weights in their formats; every weight once.
Bytes weight_bytes(const ModelConfig& model, const WeightFormat& weights);
// Cache and recurrent state of one sequence; a windowed layer keeps at most its window.
Bytes kv_bytes(const ModelConfig& model, DType kv, std::int64_t context);

}  // namespace tinderbox
