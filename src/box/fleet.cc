#include "box/fleet.h"

#include <algorithm>

#include "base/check.h"
#include "base/thread_pool.h"
#include "box/fleet_box.h"

namespace tinderbox {
namespace {

// Requests that are kept for a box until it is looked after, so that what it needs is in the processor's cache
// when it is.
constexpr std::size_t kTogether = 64;

// Box i is that of thread i modulo the tables, of which each thread has one.
FleetBoxes make_boxes(const StepModel& model, std::vector<StepTable>& tables, const Scheduler& fresh,
                      const FleetOptions& options, Observer* source) {
  CHECK(options.n_boxes >= 1);
  FleetBoxes boxes(options.n_boxes);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    boxes[i] = std::make_unique<FleetBox>(
        model, tables[i % tables.size()], fresh, options, body_of(options, i), source, nullptr,
        options.watch ? options.watch(static_cast<std::int64_t>(i)) : std::vector<BoxWatch*>{});
  }
  return boxes;
}

std::vector<BoxView> views(const FleetBoxes& boxes, TimePoint now) {
  std::vector<BoxView> out;
  for (const auto& box : boxes) out.push_back(box->view(now));
  return out;
}

// Every box by itself: thread `me` of n looks at all requests and takes those of its own boxes.
void run_blind(const FleetBoxes& boxes, const FleetOptions& options, Arrivals& source, std::size_t me,
               std::size_t n, const std::function<void(std::int64_t)>& progress) {
  Router router(options.routing, boxes.size(), options.seed, options.knee);
  std::int64_t n_come = 0;
  for (TimePoint at = source.next(); at < TimePoint::max(); at = source.next()) {
    for (Command& command : source.take(at)) {
      auto& request = std::get<Request>(command);
      const std::size_t to = router.choose(request, {});
      if (to % n == me) {
        if (boxes[to]->n_inbox() >= kTogether) boxes[to]->advance(at);
        boxes[to]->take(std::move(request));
      }
      if (progress && me == 0) progress(++n_come);
    }
  }
  for (std::size_t i = me; i < boxes.size(); i += n) boxes[i]->advance(TimePoint::max());
}

}  // namespace

std::int64_t knee_of(const StepModel& model, std::int64_t prompt, std::int64_t gen, std::int64_t sequences_max) {
  constexpr double kSlower = 1.5;
  StepTable table(model);
  const auto reading = to_seconds(table.time({.n_prompts = 1, .prompt_tokens = prompt})) / static_cast<double>(gen);
  const auto time = [&](std::int64_t n) {
    return to_seconds(table.decode_time(n, n * (prompt + gen / 2))) + reading * static_cast<double>(n);
  };
  std::int64_t knee = 1;
  while (knee < sequences_max && time(knee + 1) <= kSlower * time(1)) ++knee;
  return knee;
}

std::optional<BodyOptions> body_of(const FleetOptions& options, std::size_t box) {
  std::optional<BodyOptions> body = options.body;
  if (body && box >= options.n_faulty) body->faults.clear();
  return body;
}

FleetResult run_fleet(const StepModel& model, const Scheduler& scheduler,
                      const FleetOptions& options, const MakeArrivals& make,
                      const std::function<void(std::int64_t)>& progress) {
  if (is_blind(options.routing)) {
    ThreadPool pool(options.on_finished || options.watch ? 1 : options.n_threads);
    const auto n = static_cast<std::size_t>(pool.n_threads());
    std::vector<StepTable> tables(n, StepTable(model));
    const FleetBoxes boxes = make_boxes(model, tables, scheduler, options, nullptr);
    std::vector<std::unique_ptr<Arrivals>> sources;
    for (std::size_t i = 0; i < n; ++i) sources.push_back(make());
    pool.parallel_for(n, 1, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t me = begin; me < end; ++me)
        run_blind(boxes, options, *sources[me], me, n, progress);
    });
    return result_of(boxes, options);
  }
  std::vector<StepTable> tables(1, StepTable(model));
  const FleetBoxes boxes = make_boxes(model, tables, scheduler, options, nullptr);
  const std::unique_ptr<Arrivals> source = make();
  Router router(options.routing, boxes.size(), options.seed, options.knee);
  std::int64_t n_come = 0;
  for (TimePoint at = source->next(); at < TimePoint::max(); at = source->next()) {
    for (auto& box : boxes) box->advance(at);
    for (Command& command : source->take(at)) {
      auto& request = std::get<Request>(command);
      boxes[router.choose(request, views(boxes, at))]->take(std::move(request));
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
  std::vector<StepTable> tables(1, StepTable(model));
  const FleetBoxes boxes = make_boxes(model, tables, scheduler, options, &source);
  Router router(options.routing, boxes.size(), options.seed, options.knee);
  std::int64_t n_come = 0;
  for (;;) {
    const TimePoint at = source.next();
    if (advance_last(boxes, at)) continue;
    if (at == TimePoint::max()) break;
    for (Command& command : source.take(at)) {
      auto& request = std::get<Request>(command);
      const std::size_t to =
          router.choose(request, is_blind(options.routing) ? std::vector<BoxView>{} : views(boxes, at));
      boxes[to]->take(std::move(request));
      if (progress) progress(++n_come);
    }
  }
  return result_of(boxes, options);
}

}  // namespace tinderbox
