// The targets of VALIDATION.md, met or not, and the groups of rows that are predicted worst: over all, and of what
// keeps a target from being met. All in Markdown, with their headings.
#pragma once

#include <string>
#include <vector>

#include "box/validation_document.h"

namespace tinderbox {

std::string targets_section(const Validation& v);
// Empty if all are met.
std::string missed_section(const Validation& v, const TwinCatalogues& catalogues,
                           const std::vector<Diagnosis>& diagnoses);
std::string worst_section(const Validation& v, const TwinCatalogues& catalogues,
                          const std::vector<Diagnosis>& diagnoses);

// Cells of tables; "-" where there is nothing.
std::string coverage_cell(const RowList& rows);
std::string rows_cell(const RowList& rows);  // "44/50": predicted of all
std::string figure_cell(const Score& s, double value);
std::string interval_cell(const Score& s);

}  // namespace tinderbox
