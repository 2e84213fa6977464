#include "box/serving_runs.h"

#include <memory>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "box/load_margin.h"
#include "box/trace.h"

namespace tinderbox {
namespace {

constexpr ServingFigure kFigures[] = {
    {"tpot_mean_ms", "TPOT mean", [](const Report& r) { return 1e3 * r.tpot.mean.value(); }},
    {"tpot_p50_ms", "TPOT p50", [](const Report& r) { return 1e3 * r.tpot.p50.value(); }},
    {"tpot_p99_ms", "TPOT p99", [](const Report& r) { return 1e3 * r.tpot.p99.value(); }},
    {"ttft_mean_ms", "TTFT mean", [](const Report& r) { return 1e3 * r.ttft.mean.value(); }},
    {"ttft_p50_ms", "TTFT p50", [](const Report& r) { return 1e3 * r.ttft.p50.value(); }},
    {"ttft_p99_ms", "TTFT p99", [](const Report& r) { return 1e3 * r.ttft.p99.value(); }},
    {"itl_p50_ms", "ITL p50", [](const Report& r) { return 1e3 * r.itl.p50.value(); }},
    {"itl_p99_ms", "ITL p99", [](const Report& r) { return 1e3 * r.itl.p99.value(); }},
    {"e2e_mean_ms", "E2E mean", [](const Report& r) { return 1e3 * r.e2e.mean.value(); }},
    {"e2e_p99_ms", "E2E p99", [](const Report& r) { return 1e3 * r.e2e.p99.value(); }},
    {"duration_s", "duration", [](const Report& r) { return r.duration.value(); }},
};

ServingRun read_run(const Csv& csv, std::size_t i, const std::string& folder, Questioner& questioner) {
  const Cells cells(csv, i);
  if (const auto problem = cells.problem()) throw_invalid(*problem);
  Question question = questioner.question(cells);
  if (!question.measured || !question.measured->open_loop) {
    throw_invalid(format("{}: row '{}' is no run to simulate: {}", csv.where(i), csv.at(i, "id"),
                         question.refused == nullptr ? "no arrival_req_per_s" : question.refused));
  }
  ServingRun run{.id = csv.at(i, "id"),
                 .source = csv.at(i, "source"),
                 .dataset = csv.at(i, "dataset"),
                 .note = csv.at(i, "note"),
                 .measured = *std::move(question.measured),
                 .values = {}};
  SimulateOptions& options = *run.measured.open_loop;
  options.workload.trace = std::make_shared<const Trace>(load_trace(folder + "/" + csv.at(i, "requests")));
  options.prefix_cache = csv.at(i, "prefix_cache") == "on";
  for (const ServingFigure& figure : kFigures) {
    const std::string& cell = csv.at(i, figure.column);
    if (cell.empty()) continue;
    const auto value = parse_double(cell);
    if (!value || !(*value > 0)) {
      throw_invalid(format("{}: column {} has '{}', not a number above 0", csv.where(i), figure.column, cell));
    }
    run.values[std::string(figure.column)] = *value;
  }
  return run;
}

StepModel with_numbers(const StepModel& model, const Numbers& numbers) {
  Stack stack = model.twin().stack;
  for (const StackParameter& p : parameters(stack)) {
    if (const auto found = numbers.find(p.key); found != numbers.end()) *p.value = found->second;
  }
  return model.with_stack(std::move(stack));
}

void serve(ServedRun& served, Questioner& questioner, const LeftOutNumbers& fits) {
  const Measured& measured = served.run.measured;
  const BuiltTwin built = questioner.build(measured);
  if (!built.model) {
    served.refused = built.refused;
    return;
  }
  const SimulateOptions& options = *measured.open_loop;
  const SimulationResult result = simulate(*built.model, options);
  served.report = result.report;
  const LoadMargin margin = load_margin(*built.model, options, result);
  if (margin.why_not.empty()) served.load = margin.share();
  const auto stack = fits.find(measured.stack);
  if (stack == fits.end()) return;
  if (const auto numbers = stack->second.find(served.run.source); numbers != stack->second.end()) {
    served.unseen = simulate(with_numbers(*built.model, numbers->second), options).report;
  }
}

}  // namespace

std::span<const ServingFigure> serving_figures() { return kFigures; }

std::optional<double> ServedRun::error(const ServingFigure& figure, Fit fit) const {
  const auto measured = run.values.find(std::string(figure.column));
  if (measured == run.values.end() || !refused.empty()) return std::nullopt;
  return figure.of(unseen && fit == Fit::WithoutSource ? *unseen : report) / measured->second - 1;
}

std::vector<ServingRun> read_serving_runs(const Csv& csv, const std::string& requests_folder,
                                          Questioner& questioner) {
  std::vector<ServingRun> out;
  for (std::size_t i = 0; i < csv.size(); ++i) out.push_back(read_run(csv, i, requests_folder, questioner));
  return out;
}

std::vector<ServedRun> serve_runs(std::vector<ServingRun> runs, Questioner& questioner, const LeftOutNumbers& fits) {
  std::vector<ServedRun> out;
  for (ServingRun& run : runs) {
    ServedRun& served = out.emplace_back();
    served.run = std::move(run);
    try {
      serve(served, questioner, fits);
    } catch (const Error& error) {
      served.refused = error.what();
    }
  }
  return out;
}

std::string served_csv(const std::vector<ServedRun>& runs) {
  std::string out = "id,machine,model,weights,stack,load";
  for (const ServingFigure& f : kFigures) out += format(",{0},{0}_simulated", f.column);
  out += ",note\n";
  for (const ServedRun& served : runs) {
    const Measured& m = served.run.measured;
    out += format("{},{},{},{},{},{}", csv_field(served.run.id), m.machine, m.model, m.weights, m.stack,
                  served.load > 0 ? format("{:.3f}", served.load) : "");
    for (const ServingFigure& f : kFigures) {
      const auto value = served.run.values.find(std::string(f.column));
      out += value == served.run.values.end() ? "," : format(",{}", value->second);
      const Report& report = served.unseen ? *served.unseen : served.report;
      out += served.refused.empty() ? format(",{:.5g}", f.of(report)) : ",";
    }
    out += "," + csv_field(served.refused.empty() ? served.run.note : served.refused) + "\n";
  }
  return out;
}

}  // namespace tinderbox
