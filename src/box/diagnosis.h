// Why a group of rows is predicted badly: a sentence that a person wrote
// (data/validation/diagnoses.toml), or, without one, what binds the prediction and how the other
// groups of its source and model do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "box/validation_rows.h"

namespace tinderbox {

struct Diagnosis {
  std::string group;  // of which a group's id begins with this
  std::string text;
};

// [[diagnosis]] tables with `group` and `text`. Throws Error::Invalid naming file and line.
std::vector<Diagnosis> parse_diagnoses(std::string_view toml, std::string_view name);
// Of the longest beginning that fits; nullptr: none.
const Diagnosis* find_diagnosis(const std::vector<Diagnosis>& diagnoses, std::string_view group);

struct BadGroup {
  const PublishedRow* row = nullptr;  // in the middle of the group's errors, the worse of two
  double error = 0;                   // median of |error|
  std::int64_t n_rows = 0;            // predicted
};
// The n groups of the largest errors, worst first.
std::vector<BadGroup> worst_groups(const RowList& rows, FitOf fit, std::size_t n);

// One or two sentences of text (not Markdown). csv: the row's file.
std::string neutral_diagnosis(const PublishedRow& row, const Csv& csv,
                              const TwinCatalogues& catalogues, const RowList& all, FitOf fit);

}  // namespace tinderbox
