// The largest load that boxes hold within promised latencies: found by halving, with the same
// requests at every rate, and again with other seeds for how sure it is. Near saturation latencies
// grow without bound and a single run says little, so the answer is a range.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "box/load_margin.h"
#include "box/simulate.h"
#include "box/time_chart.h"

namespace tinderbox {

// What grows until the promise breaks.
enum class LoadKind : std::uint8_t { Rate, Users, TraceSpeed };

struct CapacityOptions {
  SimulateOptions simulation = {};  // its SLO is the promise; its load is where the search begins
  LoadKind kind = LoadKind::Rate;
  double share = 0.99;  // of the requests that must be within the SLO
  int seeds = 3;        // the simulation's and the next ones
};

struct CapacityPoint {
  double load = 0;
  Report report;
  double good_share = 0;
};

struct Capacity {
  std::int64_t boxes = 1;
  bool reachable = true;  // even by a box that has one request at a time
  double load = 0, low = 0,
         high =
             0;  // median, least and most of the seeds; requests/s, users or times the trace's pace
  // Of that load: requests end, so a patient promise can be held above what boxes sustain.
  LoadMargin margin = {.why_not = "no load is within the promise"};
  std::vector<CapacityPoint> curve =
      {};  // of the first seed, up to the capacity; or the lightest load alone
};

using CapacityProgress = std::function<void(const std::string&)>;

// Throws Error::Invalid for an SLO that promises nothing, a share outside (0, 1], or seeds below 1;
// as simulate().
Capacity capacity(const StepModel& model, const CapacityOptions& options,
                  const CapacityProgress& progress = {});

// The least number of boxes, up to boxes_max, that hold the simulation's load; 0: not so many do.
std::int64_t boxes_needed(const StepModel& model, const CapacityOptions& options,
                          std::int64_t boxes_max, const CapacityProgress& progress = {});

std::string_view load_unit(LoadKind kind);  // "requests/s"
std::string capacity_table(const CapacityOptions& options, const Capacity& capacity);
nlohmann::ordered_json capacity_json(const CapacityOptions& options, const Capacity& capacity);
std::string capacity_csv(const std::vector<Capacity>& capacities);
TimeChart capacity_chart(const CapacityOptions& options, const std::vector<Capacity>& capacities,
                         const std::string& subtitle);

}  // namespace tinderbox
