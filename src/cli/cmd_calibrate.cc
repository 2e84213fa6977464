#include <algorithm>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/calibrate.h"
#include "box/calibrate_speculation.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

LeaveOut parse_leave_out(const std::string& name) {
  if (name == "nothing") return LeaveOut::Nothing;
  if (name == "model") return LeaveOut::Model;
  if (name == "source") return LeaveOut::Source;
  return LeaveOut::Group;  // the parser lets nothing else through
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) {
    throw_invalid(format("{}: cannot write; check the folder and its rights", path.string()));
  }
}

template <typename Fitted>
void print_table(const Fitted& stack) {
  print(format("\n{}: {} rows in {} groups, in-sample error over groups: median {:.1f} %\n",
               stack.id, stack.n_rows, stack.n_groups, 100 * stack.median_ape));
  Table table({"parameter", "value", "error", "prior", "spread", "rows"});
  for (const FittedParameter& p : stack.parameters) {
    table.add({p.key, p.text(p.value), format("{:.1f} %", 100 * p.error), p.text(p.prior),
               format("{:.0f} %", 100 * p.spread), format("{}", p.n_rows)});
  }
  print(table.str());
}

Catalogue with_fitted(const Catalogue& stacks, const std::vector<FittedStack>& fitted) {
  Catalogue out("stack");
  for (const std::string& id : stacks.ids()) {
    const auto found = std::ranges::find(fitted, id, &FittedStack::id);
    out.add(id, found == fitted.end() ? stacks.text(id) : tinderbox::with_fitted(stacks.text(id), *found));
  }
  return out;
}

template <typename Fitted>
Json to_json(const Fitted& stack) {
  Json parameters = Json::array();
  for (const FittedParameter& p : stack.parameters) {
    parameters.push_back({{"key", p.key},
                          {"value", p.value},
                          {"error", p.error},
                          {"prior", p.prior},
                          {"spread", p.spread},
                          {"rows", p.n_rows}});
  }
  return {{"id", stack.id},
          {"rows", stack.n_rows},
          {"groups", stack.n_groups},
          {"median_ape", stack.median_ape},
          {"parameters", std::move(parameters)}};
}

Csv read_rows(const Context& context, const std::vector<std::string>& files) {
  if (files.empty()) {
    Csv rows = Csv::parse(unpacked(context.measurements), "inference.csv");
    rows.append(Csv::parse(unpacked(context.machine_measurements), "machines.csv"));
    rows.append(Csv::parse(unpacked(context.cluster_measurements), "cluster.csv"));
    return rows;
  }
  Csv rows = Csv::load(files.front());
  for (std::size_t i = 1; i < files.size(); ++i) rows.append(Csv::load(files[i]));
  return rows;
}

}  // namespace

int cmd_calibrate(const Context& context, const CalibrateOptionsCli& options) {
  const Csv rows = read_rows(context, options.measurements);
  for (const std::string& id : options.only) find_stack(context, id);  // throws for unknown ones
  const TwinCatalogues catalogues{context.machines, context.stacks, context.models};
  const Calibration result =
      calibrate(rows, catalogues, {.leave_out = parse_leave_out(options.leave_out), .only = options.only},
                [](const std::string& what) { log("calibrate: " + what); });
  const auto write = [&](const auto& fitted, const std::string& folder) {
    if (!options.dry_run) {
      const auto path = std::filesystem::path(folder) / (fitted.id + ".toml");
      write_file(path, tinderbox::with_fitted(read_file(path), fitted));
    }
    if (!options.json) print_table(fitted);
    return to_json(fitted);
  };
  Json stacks = Json::array(), machines = Json::array(), methods = Json::array();
  for (const FittedStack& stack : result.stacks) stacks.push_back(write(stack, options.stacks));
  for (const FittedMachine& machine : result.machines) {
    machines.push_back(write(machine, options.machines));
  }
  // Speculation is fitted on what the stacks now say.
  const Catalogue fitted_stacks = with_fitted(context.stacks, result.stacks);
  for (const FittedStack& method :
       calibrate_speculation(rows, {context.machines, fitted_stacks, context.models, nullptr,
                                    &context.speculation})) {
    methods.push_back(write(method, options.speculation));
  }
  if (options.json) {
    print_json({{"stacks", std::move(stacks)}, {"machines", std::move(machines)},
                {"speculation", std::move(methods)}});
  }
  if (!options.out.empty()) {
    std::string text = "id,fitted,left_out\n";
    for (const CalibratedRow& row : result.rows) {
      text += format("{},{:.6g},{}\n", csv_field(rows.at(row.index, "id")), row.fitted,
                     row.left_out ? format("{:.6g}", *row.left_out) : "");
    }
    write_file(options.out, text);
  }
  return 0;
}

}  // namespace tinderbox::cli
