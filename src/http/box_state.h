// What the box is like at a moment, as one JSON document: models, traffic, memory by owner, sensors, faults, requests
// in flight. The page, `tinderbox top` and scripts read it; names carry their base unit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "box/serving_box.h"
#include "http/roster.h"

namespace tinderbox {

// Who holds memory, in bytes; of the modelled machine, or of this computer.
struct MemoryUse {
  double total = 0, safe = 0, weights = 0, kv = 0, kv_used = 0, runtime = 0, page_cache = 0;
  double free() const { return std::max(0.0, total - weights - kv - runtime - page_cache); }
};

// This computer, which runs the server.
struct ComputerLoad {
  double cpu_ratio = 0;  // of all processors, in the last second
  double rss = 0, memory_total = 0, memory_available = 0;
};

struct BoxFacts {  // that do not change
  std::string version;
  std::string as = {}, machine_name = {};  // of the modelled machine; empty: none
  int nodes = 1;
  std::optional<double> ambient_c = {};
  bool freeze = false, weightless = false;
};

struct BoxMoment {
  double at_unix = 0, uptime_s = 0;
  BoxStatus box;
  double prompt_tokens_per_s = 0, generated_tokens_per_s = 0;
  MemoryUse memory;
  std::optional<Sensors> sensors;
  std::vector<FaultEvent> faults;  // active or to come
  ComputerLoad computer;
};

// key_name: of a request's key; empty: nobody's.
std::string state_json(const BoxFacts& facts, const Roster& roster, const BoxMoment& state,
                       const std::function<std::string(std::uint64_t)>& key_name);

// The same in short, for a history of it: names as in the document's "series".
std::vector<std::pair<std::string_view, double>> state_sample(const BoxMoment& state);

// One model's entry in "models", without traffic.
std::string_view pool_state_name(ModelPool::State state);  // "ready"

}  // namespace tinderbox
