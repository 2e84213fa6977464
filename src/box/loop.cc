#include "box/loop.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace tinderbox {
namespace {

// true: somebody was told of an end.
bool apply(Command& command, Scheduler& scheduler, Observer& observer, TimePoint now) {
  if (const Request* request = std::get_if<Request>(&command)) {
    const Admission admission = scheduler.submit(*request);
    observer.on_admission(*request, admission, now);
    return admission != Admission::Accepted;
  }
  if (const Release* release = std::get_if<Release>(&command)) {
    scheduler.release(release->id);
    return false;
  }
  if (!scheduler.cancel(std::get<Cancel>(command).id)) return false;
  for (const TokenEvent& event : scheduler.take_cancelled()) observer.on_token(event, now);
  return true;
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

void ObserverList::on_wait(TimePoint from, TimePoint to, const Inside& inside) {
  for (Observer* o : observers_) o->on_wait(from, to, inside);
}

Loop::Loop(Scheduler& scheduler, Executor& executor, Arrivals& arrivals, Clock& clock, Observer& observer)
    : scheduler_(scheduler),
      executor_(executor),
      arrivals_(arrivals),
      clock_(clock),
      observer_(observer),
      now_(clock.now()) {}

void Loop::apply_held() {
  for (Command& command : held_) told_end_ |= apply(command, scheduler_, observer_, now_);
  held_.clear();
}

void Loop::expire() {
  if (scheduler_.next_deadline() > now_) return;
  told_end_ = true;
  scheduler_.expire(now_);
  for (const TokenEvent& event : scheduler_.take_cancelled()) observer_.on_token(event, now_);
}

TimePoint Loop::take() {
  told_end_ = false;
  apply_held();
  if (arrivals_.next() <= now_) {
    for (Command& command : arrivals_.take(now_)) {
      // A cancellation is heeded at once, after what it may be of.
      const bool held = std::holds_alternative<Request>(command) && scheduler_.policy().ahead;
      held_.push_back(std::move(command));
      if (!held) apply_held();
    }
  }
  expire();
  if (scheduler_.idle() && !held_.empty()) {
    apply_held();
    expire();
  }
  if (!held_.empty()) return now_;  // for one step
  // Whoever was given up may ask anew: what comes next is known only now.
  return std::min(arrivals_.next(), scheduler_.next_deadline());
}

std::optional<TimePoint> Loop::step(TimePoint until) {
  events_.clear();
  if (!executor_.takes_runs()) {
    scheduler_.schedule(step_);
    if (step_.items.empty()) return std::nullopt;
    const StepResult result = executor_.run(step_, now_);
    CHECK(result.end >= now_);
    clock_.wait_until(result.end);
    observer_.on_step(step_, now_, result, scheduler_);
    scheduler_.complete(step_, result.sampled, events_);
    for (const TokenEvent& event : events_) observer_.on_token(event, result.end);
    return result.end;
  }
  scheduler_.schedule_run(run_);
  if (run_.n_steps == 0) {
    times_ = {.pieces = {}, .n_steps = 0, .end = now_};
    if (!run_.preempted.empty()) observer_.on_run(run_, now_, times_, scheduler_);
    return std::nullopt;
  }
  executor_.run(run_, now_, until, times_);
  CHECK(times_.end >= now_);
  scheduler_.hold_run(run_, times_.n_steps);
  clock_.wait_until(times_.end);
  observer_.on_run(run_, now_, times_, scheduler_);
  scheduler_.complete_run(run_, events_);
  for (const TokenEvent& event : events_) observer_.on_token(event, times_.end);
  return times_.end;
}

void Loop::run() {
  for (;;) {
    const TimePoint next = take();
    if (const auto end = step(next)) {
      now_ = *end;
    } else if (!held_.empty()) {
      continue;  // nothing can run before they are in
    } else if (arrivals_.wait(clock_)) {
      now_ = std::max(now_, clock_.now());
    } else {
      return;
    }
  }
}

bool Loop::advance_once(TimePoint until) {
  if (now_ >= until) return false;
  const TimePoint next = take();
  if (const auto end = step(told_end_ ? now_ + Duration(1) : std::min(next, until))) {
    now_ = *end;
    return true;
  }
  if (next >= until) return false;
  now_ = std::max(now_, next);
  return true;
}

void Loop::advance(TimePoint until) {
  while (advance_once(until)) {
  }
}

TimePoint Loop::next() const {
  if (!scheduler_.idle() || !held_.empty()) return now_;
  const TimePoint next = arrivals_.next();
  return next == TimePoint::max() ? next : std::max(now_, next);
}

void run_loop(Scheduler& scheduler, Executor& executor, Arrivals& arrivals, Clock& clock,
              Observer& observer) {
  Loop(scheduler, executor, arrivals, clock, observer).run();
}

}  // namespace tinderbox
