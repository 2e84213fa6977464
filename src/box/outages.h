// A box that at times answers nothing, between it and its traffic: what is under way when an outage
// begins is lost (cancelled), what comes meanwhile waits for its end, and may wait for ever.
#pragma once

#include <vector>

#include "box/body_executor.h"
#include "box/loop.h"

namespace tinderbox {

class Outages final : public Arrivals, public Observer {
 public:
  // All must outlive this; scheduler: whose requests these are. Put it among the loop's observers.
  Outages(Arrivals& inner, const BodyExecutor& box, const Scheduler& scheduler)
      : inner_(inner), box_(box), scheduler_(scheduler) {}

  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;
  bool wait(Clock& clock) override;

  void on_step(const Step&, TimePoint, const StepResult& result, const Scheduler&) override {
    now_ = result.end;
  }
  void on_run(const StepRun&, TimePoint, const RunTimes& times, const Scheduler&) override {
    now_ = times.end;
  }

  std::int64_t n_lost() const { return n_lost_; }

 private:
  Arrivals& inner_;
  const BodyExecutor& box_;
  const Scheduler& scheduler_;
  TimePoint now_{};
  std::int64_t n_lost_ = 0;
};

}  // namespace tinderbox
