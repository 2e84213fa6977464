// `simulate` of several models in one memory (box/pool_box.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "box/pool_box.h"
#include "box/simulate.h"

namespace tinderbox {

struct PoolOptions {
  std::vector<double> mix = {};   // of the requests, model by model, in proportion; empty: even
  std::vector<bool> pinned = {};  // that are there from the beginning and stay; empty: none
  std::optional<Seconds> keep_alive = {};           // who rests so long is unloaded; none: nobody
  std::optional<BytesPerSecond> load_rate = {};     // of weights; none: what the machine's drive reads
};

struct PoolSimulation {
  PoolResult result;
  std::vector<std::int64_t> kv_tokens = {};  // of each model
  std::optional<BodyReport> body = {};
  std::int64_t unanswered = 0;  // never taken in
};

// All on one machine by their stacks; boxes, bodies, traffic, watches as of simulate(). KV of each: options.kv_tokens,
// if given; otherwise, if all fit at once with a longest request each, what its limits can need, at most an even share
// of what the rest leaves; otherwise what it would have alone, so that they take turns. Throws as simulate() does,
// Error::Invalid for a mix or pins that do not belong to the models and for options of other runs, Error::TooLarge if
// the pinned models leave no room for another.
PoolSimulation simulate_pool(const std::vector<std::shared_ptr<const StepModel>>& models,
                             const SimulateOptions& options, const PoolOptions& pool, const Progress& progress = {});

nlohmann::ordered_json pool_json(const PoolSimulation& simulation);
std::string pool_table(const PoolSimulation& simulation);

}  // namespace tinderbox
