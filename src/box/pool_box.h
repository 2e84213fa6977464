// A box with several models in one memory (sched/model_pool.h): each has a scheduler, prices and a loop of its own, in
// the box's virtual time. The device works on one step at a time: of those with something to do, whoever has had least
// of its time goes next, as programs take turns on a GPU. Requests for a model that is not there wait for it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "box/fleet.h"
#include "sched/model_pool.h"

namespace tinderbox {

struct PoolMember {
  const StepModel* model = nullptr;  // must outlive the run
  Scheduler scheduler;               // a new one
  double share = 1;                  // of the requests, in proportion
  ModelPool::Model memory{};
};

struct PoolRow {
  std::string model, weights;
  Report report;
  std::int64_t bytes = 0;
  bool pinned = false;
  ModelPool::Counters counters{};
  Seconds load;  // each time
};

struct PoolResult {
  Report report;  // of all
  std::vector<PoolRow> models;
  std::int64_t bytes = 0, bytes_peak = 0;
};

// Whose a request is, is drawn by the shares and options.seed. listener: told of what happens, if not null. Of options,
// n_boxes, routing, threads, bodies and watches play no part. Requires what ModelPool does.
PoolResult run_pool(std::vector<PoolMember> members, std::int64_t bytes, Duration keep_alive,
                    const FleetOptions& options, Arrivals& source, Observer* listener,
                    const std::function<void(std::int64_t)>& progress = {});

}  // namespace tinderbox
