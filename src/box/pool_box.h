// A box with several models in one memory (sched/model_pool.h): each has a scheduler, prices and a loop of its own
// (box/fleet_box.h), in the box's virtual time and on its one body. The device works on one step at a time: of those
// with something to do, whoever has had least of its time goes next, as programs take turns on a GPU. Requests for a
// model that is not there wait for it; what a model has kept of prompts goes with it when it gives way.
//
// While the box answers nothing (box/outages.h) its models stay, and who waits for one goes on waiting.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "box/fleet_box.h"
#include "sched/model_pool.h"

namespace tinderbox {

struct PoolMember {
  const StepModel* model = nullptr;  // must outlive the run
  Scheduler scheduler;               // a new one
  ModelPool::Model memory{};
  std::int64_t kv_block_bytes = 0;
};

// What each box holds: models of requests 0, 1, ... .
struct PoolContents {
  std::vector<PoolMember> members;
  std::int64_t bytes = 0;  // for all
  Duration keep_alive = Duration::max();
};

class PoolBox {
 public:
  // tables: of each model's prices; contents and these must outlive this. Of contents requires what ModelPool does.
  // i: of its fleet. source: told of what happens, if not null.
  PoolBox(const PoolContents& contents, std::span<StepTable> tables, const FleetOptions& options, std::size_t i,
          Observer* source);

  // As of FleetBox.
  void take(Request request) { inbox_.push(request.arrival, Command(std::move(request))); }
  std::size_t n_inbox() const { return inbox_.size(); }
  void advance(TimePoint until) {
    while (go_on(until)) {
    }
  }
  void advance_once(TimePoint until) { go_on(until); }
  TimePoint next() const;
  BoxView view(TimePoint now, std::int32_t model);

  // The end of its last step.
  TimePoint now() const;
  BodyExecutor* body() { return seats_.front().box->body(); }
  const Recorder& recorder(std::size_t model) const { return seats_[model].box->recorder(); }
  const ModelPool& pool() const { return pool_; }

 private:
  struct Seat {
    std::unique_ptr<FleetBox> box;
    std::vector<Request> waiting;  // for the model to be loaded
    bool works = false;            // has something to do
    Duration served{};             // of the device's time, on the scale on which turns are compared
  };

  // One step or run of steps that begins before `until`, or the time up to what comes next. false: nothing does.
  bool go_on(TimePoint until);
  void settle(TimePoint now);
  void receive(Request request);
  void give(Seat& seat, Request request, TimePoint now);
  std::optional<std::size_t> choose() const;
  void work(std::size_t i, TimePoint until);
  void pass(TimePoint to, const Seat* worked);

  const PoolContents& contents_;
  ModelPool pool_;
  Inbox inbox_;
  std::vector<Seat> seats_;
  TimePoint now_{};
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
  FleetResult fleet;
  std::vector<PoolRow> models;              // of all boxes together
  std::int64_t bytes = 0, bytes_peak = 0;  // of a box, and of the fullest
};

// As run_fleet().
PoolResult run_pool(const PoolContents& contents, const FleetOptions& options, const MakeTraffic& make,
                    const std::function<void(std::int64_t)>& progress = {});

}  // namespace tinderbox
