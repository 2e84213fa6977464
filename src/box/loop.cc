#include "box/loop.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace tinderbox {
namespace {

void apply(Command& command, Scheduler& scheduler, Observer& observer, TimePoint now) {
  if (const Request* request = std::get_if<Request>(&command)) {
    observer.on_admission(*request, scheduler.submit(*request), now);
  } else if (scheduler.cancel(std::get<Cancel>(command).id)) {
    for (const TokenEvent& event : scheduler.take_cancelled()) observer.on_token(event, now);
  }
}

}  // namespace

void ObserverList::on_admission(const Request& request, Admission admission, TimePoint now) {
  for (Observer* o : observers_) o->on_admission(request, admission, now);
}

void ObserverList::on_step(const Step& step, TimePoint start, const StepResult& result,
                           const Scheduler& scheduler) {
  for (Observer* o : observers_) o->on_step(step, start, result, scheduler);
}

void ObserverList::on_token(const TokenEvent& event, TimePoint now) {
  for (Observer* o : observers_) o->on_token(event, now);
}

void ObserverList::on_run(const StepRun& run, TimePoint start, const RunTimes& times,
                          const Scheduler& scheduler) {
  for (Observer* o : observers_) o->on_run(run, start, times, scheduler);
}

namespace {

// One step, or a run of them; its memory is used again.
class Stepper {
 public:
  Stepper(Scheduler& scheduler, Executor& executor, Clock& clock, Observer& observer)
      : scheduler_(scheduler), executor_(executor), clock_(clock), observer_(observer) {}

  // When it was over; nothing if there is nothing to run.
  std::optional<TimePoint> step(TimePoint now) {
    scheduler_.schedule(step_);
    if (step_.items.empty()) return std::nullopt;
    const StepResult result = executor_.run(step_, now);
    CHECK(result.end >= now);
    clock_.wait_until(result.end);
    observer_.on_step(step_, now, result, scheduler_);
    events_.clear();
    scheduler_.complete(step_, result.sampled, events_);
    for (const TokenEvent& event : events_) observer_.on_token(event, result.end);
    return result.end;
  }

  std::optional<TimePoint> run(TimePoint now, TimePoint until) {
    scheduler_.schedule_run(run_);
    if (run_.n_steps == 0) return std::nullopt;
    executor_.run(run_, now, until, times_);
    CHECK(times_.end >= now);
    scheduler_.hold_run(run_, times_.n_steps);
    clock_.wait_until(times_.end);
    observer_.on_run(run_, now, times_, scheduler_);
    events_.clear();
    scheduler_.complete_run(run_, events_);
    for (const TokenEvent& event : events_) observer_.on_token(event, times_.end);
    return times_.end;
  }

 private:
  Scheduler& scheduler_;
  Executor& executor_;
  Clock& clock_;
  Observer& observer_;
  Step step_;
  StepRun run_;
  RunTimes times_;
  std::vector<TokenEvent> events_;
};

}  // namespace

void run_loop(Scheduler& scheduler, Executor& executor, Arrivals& arrivals, Clock& clock,
              Observer& observer) {
  Stepper stepper(scheduler, executor, clock, observer);
  TimePoint now = clock.now();
  for (;;) {
    TimePoint next = arrivals.next();
    if (next <= now) {
      for (Command& command : arrivals.take(now)) apply(command, scheduler, observer, now);
      next = arrivals.next();
    }
    if (scheduler.next_deadline() <= now) {
      scheduler.expire(now);
      for (const TokenEvent& event : scheduler.take_cancelled()) observer.on_token(event, now);
    }
    next = std::min(next, scheduler.next_deadline());
    const auto end = executor.takes_runs() ? stepper.run(now, next) : stepper.step(now);
    if (end) {
      now = *end;
    } else if (arrivals.wait(clock)) {
      now = std::max(now, clock.now());
    } else {
      return;
    }
  }
}

}  // namespace tinderbox
