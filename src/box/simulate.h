// Traffic against a modelled box in virtual time: the same scheduler and loop as the server, the
// twin as executor.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "box/body_executor.h"
#include "box/box_watch.h"
#include "box/disaggregate.h"
#include "box/report.h"
#include "box/router.h"
#include "box/workload.h"
#include "twin/step_model.h"

namespace tinderbox {

// Boxes of two roles in place of `boxes` alike.
struct Disaggregation {
  std::int64_t n_prefill = 1, n_decode = 1;
  std::optional<BytesPerSecond> bandwidth = {};  // of the KV's way, in place of the link's curve
  bool layerwise = false;  // KV is sent while later layers and chunks are computed, not once the prompt is in
  const StepModel* decode = nullptr;  // of those that generate, if they are another machine; must outlive the run
};

struct SimulateOptions {
  WorkloadOptions workload = {};
  std::int64_t users =
      0;  // > 0: closed loop of so many users; the workload's rate and burstiness play no part
  // Of an open loop: a client that keeps at most so many under way, and the others back (box/capped_arrivals.h).
  std::optional<std::int64_t> in_flight_max = {};
  // In place of the stack's limits, and of the KV that is safe on the machine.
  std::optional<std::int64_t> step_tokens_max = {}, sequences_max = {}, kv_tokens = {};
  std::optional<std::string> policy = {};  // a name of sched/policy.h in place of the stack's
  std::optional<bool> prefix_cache = {};   // in place of the policy's
  bool fair = false;                       // between keys
  Slo slo = {};
  std::function<void(const RequestTimes&)> on_finished = {};
  WatchBox watch = {};
  std::optional<BodyOptions> body = {};  // power, heat and faults; without: a healthy cool box
  std::int64_t boxes = 1;                    // alike, behind a router
  RouterPolicy routing = RouterPolicy::RoundRobin;
  std::int64_t faulty_boxes = std::numeric_limits<std::int64_t>::max();  // faults befall the first so many
  std::optional<Disaggregation> disaggregation = {};
  int n_threads = 0;      // of many boxes: 0: all processors; the result is the same
  std::int64_t exact_max = kExactMax;  // of one box: samples up to which percentiles are exact
  bool by_steps = false;  // one step after the other, for tests: the result is the same
};

struct SimulationResult {
  Report report;
  Limits limits;  // as used
  std::int32_t kv_block_tokens = 0;
  Policy policy = {};
  std::optional<BodyReport> body = {};
  std::vector<Report> boxes = {};  // of each, if there are several
  std::optional<TransferReport> transfers = {};  // between boxes of two roles
  std::int64_t unanswered = 0;  // never taken in: the box answered nothing any more
};

// Called now and then with the requests over so far.
using Progress = std::function<void(std::int64_t n_over, std::int64_t n_requests)>;

// Nothing is refused: the queue holds everyone. Throws Error::Invalid naming the option that is out
// of range, Error::TooLarge with the numbers if the longest request exceeds the model's context or
// the machine's memory.
SimulationResult simulate(const StepModel& model, const SimulateOptions& options,
                          const Progress& progress = {});

// A new box's scheduler, limits, KV and policy as the options and the stack have them. Throws as simulate() does.
Scheduler scheduler_of(const StepModel& model, const SimulateOptions& options);
FleetOptions fleet_of(const StepModel& model, const SimulateOptions& options, const Limits& limits);
// What users meet of the model on a box with this scheduler.
UserSide user_side(const StepModel& model, const Scheduler& scheduler);
// models: one for each share of the mix. Throws as simulate() does.
Traffic traffic_of(const SimulateOptions& options, const std::vector<UserSide>& models);
// Tells progress about every hundredth request; nothing if there is nobody to tell.
std::function<void(std::int64_t)> told_of(const Progress& progress, std::int64_t n_requests);

// Of boxes that are alike: their sums, and the worst of them. Requires that there are some.
BodyReport all_of(const std::vector<BodyReport>& bodies);
nlohmann::ordered_json boxes_json(const std::vector<Report>& boxes);
std::string boxes_line(const std::vector<Report>& boxes);

// Keys of report_json() and the limits, in one flat object; the table for people.
nlohmann::ordered_json simulation_json(const SimulationResult& result);
std::string simulation_table(const SimulationResult& result);

}  // namespace tinderbox
