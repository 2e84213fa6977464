#include "box/fleet.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/thread_pool.h"
#include "box/fleet_box.h"
#include "box/fleet_loops.h"

namespace tinderbox {
namespace {

// Box i is that of thread i modulo the tables, of which each thread has one.
FleetBoxes make_boxes(const StepModel& model, std::vector<StepTable>& tables, const Scheduler& fresh,
                      const FleetOptions& options, Observer* source) {
  CHECK(options.n_boxes >= 1);
  FleetBoxes boxes(options.n_boxes);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    boxes[i] = std::make_unique<FleetBox>(
        model, tables[i % tables.size()], fresh, options, body_of(options, i), source, nullptr,
        options.watch ? options.watch(static_cast<std::int64_t>(i), 0) : std::vector<BoxWatch*>{});
  }
  return boxes;
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

FleetResult run_fleet(const StepModel& model, const Scheduler& scheduler, const FleetOptions& options,
                      const MakeTraffic& make, const std::function<void(std::int64_t)>& progress) {
  Traffic traffic = make();
  ThreadPool threads(n_threads_for(options, traffic));
  std::vector<StepTable> tables(static_cast<std::size_t>(threads.n_threads()), StepTable(model));
  const FleetBoxes boxes = make_boxes(model, tables, scheduler, options, traffic.listener);
  run_boxes(boxes, options, std::move(traffic), make, threads, progress);
  return result_of(boxes, options);
}

}  // namespace tinderbox
