#include "box/loop.h"

#include <algorithm>

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

void run_loop(Scheduler& scheduler, Executor& executor, Arrivals& arrivals, Clock& clock,
              Observer& observer) {
  Step step;
  std::vector<TokenEvent> events;
  TimePoint now = clock.now();
  for (;;) {
    for (Command& command : arrivals.take(now)) apply(command, scheduler, observer, now);
    scheduler.schedule(step);
    if (step.items.empty()) {
      if (!arrivals.wait(clock)) return;
      now = std::max(now, clock.now());
      continue;
    }
    const StepResult result = executor.run(step, now);
    CHECK(result.end >= now);
    clock.wait_until(result.end);
    observer.on_step(step, now, result, scheduler);
    now = result.end;
    events.clear();
    scheduler.complete(step, result.sampled, events);
    for (const TokenEvent& event : events) observer.on_token(event, now);
  }
}

}  // namespace tinderbox
