#include "box/fleet.h"

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "base/thread_pool.h"
#include "box/table_executor.h"

namespace tinderbox {
namespace {

// What the router has sent to a box and the box has not yet taken.
class Inbox final : public Arrivals {
 public:
  void push(Request request) { requests_.push_back(std::move(request)); }
  std::size_t size() const { return requests_.size(); }
  std::vector<Command> take(TimePoint now) override {
    std::vector<Command> out;
    for (; !requests_.empty() && requests_.front().arrival <= now; requests_.pop_front()) {
      out.emplace_back(std::move(requests_.front()));
    }
    return out;
  }
  TimePoint next() const override {
    return requests_.empty() ? TimePoint::max() : requests_.front().arrival;
  }
  bool wait(Clock& clock) override {
    if (requests_.empty()) return false;
    clock.wait_until(next());
    return true;
  }

 private:
  std::deque<Request> requests_;
};

class Box {
 public:
  Box(const StepModel& model, const Scheduler& fresh, const FleetOptions& options, Observer* source,
      const std::vector<BoxWatch*>& watches)
      : scheduler_(fresh),
        executor_(model, options.by_steps),
        recorder_(options.request_time, options.slo, options.on_finished, options.n_keys),
        observers_(observers(model, options, source, watches)),
        loop_(scheduler_, body_ ? static_cast<Executor&>(*body_) : executor_,
              outages_ ? static_cast<Arrivals&>(*outages_) : inbox_, clock_, observers_) {}

  void take(Request request) { inbox_.push(std::move(request)); }
  void advance(TimePoint until) { loop_.advance(until); }
  void advance_once(TimePoint until) { loop_.advance_once(until); }
  TimePoint next() const { return loop_.next(); }
  BoxView view() const {
    const KvPool& kv = scheduler_.kv();
    return {.requests = scheduler_.n_running() + scheduler_.n_waiting() +
                        static_cast<std::int64_t>(inbox_.size()),
            .kv_blocks = kv.n_blocks() - kv.n_free()};
  }
  const Recorder& recorder() const { return recorder_; }
  TimePoint now() const { return clock_.now(); }
  BodyExecutor* body() { return body_ ? &*body_ : nullptr; }

 private:
  std::vector<Observer*> observers(const StepModel& model, const FleetOptions& options,
                                   Observer* source, const std::vector<BoxWatch*>& watches) {
    std::vector<Observer*> list = {&recorder_};
    list.insert(list.end(), watches.begin(), watches.end());
    if (options.body) {
      BodyOptions body = *options.body;
      body.on_window = tell_body(std::move(body.on_window), watches);
      body_.emplace(executor_, model, std::move(body));
      list.push_back(&outages_.emplace(inbox_, *body_));
    }
    if (source != nullptr) list.push_back(source);
    return list;
  }

  Inbox inbox_;
  Scheduler scheduler_;
  TableExecutor executor_;
  std::optional<BodyExecutor> body_;
  std::optional<Outages> outages_;
  VirtualClock clock_;
  Recorder recorder_;
  ObserverList observers_;
  Loop loop_;
};

using Boxes = std::vector<std::unique_ptr<Box>>;

Boxes make_boxes(const StepModel& model, const Scheduler& fresh, const FleetOptions& options,
                 Observer* source) {
  CHECK(options.n_boxes >= 1);
  Boxes boxes(options.n_boxes);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const auto watches = options.watch ? options.watch(static_cast<std::int64_t>(i)) : std::vector<BoxWatch*>{};
    boxes[i] = std::make_unique<Box>(model, fresh, options, source, watches);
  }
  return boxes;
}

std::vector<BoxView> views(const Boxes& boxes) {
  std::vector<BoxView> out;
  for (const auto& box : boxes) out.push_back(box->view());
  return out;
}

FleetResult result_of(const Boxes& boxes, const FleetOptions& options) {
  FleetResult out;
  Recorder all(options.request_time, options.slo);
  TimePoint end{};
  for (const auto& box : boxes) end = std::max(end, box->now());
  for (const auto& box : boxes) {
    all.merge(box->recorder());
    out.boxes.push_back(box->recorder().report());
    if (BodyExecutor* body = box->body()) out.bodies.push_back(body->report(end));
  }
  out.report = all.report(std::ssize(boxes));
  return out;
}

// Every box by itself: thread `me` of n looks at all requests and takes those of its own boxes.
void run_blind(Boxes& boxes, const FleetOptions& options, Arrivals& source, std::size_t me,
               std::size_t n, const std::function<void(std::int64_t)>& progress) {
  Router router(options.routing, boxes.size(), options.seed);
  std::int64_t n_come = 0;
  for (TimePoint at = source.next(); at < TimePoint::max(); at = source.next()) {
    for (Command& command : source.take(at)) {
      auto& request = std::get<Request>(command);
      const std::size_t to = router.choose(request, {});
      if (to % n == me) {
        boxes[to]->advance(at);
        boxes[to]->take(std::move(request));
      }
      if (progress && me == 0) progress(++n_come);
    }
  }
  for (std::size_t i = me; i < boxes.size(); i += n) boxes[i]->advance(TimePoint::max());
}

}  // namespace

FleetResult run_fleet(const StepModel& model, const Scheduler& scheduler,
                      const FleetOptions& options, const MakeArrivals& make,
                      const std::function<void(std::int64_t)>& progress) {
  Boxes boxes = make_boxes(model, scheduler, options, nullptr);
  if (is_blind(options.routing)) {
    ThreadPool pool(options.on_finished || options.watch ? 1 : options.n_threads);
    const auto n = static_cast<std::size_t>(pool.n_threads());
    std::vector<std::unique_ptr<Arrivals>> sources;
    for (std::size_t i = 0; i < n; ++i) sources.push_back(make());
    pool.parallel_for(n, 1, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t me = begin; me < end; ++me)
        run_blind(boxes, options, *sources[me], me, n, progress);
    });
    return result_of(boxes, options);
  }
  const std::unique_ptr<Arrivals> source = make();
  Router router(options.routing, boxes.size(), options.seed);
  std::int64_t n_come = 0;
  for (TimePoint at = source->next(); at < TimePoint::max(); at = source->next()) {
    for (auto& box : boxes) box->advance(at);
    for (Command& command : source->take(at)) {
      auto& request = std::get<Request>(command);
      boxes[router.choose(request, views(boxes))]->take(std::move(request));
      if (progress) progress(++n_come);
    }
  }
  for (auto& box : boxes) box->advance(TimePoint::max());
  return result_of(boxes, options);
}

// Answers bring requests: the box that is furthest behind goes first, and no further than the next
// one, so that whatever its answers bring finds the others in a step that began before.
FleetResult run_fleet(const StepModel& model, const Scheduler& scheduler,
                      const FleetOptions& options, ConversationArrivals& source,
                      const std::function<void(std::int64_t)>& progress) {
  Boxes boxes = make_boxes(model, scheduler, options, &source);
  Router router(options.routing, boxes.size(), options.seed);
  std::int64_t n_come = 0;
  for (;;) {
    const TimePoint at = source.next();
    Box* first = nullptr;
    TimePoint next = TimePoint::max(), second = TimePoint::max();
    for (const auto& box : boxes) {
      const TimePoint t = box->next();
      if (t < next) {
        second = next;
        next = t;
        first = box.get();
      } else {
        second = std::min(second, t);
      }
    }
    if (first != nullptr && next < at) {
      first->advance_once(std::min(at, std::max(second, next + Duration(1))));
      continue;
    }
    if (at == TimePoint::max()) break;
    for (Command& command : source.take(at)) {
      auto& request = std::get<Request>(command);
      const std::size_t to =
          router.choose(request, is_blind(options.routing) ? std::vector<BoxView>{} : views(boxes));
      boxes[to]->take(std::move(request));
      if (progress) progress(++n_come);
    }
  }
  return result_of(boxes, options);
}

}  // namespace tinderbox
