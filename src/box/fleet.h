// Several boxes behind a router: each is a scheduler, an executor and a loop of its own in the same
// virtual time; requests come from one source. Where the router looks at no box, they are simulated
// on all processors, with the same result for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "box/body_executor.h"
#include "box/box_watch.h"
#include "box/outages.h"
#include "box/report.h"
#include "box/router.h"
#include "box/workload.h"
#include "sched/scheduler.h"
#include "twin/step_model.h"

namespace tinderbox {

struct FleetOptions {
  std::size_t n_boxes = 1;
  RouterPolicy routing = RouterPolicy::RoundRobin;
  std::uint64_t seed = 0;
  int n_threads = 0;  // 0: all processors
  std::optional<BodyOptions> body = {};
  std::size_t n_faulty = std::numeric_limits<std::size_t>::max();  // its faults befall the first so many boxes
  std::int64_t knee = 1;  // of RouterPolicy::PowerAware
  Duration request_time{};
  Slo slo = {};
  std::int64_t exact_max = kExactMax;  // samples that a box keeps, see Durations
  std::function<void(const RequestTimes&)> on_finished = {};  // given: one thread
  WatchBox watch = {};                                        // likewise
  std::int64_t n_keys = 1;
  bool by_steps = false;
};

// Requests of so many tokens that a box works on together in at most half as much time again as on one for each token
// of an answer, prompts of the others included.
std::int64_t knee_of(const StepModel& model, std::int64_t prompt, std::int64_t gen, std::int64_t sequences_max);

// Of this box.
std::optional<BodyOptions> body_of(const FleetOptions& options, std::size_t box);

struct FleetResult {
  Report report;              // of all
  std::vector<Report> boxes;  // of each
  std::vector<BodyReport> bodies;
};

// scheduler: a new box's. make: what comes; of traffic that depends on no answers and boxes that nobody looks at, each
// thread makes its own. progress: told of the requests that have come.
FleetResult run_fleet(const StepModel& model, const Scheduler& scheduler, const FleetOptions& options,
                      const MakeTraffic& make, const std::function<void(std::int64_t)>& progress = {});

}  // namespace tinderbox
