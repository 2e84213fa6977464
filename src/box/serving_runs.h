// Published runs of serving programs (data/serving), each simulated with the requests that it was sent: what the
// simulator as a whole, scheduler, memory and prices, is worth.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/csv.h"
#include "box/calibrate.h"
#include "box/measurement.h"
#include "box/report.h"

namespace tinderbox {

struct ServingRun {
  std::string id, source, dataset, note;
  Measured measured;                     // its open loop with the requests as they came
  std::map<std::string, double> values;  // published, by column: "ttft_mean_ms"
};

// requests_folder: of the files that column `requests` names. Throws Error::Invalid naming row and column if a run
// is no question to the twin.
std::vector<ServingRun> read_serving_runs(const Csv& csv, const std::string& requests_folder,
                                          Questioner& questioner);

// What is compared: a column of the file, and the same of a report.
struct ServingFigure {
  std::string_view column, name;
  double (*of)(const Report& report);
};
std::span<const ServingFigure> serving_figures();

struct ServedRun {
  ServingRun run;
  Report report;                   // by the stack as it is
  std::optional<Report> unseen{};  // as fitted without the run's source, if the fit uses some of it
  double load = 0;                 // share of saturation; 0: not known, as of a client that keeps requests back
  std::string refused{};           // why it was not simulated

  // Simulated over measured - 1, by the fit that has not seen the source or as the stack is; nothing if a side is
  // missing.
  enum class Fit { WithoutSource, Shipped };
  std::optional<double> error(const ServingFigure& figure, Fit fit = Fit::WithoutSource) const;
};

// fits: of stacks, by source left out.
std::vector<ServedRun> serve_runs(std::vector<ServingRun> runs, Questioner& questioner, const LeftOutNumbers& fits);

// A row a run: every figure measured and simulated.
std::string served_csv(const std::vector<ServedRun>& runs);

}  // namespace tinderbox
