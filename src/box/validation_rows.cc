#include "box/validation_rows.h"

#include <cstdlib>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox {
namespace {

RowKind row_kind_of(const Cells& cells) {
  const std::string &test = cells.text("test"), &metric = cells.text("metric");
  if (test == "memory") return RowKind::Memory;
  if (metric.starts_with("ttft_")) return RowKind::Ttft;
  if (test == "prefill") return RowKind::Prefill;
  const std::string& concurrency = cells.text("concurrency");
  const bool company = (!concurrency.empty() && concurrency != "1") || cells.has("arrival_req_per_s");
  const bool of_a_stream = metric == "tpot_ms" || (test == "decode" && metric == "tok_per_s_per_stream");
  if (of_a_stream && company) return RowKind::Tpot;
  if (test == "decode" || metric == "tpot_ms") return RowKind::Decode;
  return test == "serve" ? RowKind::Serve : RowKind::Other;
}

std::string load_of(const Cells& cells) {
  constexpr std::pair<const char*, const char*> kParts[] = {
      {"prompt", "prompt_tokens"}, {"mean prompt", "prompt_mean"}, {"gen", "gen_tokens"},
      {"mean gen", "gen_mean"},    {"depth", "depth"},             {"concurrency", "concurrency"},
      {"requests/s", "arrival_req_per_s"}};
  std::string load;
  for (const auto& [name, column] : kParts) {
    if (cells.has(column))
      load += format("{}{} {}", load.empty() ? "" : ", ", name, cells.text(column));
  }
  return load;
}

}  // namespace

std::string_view row_kind_name(RowKind kind) {
  switch (kind) {
    case RowKind::Decode:
      return "decode";
    case RowKind::Prefill:
      return "prefill";
    case RowKind::Ttft:
      return "TTFT";
    case RowKind::Tpot:
      return "TPOT";
    case RowKind::Serve:
      return "serve";
    case RowKind::Memory:
      return "memory";
    case RowKind::Other:
      return "other";
  }
  std::abort();
}

std::optional<double> PublishedRow::prediction(FitOf fit) const {
  switch (fit) {
    case FitOf::AllRows:
      return predicted;
    case FitOf::WithoutModel:
      return without_model ? without_model : predicted;
    case FitOf::WithoutSource:
      return without_source ? without_source : predicted;
  }
  std::abort();
}

Sample PublishedRow::sample(FitOf fit) const {
  const auto value = prediction(fit);
  CHECK(value.has_value());
  const double moved = *value / *predicted;
  return {group, measured, *value, low * moved, high * moved};
}

std::string model_family(const Catalogue& models, const std::string& id) {
  if (!models.has(id)) return "unknown";
  const auto config = nlohmann::json::parse(models.text(id), nullptr, false);
  if (!config.is_object() || !config.contains("model_type")) return "unknown";
  const auto& family = config["model_type"];
  return family.is_string() ? family.get<std::string>() : "unknown";
}

std::vector<PublishedRow> published_rows(std::size_t file, const Csv& csv,
                                         const ValidationReport& report, const Catalogue& models) {
  CHECK(report.rows.size() == csv.size());
  std::map<std::string, std::string> families;
  std::vector<PublishedRow> rows;
  rows.reserve(csv.size());
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const Cells cells(csv, i);
    const ValidationRow& answer = report.rows[i];
    PublishedRow& row = rows.emplace_back();
    row.file = file;
    row.index = i;
    row.id = answer.id;
    row.group = answer.group;
    row.source = cells.text("source");
    row.machine = cells.text("machine");
    row.stack = cells.text("stack_norm");
    row.model = cells.text("base");
    row.weights = cells.text("weights_norm");
    row.quality = cells.text("quality");
    row.test = cells.text("test");
    row.metric = cells.text("metric");
    row.unit = cells.text("unit");
    auto family = families.find(row.model);
    if (family == families.end())
      family = families.emplace(row.model, model_family(models, row.model)).first;
    row.family = family->second;
    row.load = load_of(cells);
    row.kind = row_kind_of(cells);
    row.speculation = cells.has("spec") && cells.text("spec") != "none";
    row.measured = answer.value;
    row.predicted = answer.predicted;
    row.low = answer.low;
    row.high = answer.high;
    row.refused = answer.reason;
  }
  return rows;
}

void add_left_out(const std::vector<PublishedRow*>& rows, const Calibration& calibration,
                  LeaveOut by) {
  CHECK(by == LeaveOut::Model || by == LeaveOut::Source);
  for (const CalibratedRow& fitted : calibration.rows) {
    PublishedRow& row = *rows.at(fitted.index);
    // A fit that wanders into refusals is none; such rows keep their one prediction.
    if (!row.predicted || !fitted.left_out) continue;
    (by == LeaveOut::Model ? row.without_model : row.without_source) = fitted.left_out;
  }
}

RowList where(const std::vector<PublishedRow>& rows, const RowFilter& filter) {
  RowList some;
  for (const PublishedRow& row : rows) {
    if (filter(row)) some.push_back(&row);
  }
  return some;
}

std::map<std::string, RowList> slices_of(const RowList& rows, const RowKey& key) {
  std::map<std::string, RowList> slices;
  for (const PublishedRow* row : rows) slices[key(*row)].push_back(row);
  return slices;
}

std::int64_t count_predicted(const RowList& rows) {
  std::int64_t n = 0;
  for (const PublishedRow* row : rows) n += row->predicted ? 1 : 0;
  return n;
}

Score score(const RowList& rows, FitOf fit) {
  std::vector<Sample> samples;
  for (const PublishedRow* row : rows) {
    if (row->predicted) samples.push_back(row->sample(fit));
  }
  return score(samples);
}

}  // namespace tinderbox
