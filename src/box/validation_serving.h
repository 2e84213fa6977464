// The sections of VALIDATION.md about serving: published runs simulated, and streams at once.
#pragma once

#include <string>
#include <vector>

#include "box/serving_runs.h"
#include "box/validation_document.h"

namespace tinderbox {

// With its heading. csv_link: of the file with every run, as VALIDATION.md links to it.
std::string serving_markdown(const std::vector<ServedRun>& runs, const std::string& csv_link,
                             const std::string& plot_folder);
std::vector<PlotFile> serving_plots(const std::vector<ServedRun>& runs);

// Errors by how many streams there were at once, of each stack on the machine.
std::string streams_markdown(const Validation& validation, const std::string& machine);

}  // namespace tinderbox
