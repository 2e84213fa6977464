// What a client reads of GET /box/state: the box at one moment. Of a server older or newer than this program a field
// may be missing: a number is then not known (NaN), a text or a list empty.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tinderbox {

inline constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();

struct BoxState {
  struct Model {
    std::string id, weights, state;
    bool weightless = false, pinned = false;
    double context_max = kNotKnown, memory_bytes = kNotKnown, running = kNotKnown, waiting = kNotKnown;
  };
  struct Traffic {
    double running = kNotKnown, waiting = kNotKnown, kv_ratio = kNotKnown;
    double prompt_tokens_total = kNotKnown, generated_tokens_total = kNotKnown;
    double prompt_tokens_per_s = kNotKnown, generated_tokens_per_s = kNotKnown;
    double requests_total = kNotKnown, refused_total = kNotKnown, preemptions_total = kNotKnown;
    double lateness_s_total = kNotKnown;
  };
  struct Memory {
    double total_bytes = kNotKnown, safe_bytes = kNotKnown;
    double weights_bytes = kNotKnown, kv_bytes = kNotKnown, kv_used_bytes = kNotKnown, runtime_bytes = kNotKnown;
    double page_cache_bytes = kNotKnown, free_bytes = kNotKnown;
  };
  using Named = std::vector<std::pair<std::string, double>>;  // in the document's order
  struct Sensors {
    double gpu_c = kNotKnown, gpu_w_shown = kNotKnown, sm_clock_hz = kNotKnown, gpu_utilisation = kNotKnown;
    double fan_ratio = kNotKnown, wall_w = kNotKnown, energy_j_total = kNotKnown;
    std::vector<double> zones_c;
    Named rails_w, nodes_c;
    std::string limit;
    std::vector<std::string> not_available;  // fields of nvidia-smi that the real machine answers with N/A
  };
  struct Computer {
    double cpu_ratio = kNotKnown, rss_bytes = kNotKnown, memory_total_bytes = kNotKnown;
    double memory_available_bytes = kNotKnown;
  };
  struct Fault {
    std::string name;
    double from_unix = kNotKnown, until_unix = kNotKnown;
  };
  struct Request {
    std::string id, model, key, state;
    double age_s = kNotKnown, prompt_tokens = kNotKnown, generated_tokens = kNotKnown;
  };

  double at_unix = kNotKnown, uptime_s = kNotKnown;
  std::string version, machine_name;  // machine_name empty: this computer itself
  double nodes = kNotKnown, ambient_c = kNotKnown;
  bool down = false;
  std::vector<std::string> modelled, measured;
  std::vector<Model> models;
  Traffic traffic;
  std::optional<Memory> memory;
  std::optional<Sensors> sensors;
  Computer computer;
  std::vector<Fault> faults;
  std::vector<Request> requests;
};

// Throws Error::Invalid naming the field if the text is no JSON object or a field has another type.
BoxState parse_box_state(std::string_view json);

}  // namespace tinderbox
