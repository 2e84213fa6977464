// How the boxes of a fleet go through time, whatever they hold: a Box is sent requests with take(), has n_inbox() of
// them, is moved on by advance() and advance_once(), has something to do next(), and is seen by a router as its view()
// (FleetBox of one model, PoolBox of several).
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "box/fleet.h"

namespace tinderbox {

template <typename Box>
using BoxesOf = std::vector<std::unique_ptr<Box>>;

// One step or run of steps of the box that is furthest behind, no further than the next one or `until`. false: all
// have come so far.
template <typename Box>
bool advance_last(std::span<const std::unique_ptr<Box>> boxes, TimePoint until) {
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
  if (first == nullptr || next >= until) return false;
  first->advance_once(std::min(until, std::max(second, next + Duration(1))));
  return true;
}

// 0: all processors, of boxes that nobody looks at and traffic that depends on no answers.
inline int n_threads_for(const FleetOptions& options, const Traffic& traffic) {
  const bool apart = is_blind(options.routing) && traffic.listener == nullptr;
  return !apart || options.on_finished || options.watch ? 1 : options.n_threads;
}

// Every box by itself: thread `me` of n looks at all requests and takes those of its own boxes, which are every n-th.
template <typename Box>
void run_blind(const BoxesOf<Box>& boxes, const FleetOptions& options, Arrivals& source, std::size_t me,
               std::size_t n, const std::function<void(std::int64_t)>& progress) {
  // Requests that are kept for a box until it is looked after, so that what it needs is in the processor's cache
  // when it is.
  constexpr std::size_t kTogether = 64;
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

// All together. Where answers bring requests, the box that is furthest behind goes first, and no further than the next
// one, so that whatever its answers bring finds the others in a step that began before.
template <typename Box>
void run_together(const BoxesOf<Box>& boxes, const FleetOptions& options, const Traffic& traffic,
                  const std::function<void(std::int64_t)>& progress) {
  Router router(options.routing, boxes.size(), options.seed, options.knee);
  std::int64_t n_come = 0;
  for (;;) {
    const TimePoint at = traffic.source->next();
    if (traffic.listener == nullptr) {
      for (const auto& box : boxes) box->advance(at);
    } else if (advance_last(std::span(boxes), at)) {
      continue;
    }
    if (at == TimePoint::max()) return;
    for (Command& command : traffic.source->take(at)) {
      auto& request = std::get<Request>(command);
      std::vector<BoxView> views;
      if (!is_blind(options.routing)) {
        for (const auto& box : boxes) views.push_back(box->view(at, request.model));
      }
      boxes[router.choose(request, views)]->take(std::move(request));
      if (progress) progress(++n_come);
    }
  }
}

// traffic: what make() has made first. threads: n_threads_for() them; box i is that of thread i modulo their number.
template <typename Box>
void run_boxes(const BoxesOf<Box>& boxes, const FleetOptions& options, Traffic traffic, const MakeTraffic& make,
               ThreadPool& threads, const std::function<void(std::int64_t)>& progress) {
  if (traffic.listener != nullptr || !is_blind(options.routing)) {
    return run_together(boxes, options, traffic, progress);
  }
  const auto n = static_cast<std::size_t>(threads.n_threads());
  std::vector<Traffic> of_each;
  of_each.push_back(std::move(traffic));
  while (of_each.size() < n) of_each.push_back(make());
  threads.parallel_for(n, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t me = begin; me < end; ++me) run_blind(boxes, options, *of_each[me].source, me, n, progress);
  });
}

}  // namespace tinderbox
