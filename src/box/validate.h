// Predicts every row of a file of published measurements from its configuration columns and scores
// the answers, as data/measurements/README.md prescribes: absolute relative error a row, median in
// each group (one source, one configuration), then median, mean and 90th percentile over the
// groups, beside the coverage. A row that cannot be predicted is refused with a reason, which
// lowers the coverage; it is never a guess and never an error of zero.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/csv.h"
#include "box/measurement.h"
#include "box/score.h"

namespace tinderbox {

struct ValidationRow {
  std::string id, group;
  std::vector<std::string> key{};     // values of the slicing keys
  double value = 0;                   // measured, in the unit of the file
  std::optional<double> predicted{};  // same unit
  double low = 0, high = 0;           // nine in ten such values lie between the two; equal: unknown
  std::string reason{};               // why not, if not
  bool speculates = false;

  // Relative: predicted / value - 1.
  double error() const { return *predicted / value - 1; }
};

struct ValidationSlice {
  std::vector<std::string> key;
  std::int64_t rows_all = 0;  // predicted or not
  Score score;
};

struct ValidationReport {
  std::vector<std::string> by{};  // names of the slicing keys
  std::vector<ValidationRow> rows{};
  std::int64_t predicted = 0;
  double coverage = 0;
  std::map<std::string, std::int64_t> refused{};  // by reason
  std::vector<std::string> bad{};  // rows refused as a bad cell: file, line, id, column, what it has
  Score macro{};                          // of rows without speculation
  std::vector<ValidationSlice> slices{};  // by key; only those with a predicted row
  Score speculation{};                    // rows with it, scored apart: acceptance is a guess
  std::vector<ValidationSlice> speculation_slices{};
};

// by: columns to slice by, or their short names (stack, weights, kv, model). Throws Error::Invalid
// naming file and column if a column that every measurement file has is missing. A number that does
// not parse refuses its row alone.
ValidationReport validate(const Csv& rows, const TwinCatalogues& catalogues,
                          const std::vector<std::string>& by = {"test", "metric", "stack"});

// The JSON of ARCHITECTURE.md section 5, one line.
std::string validation_json(const ValidationReport& report);
// Aligned text: totals, slices, refusals.
std::string validation_table(const ValidationReport& report);
// id,predicted,low,high,ape,reason
std::string validation_csv(const ValidationReport& report);

}  // namespace tinderbox
