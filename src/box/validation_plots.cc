// RowList as dots and curves: which of them, and under which titles.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "base/text.h"
#include "box/validate_plots.h"
#include "box/validation_document.h"

namespace tinderbox {
namespace {

constexpr std::size_t kBytesMax = 290'000;  // a page with six of them should still be light

struct Axes {
  RowKind kind;
  std::string_view title, unit;
};
constexpr Axes kPlots[] = {
    {RowKind::Decode, "Decode", "tokens/s"},
    {RowKind::Prefill, "Prefill", "tokens/s"},
    {RowKind::Ttft, "Time to first token", "ms"},
    {RowKind::Tpot, "Time per token, several streams", "ms"},
    {RowKind::Serve, "Serving", "tokens/s or requests/s"},
    {RowKind::Memory, "Memory", "GB"},
};

// The rate of a stream is the inverse of its time per token.
double drawn(const PublishedRow& row, double value) {
  const bool inverse = row.kind == RowKind::Tpot && row.metric == "tok_per_s_per_stream";
  return inverse ? 1e3 / value : value;
}

Dot dot_of(const PublishedRow& row) {
  const Sample s = row.sample(FitOf::WithoutSource);
  return {.x = drawn(row, s.measured),
          .y = drawn(row, s.predicted),
          .series = row.stack,
          .name = format("{}: measured {}, predicted {} {}", row.id, human_number(s.measured),
                         human_number(s.predicted), row.unit),
          .hollow = row.speculation};
}

std::string scatter_of(const Validation& v, const Axes& axes, const std::vector<std::string>& series) {
  const RowList rows = where(v.rows, [&](const PublishedRow& row) {
    return row.kind == axes.kind && row.predicted;
  });
  ScatterPlot plot{.title = format("{}: predicted over measured", axes.title),
                   .subtitle = "A dot a row; each predicted by a fit that has not seen its source.",
                   .unit = std::string(axes.unit),
                   .dots = {}};
  for (const PublishedRow* row : rows) plot.dots.push_back(dot_of(*row));
  std::string svg = scatter_svg(plot, series);
  if (svg.size() <= kBytesMax) return svg;
  plot.subtitle = "A dot a group: its row of median error, by a fit that has not seen its source.";
  plot.dots.clear();
  std::vector<BadGroup> groups = worst_groups(rows, FitOf::WithoutSource, rows.size());
  std::ranges::sort(groups, {}, [](const BadGroup& group) { return group.row->group; });
  for (const BadGroup& group : groups) plot.dots.push_back(dot_of(*group.row));
  return scatter_svg(plot, series);
}

CurvePlot errors_of(const Validation& v) {
  CurvePlot plot{.title = "Errors, sorted",
                 .subtitle = "All quantities, without speculation; by fits that have not seen the source.",
                 .x_label = "share of the groups of a stack",
                 .curves = {}};
  const RowList rows = where(
      v.rows, [](const PublishedRow& row) { return row.predicted && !row.speculation; });
  for (const auto& [stack, members] :
       slices_of(rows, [](const PublishedRow& row) { return row.stack; })) {
    ErrorCurve& curve = plot.curves.emplace_back();
    curve.series = stack;
    for (const BadGroup& group : worst_groups(members, FitOf::WithoutSource, members.size()))
      curve.errors.push_back(group.error);
  }
  return plot;
}

}  // namespace

std::vector<PlotFile> validation_plots(const Validation& validation) {
  std::map<std::string, std::int64_t> n_rows;
  for (const PublishedRow& row : validation.rows) {
    if (row.predicted) ++n_rows[row.stack];
  }
  std::vector<std::string> series;
  for (const auto& [stack, n] : n_rows) series.push_back(stack);
  // Colours repeat beyond the palette: those with many rows come first and differ.
  std::ranges::stable_sort(series, std::ranges::greater(), [&](const std::string& s) { return n_rows[s]; });
  std::vector<PlotFile> files;
  for (const Axes& axes : kPlots) {
    files.push_back({lower(row_kind_name(axes.kind)) + ".svg",
                     scatter_of(validation, axes, series)});
  }
  files.push_back({"errors.svg", curves_svg(errors_of(validation), series)});
  return files;
}

}  // namespace tinderbox
