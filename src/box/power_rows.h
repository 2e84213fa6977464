// Published watts of a box that answers a model, as the loads that the twin says it runs.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/csv.h"
#include "box/measurement.h"
#include "twin/body.h"
#include "twin/load.h"

namespace tinderbox {

struct PowerRow {
  std::size_t index = 0;  // in the file
  std::string model, source;
  double measured = 0;  // W, as nvidia-smi shows it, mean over the run
  PhaseLoads phases{};
};

// A row of test power or temperature with its load, which a prediction of speed tells; rows without
// lengths are taken as decode of a short prompt. Without a model and a number of streams: refused.
struct LoadedRow {
  std::optional<StepModel> model{};
  Point point{};
  Prediction prediction{};
  PhaseLoads phases{};
  std::string refused{};  // why there is no load
};
LoadedRow loaded_row(Questioner& questioner, const Csv& csv, std::size_t row);

struct PowerRows {
  std::vector<PowerRow> rows;
  std::vector<std::pair<std::size_t, std::string>>
      refused;  // index, why; of rows with a mean of nvidia-smi
};

// Rows of test power with reading gpu-smi. One without lengths is taken as decode of a short
// prompt.
PowerRows read_power_rows(const Csv& csv, const TwinCatalogues& catalogues);

// What nvidia-smi shows on average once the box is as warm as the load makes it.
Watts steady_smi(Body body, const PhaseLoads& phases);

}  // namespace tinderbox
