// The whole product's control flow: one thread, one scheduler, one executor, one clock.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "box/executor.h"
#include "sched/scheduler.h"

namespace tinderbox {

// A trace, a generator, or the HTTP mailbox.
class Arrivals {
 public:
  virtual ~Arrivals() = default;
  // Everything that has arrived by now, in order.
  virtual std::vector<Command> take(TimePoint now) = 0;
  // Nothing arrives before then unless a sequence ends first.
  virtual TimePoint next() const { return TimePoint::min(); }
  // Returns when more may have arrived; false: never again. As it stands, for sources that know what comes next.
  virtual bool wait(Clock& clock) {
    const TimePoint at = next();
    if (at == TimePoint::max()) return false;
    clock.wait_until(at);
    return true;
  }
  // Takes nothing until then: returns at that time, or with false if this box is not to run again before.
  virtual bool pause(Clock& clock, TimePoint until) {
    if (until == TimePoint::max()) return false;
    clock.wait_until(until);
    return true;
  }
};

// Requests that a model has while the device is not its own.
struct Inside {
  std::int64_t running = 0, waiting = 0;        // waiting: also for the model itself
  std::int64_t kv_blocks = 0, kv_blocks_all = 1;  // in use; of the model
};

// Who is told what happens. Called from the box thread; must not block.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_admission(const Request&, Admission, TimePoint) {}
  // Before the step's tokens are given out.
  virtual void on_step(const Step&, TimePoint /*start*/, const StepResult&, const Scheduler&) {}
  virtual void on_token(const TokenEvent&, TimePoint) {}
  // Of executors that take runs, in place of on_step; of no step if all there is to tell is who was preempted.
  // on_token then tells only the tokens that runs do not count: those of prompts; and, though counted, the last ones
  // of sequences.
  virtual void on_run(const StepRun&, TimePoint /*start*/, const RunTimes&, const Scheduler&) {}
  // Of a box with several models: what was inside meanwhile, when it was another one's turn, or this was being loaded.
  virtual void on_wait(TimePoint /*from*/, TimePoint /*to*/, const Inside&) {}
};

// Tells several observers, in order.
class ObserverList final : public Observer {
 public:
  explicit ObserverList(std::vector<Observer*> observers) : observers_(std::move(observers)) {}
  void add(Observer& observer) { observers_.push_back(&observer); }
  void add_first(Observer& observer) { observers_.insert(observers_.begin(), &observer); }
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override;
  void on_token(const TokenEvent& event, TimePoint now) override;
  void on_run(const StepRun& run, TimePoint start, const RunTimes& times,
              const Scheduler& scheduler) override;
  void on_wait(TimePoint from, TimePoint to, const Inside& inside) override;

 private:
  std::vector<Observer*> observers_;
};

// Commands are applied at step boundaries, in order; the last event of a sequence that is cancelled,
// or whose deadline has come, follows at once. The box's time goes from step end to step end
// (StepResult::end), not by what the clock says after waiting, so that oversleeping does not
// accumulate; after idling it is the clock's. Where the policy schedules ahead, a request that comes during a
// step misses the next one, too, which was scheduled when that step began. Executors that take runs are given
// steps many at once.
class Loop {
 public:
  // All must outlive this.
  Loop(Scheduler& scheduler, Executor& executor, Arrivals& arrivals, Clock& clock, Observer& observer);

  // Until arrivals end and the scheduler is idle.
  void run();
  // In virtual time: every step that begins before `until`. Then now() >= until, or nothing is to be
  // done before it.
  void advance(TimePoint until);
  // One step of that, or one run of steps, which ends with the first answer that does; one step if one ended before
  // it, because whoever is told may do something about it. false: there is none.
  bool advance_once(TimePoint until);
  TimePoint now() const { return now_; }
  // It was not this one's turn before.
  void resume(TimePoint at) { now_ = std::max(now_, at); }
  // Have come, and are not yet the scheduler's.
  std::int64_t n_held() const { return std::ssize(held_); }
  // When something is to be done next; TimePoint::max(): nothing that is known of.
  TimePoint next() const;

 private:
  // Takes what has arrived, ends what is past its deadline; returns when there is more of either.
  TimePoint take();
  void apply_held();
  void expire();
  // One step, or a run of them up to `until`: when it was over; nothing if there is nothing to run.
  std::optional<TimePoint> step(TimePoint until);

  Scheduler& scheduler_;
  Executor& executor_;
  Arrivals& arrivals_;
  Clock& clock_;
  Observer& observer_;
  TimePoint now_;
  std::vector<Command> held_;  // came too late for the step that begins
  bool told_end_ = false;  // by the last take()
  // Used again and again.
  Step step_;
  StepRun run_;
  RunTimes times_;
  std::vector<TokenEvent> events_;
};

void run_loop(Scheduler& scheduler, Executor& executor, Arrivals& arrivals, Clock& clock,
              Observer& observer);

}  // namespace tinderbox
