// The body beside what owners logged and published: VALIDATION.md's section about heat and power,
// and its plots. The same data give the same bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "box/calibrate_body.h"
#include "box/time_chart.h"
#include "box/validation_document.h"

namespace tinderbox {

// A published power or temperature and what the body says of it from the workload alone.
struct BodyRow {
  std::string id, model, workload;  // "decode, one stream"
  double measured = 0, predicted = 0;
};

// After a load ends, in a log that goes on for long enough: from the first sample without load, the
// time in which the part's warmth above where it ends falls by e. The load of the twin ends when its
// GPU is then as warm as that sample's.
struct CoolDown {
  std::string run, part;
  double measured = 0, modelled = 0;  // s
};

struct BodyValidation {
  std::string machine;  // name
  BodyFacts facts;
  BodyCalibration heat;
  PowerCalibration power;
  std::vector<TelemetryRun> runs;      // with power, as in heat.runs
  std::vector<Replay> replays;         // by the machine file as it is
  std::vector<std::string> workloads;  // of power.rows
  std::vector<BodyRow> temperatures;
  std::vector<CoolDown> cool_downs;
};

// Calibrates heat and power with sources and models left out, which takes about a minute, and
// replays every run. toml: the text of the machine file `id`. Throws as calibrate_heat and
// calibrate_power.
BodyValidation validate_body(std::string_view toml, const std::string& id,
                             std::vector<TelemetryRun> runs, const Csv& powers,
                             const TwinCatalogues& catalogues,
                             const CalibrationProgress& progress = {});

// Markdown with its heading. plot_folder: of body_plots(), as the document links to it.
std::string body_markdown(const BodyValidation& validation, const std::string& plot_folder);

// One for each file of logs: measured and modelled temperature over time, and the watts.
std::vector<PlotFile> body_plots(const BodyValidation& validation);

// An hour of one load, from a box at rest, in rooms of these temperatures: GPU, clock and speed.
TimeChart rooms_chart(const BodyFacts& body, const Load& load, double tokens_per_s,
                      const std::string& what, const std::vector<Celsius>& rooms);

}  // namespace tinderbox
