// Fits the heat of a machine file's [body.*] to logs of boxes, and the energies of its GPU to
// published powers: robust least squares as for stacks (box/robust_fit.h), every source of logs
// with the same weight whatever its length, a run's samples at like watts as the root of their number,
// every number held to its prior by its stated spread.
// Rooms that no log states are inferred together with them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "box/calibrate.h"
#include "box/telemetry.h"

namespace tinderbox {

struct RunScore {
  std::string name, source;
  std::size_t n_samples = 0;
  Celsius room;                      // inferred
  double rmse = 0;                   // K, over the whole run
  std::optional<double> left_out{};  // ditto, by a fit that has not seen the source
};

struct BodyCalibration {
  FittedMachine machine;                      // median_ape: of the powers
  std::vector<RunScore> runs;                 // those with power, as given
  double median_rmse = 0, left_out_rmse = 0;  // K, over runs
};

struct BodyCalibrationOptions {
  bool leave_out_sources = true;
  int n_threads = 0;  // 0: all processors; the result does not depend on it
};

// toml: the text of the machine file `id`. Throws Error::Invalid if it has no body, Error::NotFound
// if no run has power.
BodyCalibration calibrate_heat(std::string_view toml, const std::string& id,
                               const std::vector<TelemetryRun>& runs,
                               const BodyCalibrationOptions& options,
                               const CalibrationProgress& progress = {});

struct PowerScore {
  std::size_t index = 0;  // in the file
  std::string model;
  double measured = 0, fitted = 0;   // W
  std::optional<double> left_out{};  // by a fit that has not seen the model
};

struct PowerCalibration {
  FittedMachine machine;
  std::vector<PowerScore> rows;
  std::vector<std::pair<std::size_t, std::string>> refused;
  double median_ape = 0, left_out_ape = 0;
  double low = 1,
         high = 1;  // between these times the prediction lie nine of ten that the fit has not seen
};
// The machine file with its numbers; its interval too, where it was made.
std::string with_fitted(std::string toml, const PowerCalibration& power);

// The energies of [body.energy] from published watts: predicted activity against what nvidia-smi
// showed.
PowerCalibration calibrate_power(std::string_view toml, const std::string& id, const Csv& rows,
                                 const TwinCatalogues& catalogues,
                                 const BodyCalibrationOptions& options,
                                 const CalibrationProgress& progress = {});

// Numbers of kind "fitted" whose key begins so.
std::vector<FittedParameter> fitted_numbers(const Machine& machine,
                                            const std::vector<std::string>& prefixes);
// The same machine file with these values.
Machine with_values(std::string toml, const std::string& id,
                    std::vector<FittedParameter> parameters, const std::vector<double>& values);

}  // namespace tinderbox
