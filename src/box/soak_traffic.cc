#include "box/soak_traffic.h"

#include "base/check.h"
#include "base/error.h"
#include "box/outages.h"
#include "box/table_executor.h"

namespace tinderbox {

TrafficSoak soak_traffic(const StepModel& model, const SimulateOptions& options, Duration total, Duration every,
                         const SoakProgress& progress) {
  CHECK(options.body);
  verify(options.workload);
  if (total < std::chrono::seconds(1)) throw_invalid("soak: traffic needs a second at least; give more --minutes");
  Scheduler scheduler = scheduler_of(model, options);
  const Traffic traffic = traffic_of(options, {user_side(model, scheduler)});
  if (traffic.listener != nullptr) {
    throw_invalid("soak: requests of users and conversations wait for answers; give a trace or a rate");
  }
  StepTable table(model);
  TableExecutor executor(table);
  SoakRecorder recorder(std::chrono::ceil<std::chrono::seconds>(every), total);
  const Body* last = nullptr;  // the executor's own
  BodyOptions with = *options.body;
  with.on_window = [&](const Body& body) {
    last = &body;
    if (recorder.see(body) && progress) progress(since_start(body.state().time) / to_seconds(total));
  };
  BodyExecutor body(executor, model, std::move(with));
  recorder.begin(Body(*model.twin().machine.body, options.body->surroundings, options.body->clock_cap));

  Outages outages(*traffic.source, body, scheduler);
  Recorder requests(to_duration(Seconds(model.twin().stack.price.request_time)), options.slo);
  ObserverList observers({&requests, &outages});
  VirtualClock clock;
  Loop(scheduler, body, outages, clock, observers).advance(TimePoint(total));
  const BodyReport end = body.report(TimePoint(total));
  for (const SoakEvent& event : end.events) {
    if (event.what.starts_with("fault ")) recorder.tell(event);
  }
  CHECK(last != nullptr);  // a second is over
  TrafficSoak out{.soak = recorder.finish(*last), .traffic = requests.report()};
  const Report& r = out.traffic;
  out.unanswered = r.submitted - r.refused - r.finished - r.cancelled - r.expired;
  return out;
}

}  // namespace tinderbox
