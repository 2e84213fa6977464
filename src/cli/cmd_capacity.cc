#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/capacity.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {
namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush())
    throw_invalid(format("{}: cannot write; check the folder and its rights", path));
}

int print_boxes_needed(const StepModel& model, const CapacityOptions& options,
                       const CapacityOptionsCli& cli) {
  const std::int64_t n = boxes_needed(model, options, cli.boxes_max,
                                      [](const std::string& what) { log("capacity: " + what); });
  if (cli.json) {
    print_json({{"boxes_needed", n}, {"boxes_max", cli.boxes_max}});
  } else if (n == 0) {
    print(format("{} boxes are too few for this load within the SLO\n", cli.boxes_max));
  } else {
    print(format("{} {} for this load within the SLO\n", n,
                 n == 1 ? "box is enough" : "boxes are needed"));
  }
  return n == 0 ? 1 : 0;
}

}  // namespace

int cmd_capacity(const Context& context, const CapacityOptionsCli& cli) {
  const StepModel model(make_twin(context, cli.simulation.twin));
  require_one_replica(model.twin());
  CapacityOptions options{.simulation = simulation_of(model, cli.simulation),
                          .share = cli.percent / 100,
                          .seeds = cli.seeds};
  if (cli.users) options.kind = LoadKind::Users;
  if (!cli.users && options.simulation.workload.trace) options.kind = LoadKind::TraceSpeed;
  if (cli.boxes_max > 0) return print_boxes_needed(model, options, cli);
  std::vector<Capacity> found;
  for (const std::int64_t boxes : cli.boxes) {
    options.simulation.boxes = boxes;
    found.push_back(
        capacity(model, options, [](const std::string& what) { log("capacity: " + what); }));
  }
  const TwinModel& twin = model.twin();
  const std::string what = format("{} in {} by {} on {}", twin.model.id, twin.weights.name,
                                  twin.stack.name, boxes_text(twin));
  if (!cli.csv.empty()) write_file(cli.csv, capacity_csv(found));
  if (!cli.svg.empty()) write_file(cli.svg, time_chart_svg(capacity_chart(options, found, what)));
  bool all = true;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  if (!cli.json) print(what + "\n");
  for (const Capacity& c : found) {
    all = all && c.reachable;
    if (cli.json) json.push_back(capacity_json(options, c));
    if (!cli.json) print("\n" + capacity_table(options, c));
  }
  if (cli.json) print_json(json);
  return all ? 0 : 1;
}

}  // namespace tinderbox::cli
