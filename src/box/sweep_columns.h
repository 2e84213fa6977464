// The columns of a sweep's table of points: its settings, the main figures of the reports, and what
// else a row says. Part of box/sweep_store.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "box/sweep.h"

namespace tinderbox {

// A figure, and where it stands in the JSON document of a simulation.
struct SweepFigure {
  std::string_view column, at;
};
std::span<const SweepFigure> sweep_figures();

// "slo-ttft" -> "slo_ttft".
std::string sweep_column(std::string_view key);
// Every column but the report, in the order of the table; as a list for SQL.
std::vector<std::string> sweep_columns(const Sweep& sweep);
std::string quoted_columns(const std::vector<std::string>& columns);
// CREATE TABLE points.
std::string sweep_schema(const Sweep& sweep);

// The first line of one design (design_of()) that the other lacks, in words.
std::string design_difference(const std::string& ours, const std::string& theirs);

}  // namespace tinderbox
