#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/calibrate_body.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

void print_parameters(const FittedMachine& machine, const std::string& rows) {
  Table table({"parameter", "value", "error", "prior", "spread", rows});
  for (const FittedParameter& p : machine.parameters) {
    table.add({p.key, p.text(p.value), format("{:.1f} %", 100 * p.error), p.text(p.prior),
               format("{:.0f} %", 100 * p.spread), format("{}", p.n_rows)});
  }
  print(table.str());
}

void print_report(const BodyCalibration& c) {
  print(format("{}: heat of {} samples in {} runs of {} sources\n", c.machine.id, c.machine.n_rows,
               c.runs.size(), c.machine.n_groups));
  print_parameters(c.machine, "samples");
  print(format(
      "\nGPU temperature from logged power, RMSE over whole runs: median {:.2f} K{}\n",
      c.median_rmse,
      c.left_out_rmse > 0 ? format("; with the source left out {:.2f} K", c.left_out_rmse) : ""));
}

void print_report(const PowerCalibration& c) {
  print(format("\n{}: energies of {} published powers, {} models\n", c.machine.id, c.machine.n_rows,
               c.machine.n_groups));
  print_parameters(c.machine, "rows");
  print(format("\nGPU power while it answers, as nvidia-smi shows it: median error {:.1f} %{}\n",
               100 * c.median_ape,
               c.left_out_ape > 0
                   ? format("; with the model left out {:.1f} %", 100 * c.left_out_ape)
                   : ""));
}

Json to_json(const FittedMachine& machine) {
  Json parameters = Json::array();
  for (const FittedParameter& p : machine.parameters) {
    parameters.push_back({{"key", p.key},
                          {"value", p.value},
                          {"error", p.error},
                          {"prior", p.prior},
                          {"spread", p.spread},
                          {"rows", p.n_rows}});
  }
  return parameters;
}

Json to_json(const PowerCalibration& c) {
  Json rows = Json::array();
  for (const PowerScore& row : c.rows) {
    Json entry = {{"row", row.index},
                  {"model", row.model},
                  {"measured_w", row.measured},
                  {"fitted_w", row.fitted}};
    if (row.left_out) entry["left_out_w"] = *row.left_out;
    rows.push_back(std::move(entry));
  }
  return {{"parameters", to_json(c.machine)},
          {"rows", std::move(rows)},
          {"median_ape", c.median_ape},
          {"left_out_ape", c.left_out_ape}};
}

Json to_json(const BodyCalibration& c) {
  Json runs = Json::array();
  for (const RunScore& run : c.runs) {
    Json entry = {{"run", run.name},
                  {"source", run.source},
                  {"samples", run.n_samples},
                  {"room_c", run.room.degrees()},
                  {"rmse_k", run.rmse}};
    if (run.left_out) entry["left_out_rmse_k"] = *run.left_out;
    runs.push_back(std::move(entry));
  }
  return {{"id", c.machine.id},
          {"parameters", to_json(c.machine)},
          {"runs", std::move(runs)},
          {"median_rmse_k", c.median_rmse},
          {"left_out_rmse_k", c.left_out_rmse}};
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush())
    throw_invalid(format("{}: cannot write; check the folder and its rights", path.string()));
}

}  // namespace

int cmd_calibrate_body(const Context& context, const CalibrateBodyOptionsCli& options) {
  const auto path = std::filesystem::path(options.machines) / (options.machine + ".toml");
  std::string toml(read_file(path));
  const Csv powers = Csv::load(options.powers);
  const TwinCatalogues catalogues{context.machines, context.stacks, context.models};
  const BodyCalibrationOptions how{.leave_out_sources = options.leave_out, .n_threads = 0};
  const CalibrationProgress progress = [](const std::string& what) {
    log("calibrate body: " + what);
  };
  // Heat under logged watts does not depend on energies; energies depend a little on heat
  // (leakage).
  const BodyCalibration result =
      calibrate_heat(toml, options.machine, load_telemetry(options.telemetry), how, progress);
  toml = with_fitted(toml, result.machine);
  const PowerCalibration power =
      calibrate_power(toml, options.machine, powers, catalogues, how, progress);
  toml = with_fitted(toml, power);
  if (!options.dry_run) write_file(path, toml);
  if (options.json) {
    Json document = to_json(result);
    document["power"] = to_json(power);
    print_json(document);
  } else {
    print_report(result);
    print_report(power);
  }
  if (!options.out.empty()) {
    std::string text = "run,samples,room_c,rmse_k,left_out_rmse_k\n";
    for (const RunScore& run : result.runs) {
      text +=
          format("{},{},{:.2f},{:.3f},{}\n", csv_field(run.name), run.n_samples, run.room.degrees(),
                 run.rmse, run.left_out ? format("{:.3f}", *run.left_out) : "");
    }
    write_file(options.out, text);
  }
  return 0;
}

}  // namespace tinderbox::cli
