// One box of a fleet, or one model of a box that holds several (box/pool_box.h): a scheduler, an executor, a body if
// asked for, a recorder and a loop in virtual time of its own. What is sent to it waits in its inbox until its time has
// come. Of one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "box/body_executor.h"
#include "box/fleet.h"
#include "box/fleet_loops.h"
#include "box/loop.h"
#include "box/outages.h"
#include "box/report.h"
#include "box/router.h"
#include "box/table_executor.h"

namespace tinderbox {

// What has been sent to a box and not yet taken in, in the order of time.
class Inbox final : public Arrivals {
 public:
  // Requires `at` no earlier than those before.
  void push(TimePoint at, Command command) { commands_.push_back({at, std::move(command)}); }
  std::size_t size() const { return commands_.size() - n_taken_; }
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override {
    return size() == 0 ? TimePoint::max() : commands_[n_taken_].at;
  }

 private:
  struct Timed {
    TimePoint at;
    Command command;
  };
  std::vector<Timed> commands_;
  std::size_t n_taken_ = 0;  // of them
};

class FleetBox {
 public:
  // table: of model's prices, for boxes of one thread to share; both must outlive this. source:
  // told of what happens, if not null. recording: likewise, in place of the recorder. shared: in place of a body of its
  // own, that of the box whose models take turns; or null.
  FleetBox(const StepModel& model, StepTable& table, const Scheduler& fresh,
           const FleetOptions& options, std::optional<BodyOptions> body, Observer* source,
           Observer* recording = nullptr, const std::vector<BoxWatch*>& watches = {}, BodyExecutor* shared = nullptr);

  void take(Request request) { inbox_.push(request.arrival, Command(std::move(request))); }
  void take(TimePoint at, Request request) { inbox_.push(at, Command(std::move(request))); }
  void take(TimePoint at, Release release) { inbox_.push(at, release); }
  std::size_t n_inbox() const { return inbox_.size(); }
  void advance(TimePoint until) {
    loop_.advance(until);
    stalled_ = false;
  }
  // Does nothing before then.
  void resume(TimePoint at) { loop_.resume(at); }
  // One step or run of steps that begins before `until`, if there is one.
  void advance_once(TimePoint until) { stalled_ = !loop_.advance_once(until); }
  // When it has something to do next. One that found nothing it can do waits for what is sent, or a
  // deadline.
  TimePoint next() const;
  // Running, waiting, on their way.
  std::int64_t n_requests() const;
  BoxView view(TimePoint now, std::int32_t model = 0);
  // Others of the box had their turn meanwhile if it is `inside`; n_held of its requests wait for it to be loaded.
  void wait(TimePoint from, TimePoint to, bool inside, std::int64_t n_held);

  Scheduler& scheduler() { return scheduler_; }
  Recorder& recorder() { return recorder_; }
  const Recorder& recorder() const { return recorder_; }
  TimePoint now() const { return clock_.now(); }
  BodyExecutor* body() { return body_; }

 private:
  std::vector<Observer*> observers(Observer* source, Observer* recording, const std::vector<BoxWatch*>& watches);

  Inbox inbox_;
  Scheduler scheduler_;
  TableExecutor executor_;
  std::optional<BodyExecutor> own_body_;
  BodyExecutor* body_ = nullptr;
  Executor* steps_ = &executor_;  // with what a body makes of them
  std::optional<Outages> outages_;
  VirtualClock clock_;
  Recorder recorder_;
  ObserverList observers_;
  Loop loop_;
  bool stalled_ = false;
};

using FleetBoxes = BoxesOf<FleetBox>;
FleetResult result_of(const FleetBoxes& boxes, const FleetOptions& options);

}  // namespace tinderbox
