// VALIDATION.md and its plots: every published row predicted and scored, in sample and by fits that
// have not seen the row's model or source. The same data give the same bytes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/csv.h"
#include "box/calibrate.h"
#include "box/diagnosis.h"
#include "box/measurement.h"
#include "box/validation_rows.h"

namespace tinderbox {

struct MeasurementFile {
  std::string name;  // "inference.csv"
  Csv rows;
  bool fitted = false;  // calibration uses its rows
};

// Everything that was predicted and what it is scored against.
struct Validation {
  std::vector<MeasurementFile> files;  // the first is the one that the targets are about
  std::vector<PublishedRow> rows;      // of all files, in order
  LeftOutNumbers without_source{};     // of the stacks that were fitted
  bool stale = false;  // calibration finds other numbers today than those of the stacks
};

// Predicts all rows and cross-validates those of the fitted files, which takes minutes. Throws Error
// as validate and calibrate do.
Validation validate_all(std::vector<MeasurementFile> files, const TwinCatalogues& catalogues,
                        const CalibrationProgress& progress = {});

struct DocumentOptions {
  std::vector<Diagnosis> diagnoses{};
  // Markdown about the engine of this repository, with its heading; empty: no such section.
  std::string own_engine{};
  std::string body{};     // ditto about heat and power (box/validation_body.h)
  std::string serving{};  // ditto about serving (box/validation_serving.h)
  std::string plot_folder = "docs/validation";  // as VALIDATION.md links to it
};

std::string validation_document(const Validation& validation, const TwinCatalogues& catalogues,
                                const DocumentOptions& options);

struct PlotFile {
  std::string name;  // "decode.svg"
  std::string svg;
};
// One for each kind of row, and the sorted errors of the stacks.
std::vector<PlotFile> validation_plots(const Validation& validation);

// A Markdown table of these rows as a fit without their source predicts them, beside what was
// measured and by whom. Throws Error::NotFound if there is no such row or no prediction of it.
std::string predictions_beside_measurements(const Validation& validation,
                                            const std::vector<std::string>& ids);

}  // namespace tinderbox
