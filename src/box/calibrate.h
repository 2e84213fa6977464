// Fits the numbers of the stack files to published measurements: least squares on the logarithm of
// predicted over measured, robust against rows that are simply wrong, every group of rows (one
// source, one configuration) with the same weight, and every parameter held to its prior by its
// stated spread. Runs whose requests came when they came give the fit their time per token, at the load that
// was measured with it (twin/steady.h), and test it: they are then simulated.
//
// Stacks are fitted on rows of the reference machine (those that have some); what other machines
// reach of their own bandwidth, arithmetic and launches beside it is fitted after, stacks held.
//
// Cross-validation leaves out every model (or source, or group) in turn, fits again, and predicts
// the rows left out.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/csv.h"
#include "box/measurement.h"

namespace tinderbox {

struct FittedParameter {
  std::string key;  // "kernels.bf16.memory_share"
  double value = 0, prior = 0, spread = 0;
  double error = 0;        // standard error of the logarithm
  std::int64_t n_rows = 0;  // that change by at least 1 % for 10 % of the parameter
  std::string unit{};       // of value and prior in the file: `value / per_unit unit`; empty: a plain number
  double per_unit = 1;
  // As the file has it: "0.135 K/W", "12.3 us" (a *_time without a unit of its own), "0.82".
  std::string text(double number, int digits = 4) const;
};

struct FittedStack {
  std::string id;
  std::vector<FittedParameter> parameters;
  std::int64_t n_rows = 0, n_groups = 0;  // fitted on
  double median_ape = 0;                  // macro, in sample
  // From rows whose model the fit has not seen; of all stacks together where this one has too few.
  std::array<Interval, kMetrics> intervals{};
};

struct FittedMachine {
  std::string id;
  std::vector<FittedParameter> parameters;
  std::int64_t n_rows = 0, n_groups = 0;
  double median_ape = 0;
};

enum class LeaveOut : std::uint8_t { Nothing, Model, Source, Group };

// A row of the fit, in the row's unit: predicted by the fit to all rows, and, if asked for, by a fit
// that has not seen its model (source, group).
struct CalibratedRow {
  std::size_t index = 0;  // in the file
  double fitted = 0;
  std::optional<double> left_out{};
};

struct CalibrationOptions {
  LeaveOut leave_out = LeaveOut::Model;  // intervals are made only of Model
  std::vector<std::string> only{};  // stacks; none: all with rows
  int n_threads = 0;  // 0: all processors; the result does not depend on it
  std::string reference = "dgx-spark";
};

// A stack's numbers by key, and those of each stack by what its fit had not seen: model, source or group.
using Numbers = std::map<std::string, double>;
using LeftOutNumbers = std::map<std::string, std::map<std::string, Numbers>>;

struct Calibration {
  std::vector<FittedStack> stacks;      // by id
  std::vector<FittedMachine> machines;  // by id; without the reference
  std::vector<CalibratedRow> rows;  // in file order
  LeftOutNumbers left_out{};
};

// Called with what is being done.
using CalibrationProgress = std::function<void(const std::string& what)>;

// Rows with a cell that does not parse are left out; validate lists them.
Calibration calibrate(const Csv& rows, const TwinCatalogues& catalogues,
                      const CalibrationOptions& options, const CalibrationProgress& progress = {});

// The text of a stack or machine file with the fitted values, errors and counts in place of the old ones;
// everything else as it was. Throws Error::Invalid if a key has no line of its own.
std::string with_fitted(std::string toml, const FittedStack& fitted);
std::string with_fitted(std::string toml, const FittedMachine& fitted, int digits = 4);
// The plain number of a key replaced.
std::string with_number(std::string toml, std::string_view file, std::string_view key, double value);

}  // namespace tinderbox
