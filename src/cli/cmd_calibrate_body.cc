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

void print_report(const BodyCalibration& c) {
  print(format("{}: heat of {} samples in {} runs of {} sources\n", c.machine.id, c.machine.n_rows, c.runs.size(),
               c.machine.n_groups));
  Table table({"parameter", "value", "error", "prior", "spread", "samples"});
  for (const FittedParameter& p : c.machine.parameters) {
    table.add({p.key, p.text(p.value), format("{:.1f} %", 100 * p.error), p.text(p.prior),
               format("{:.0f} %", 100 * p.spread), format("{}", p.n_rows)});
  }
  print(table.str());
  print(format("\nGPU temperature from logged power, RMSE over whole runs: median {:.2f} K{}\n", c.median_rmse,
               c.left_out_rmse > 0 ? format("; with the source left out {:.2f} K", c.left_out_rmse) : ""));
}

Json to_json(const BodyCalibration& c) {
  Json parameters = Json::array(), runs = Json::array();
  for (const FittedParameter& p : c.machine.parameters) {
    parameters.push_back({{"key", p.key}, {"value", p.value}, {"error", p.error}, {"prior", p.prior},
                          {"spread", p.spread}, {"rows", p.n_rows}});
  }
  for (const RunScore& run : c.runs) {
    Json entry = {{"run", run.name}, {"source", run.source}, {"samples", run.n_samples},
                  {"room_c", run.room.degrees()}, {"rmse_k", run.rmse}};
    if (run.left_out) entry["left_out_rmse_k"] = *run.left_out;
    runs.push_back(std::move(entry));
  }
  return {{"id", c.machine.id}, {"parameters", std::move(parameters)}, {"runs", std::move(runs)},
          {"median_rmse_k", c.median_rmse}, {"left_out_rmse_k", c.left_out_rmse}};
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw_invalid(format("{}: cannot write; check the folder and its rights", path.string()));
}

}  // namespace

int cmd_calibrate_body(const CalibrateBodyOptionsCli& options) {
  const auto path = std::filesystem::path(options.machines) / (options.machine + ".toml");
  const std::string toml(read_file(path));
  const BodyCalibration result =
      calibrate_heat(toml, options.machine, load_telemetry(options.telemetry),
                     {.leave_out_sources = options.leave_out, .n_threads = 0},
                     [](const std::string& what) { log("calibrate body: " + what); });
  if (!options.dry_run) write_file(path, with_fitted(toml, result.machine));
  if (options.json) {
    print_json(to_json(result));
  } else {
    print_report(result);
  }
  if (!options.out.empty()) {
    std::string text = "run,samples,room_c,rmse_k,left_out_rmse_k\n";
    for (const RunScore& run : result.runs) {
      text += format("{},{},{:.2f},{:.3f},{}\n", csv_field(run.name), run.n_samples, run.room.degrees(), run.rmse,
                     run.left_out ? format("{:.3f}", *run.left_out) : "");
    }
    write_file(options.out, text);
  }
  return 0;
}

}  // namespace tinderbox::cli
