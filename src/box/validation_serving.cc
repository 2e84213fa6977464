#include "box/validation_serving.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "base/quantile.h"
#include "base/text.h"
#include "box/markdown.h"
#include "box/validate_plots.h"

namespace tinderbox {
namespace {

constexpr double kLight = 0.8;  // of saturation: below, latencies have an average at all
constexpr std::string_view kFigureNames[] = {"TPOT mean", "TPOT p99", "TTFT mean", "TTFT p99", "E2E mean"};

const ServingFigure& figure_named(std::string_view name) {
  return *std::ranges::find(serving_figures(), name, &ServingFigure::name);
}

using RunFilter = std::function<bool(const ServedRun&)>;
using RunFit = ServedRun::Fit;

// "9.1 %", or "-" where there is none.
std::string median_error(const std::vector<ServedRun>& runs, const RunFilter& of, std::string_view figure, RunFit fit) {
  std::vector<double> errors;
  for (const ServedRun& run : runs) {
    if (!of(run)) continue;
    if (const auto error = run.error(figure_named(figure), fit)) errors.push_back(std::abs(*error));
  }
  return errors.empty() ? "-" : percent(quantile(std::move(errors), 0.5));
}

std::string row_of(const std::string& name, const std::vector<ServedRun>& runs, const RunFilter& of,
                   RunFit fit = RunFit::WithoutSource) {
  const auto n = std::ranges::count_if(runs, [&](const ServedRun& run) { return of(run) && run.refused.empty(); });
  std::vector<std::string> cells = {name, format("{}", n)};
  for (const std::string_view figure : kFigureNames) cells.push_back(median_error(runs, of, figure, fit));
  return markdown_row(cells);
}

std::string header_of(const std::string& what) {
  std::vector<std::string> cells = {what, "runs"};
  for (const std::string_view figure : kFigureNames) cells.emplace_back(figure);
  return markdown_header(cells, 1);
}

std::string by_load(const std::vector<ServedRun>& runs, RunFit fit) {
  std::string out = header_of("load");
  const auto plain = [](const ServedRun& run) { return run.run.measured.spec.empty() && run.run.note.empty(); };
  out += row_of("below 80 % of saturation", runs,
                [&](const ServedRun& r) { return plain(r) && r.load > 0 && r.load < kLight; }, fit);
  out += row_of("from 80 % to saturation", runs,
                [&](const ServedRun& r) { return plain(r) && r.load >= kLight && r.load < 1; }, fit);
  out += row_of("above saturation", runs, [&](const ServedRun& r) { return plain(r) && r.load >= 1; }, fit);
  out += row_of("so many kept under way by the client", runs,
                [&](const ServedRun& r) { return plain(r) && r.load == 0; }, fit);
  out += row_of("with speculation", runs, [](const ServedRun& r) { return !r.run.measured.spec.empty(); }, fit);
  out += row_of("answers shorter than asked for", runs, [](const ServedRun& r) { return !r.run.note.empty(); }, fit);
  return out + "\n";
}

std::string by_model(const std::vector<ServedRun>& runs) {
  std::map<std::string, std::vector<const ServedRun*>> models;
  const auto name_of = [](const ServedRun& r) {
    const Measured& m = r.run.measured;
    return format("{} {}{} by {} on {}", m.model, m.weights, m.spec.empty() ? "" : " + " + m.spec, m.stack, m.machine);
  };
  for (const ServedRun& r : runs) models[name_of(r)].push_back(&r);
  std::string out = header_of("model");
  for (const auto& [name, unused] : models) {
    out += row_of(markdown_text(name), runs, [&](const ServedRun& r) { return name_of(r) == name; });
  }
  return out + "\n";
}

// Every figure of the runs whose requests were published one by one.
std::string in_full(const std::vector<ServedRun>& runs) {
  std::string out;
  for (const ServedRun& r : runs) {
    if (r.run.dataset != "sharegpt" || !r.refused.empty()) continue;
    const Measured& m = r.run.measured;
    out += format("{} {} by {} on {}, {} requests of {}:\n\n", markdown_text(m.model), markdown_text(m.weights),
                  markdown_text(m.stack), markdown_text(m.machine), r.report.finished,
                  markdown_link(r.run.id, r.run.source));
    out += markdown_header({"figure", "measured", "simulated", "error"}, 1);
    for (const ServingFigure& figure : serving_figures()) {
      const auto error = r.error(figure);
      if (!error) continue;
      const double measured = r.run.values.at(std::string(figure.column));
      const std::string_view unit = figure.column.ends_with("_ms") ? "ms" : "s";
      out += markdown_row({std::string(figure.name), format("{} {}", human_number(measured), unit),
                           format("{} {}", human_number(measured * (1 + *error)), unit), signed_percent(*error)});
    }
    out += "\n";
  }
  return out;
}

}  // namespace

std::string serving_markdown(const std::vector<ServedRun>& runs, const std::string& csv_link,
                             const std::string& plot_folder) {
  std::string out = format(
      "## Serving runs\n\n"
      "{} published runs of serving programs (data/serving), each simulated with the very requests that it was sent, "
      "with KV blocks, scheduling and prices as the twin has them: nothing is taken from the run but its requests and "
      "settings. Median of absolute errors over runs, by the fit that has not seen the run's source. "
      "Every run: [serving-runs.csv]({}).\n\n",
      runs.size(), csv_link);
  out += by_load(runs, RunFit::WithoutSource);
  out += "By the stacks as they ship, whose fit has seen figures that most of these sources published, also of these "
         "runs:\n\n";
  out += by_load(runs, RunFit::Shipped);
  for (const PlotFile& plot : serving_plots(runs)) {
    out += format("![{}: simulated over measured]({}/{})\n", plot.name.substr(0, plot.name.find('.')), plot_folder,
                  plot.name);
  }
  out += "\nBy model, at all loads:\n\n" + by_model(runs) + in_full(runs);
  return out;
}

std::vector<PlotFile> serving_plots(const std::vector<ServedRun>& runs) {
  std::vector<PlotFile> out;
  constexpr std::pair<std::string_view, const char*> kPlots[] = {{"TPOT mean", "serving-tpot.svg"},
                                                                  {"TTFT mean", "serving-ttft.svg"}};
  for (const auto& [name, file] : kPlots) {
    const ServingFigure& figure = figure_named(name);
    ScatterPlot plot{.title = format("{} of serving runs", name),
                     .subtitle = "simulated (up) over measured, by the fit without the source; hollow: saturated",
                     .unit = "ms",
                     .dots = {}};
    for (const ServedRun& r : runs) {
      const auto error = r.error(figure);
      if (!error) continue;
      const double measured = r.run.values.at(std::string(figure.column));
      plot.dots.push_back({measured, measured * (1 + *error), r.run.measured.machine, r.run.id, r.load >= 1});
    }
    std::vector<std::string> series;
    for (const Dot& dot : plot.dots) series.push_back(dot.series);
    std::ranges::sort(series);
    series.erase(std::unique(series.begin(), series.end()), series.end());
    out.push_back({file, scatter_svg(plot, series)});
  }
  return out;
}

std::string streams_markdown(const Validation& validation, const std::string& machine) {
  constexpr std::array kUpTo = {1, 4, 10, 20, 40, 1 << 20};
  constexpr std::array kNames = {"1", "2 to 4", "5 to 10", "11 to 20", "21 to 40", "more"};
  std::map<std::pair<std::string, std::size_t>, RowList> slices;
  for (const PublishedRow& row : validation.rows) {
    const bool rate = row.kind == RowKind::Decode || row.kind == RowKind::Tpot || row.kind == RowKind::Serve;
    if (row.machine != machine || row.speculation || !rate) continue;
    const Cells cells(validation.files[row.file].rows, row.index);
    if (cells.problem()) continue;
    const auto n = cells.count("concurrency");
    if (!n || *n < 1 || cells.has("arrival_req_per_s")) continue;
    const auto bucket = std::ranges::find_if(kUpTo, [&](int most) { return *n <= most; }) - kUpTo.begin();
    slices[{row.stack, static_cast<std::size_t>(bucket)}].push_back(&row);
  }
  std::string out = format("### Streams at once on {}\n\nDecode rates, times per token and rates of whole runs, median "
                           "of absolute errors over groups.\n\n",
                           machine);
  out += markdown_header({"stack", "streams", "groups", "all rows", "without model", "without source", "bias"}, 2);
  for (const auto& [key, rows] : slices) {
    const Score all = score(rows, FitOf::AllRows);
    if (all.groups == 0) continue;
    out += markdown_row({markdown_text(key.first), kNames[key.second], format("{}", all.groups),
                         percent(all.median_ape),
                         percent(score(rows, FitOf::WithoutModel).median_ape),
                         percent(score(rows, FitOf::WithoutSource).median_ape), signed_percent(all.bias)});
  }
  return out + "\n";
}

}  // namespace tinderbox
