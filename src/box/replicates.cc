#include "box/replicates.h"

#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kDepthMost = 2048;  // tokens: reading their keys is noise beside the weights

// A cell's number; empty cells are `missing`, cells that are no number nothing.
std::optional<double> number(const Csv& csv, std::size_t row, std::string_view column,
                             double missing) {
  const std::string_view text = csv.at(row, column);
  return text.empty() ? std::optional(missing) : parse_double(text);
}

// Empty: not comparable.
std::string configuration(const PublishedRow& row, RowKind kind, const Csv& csv) {
  const auto nodes = number(csv, row.index, "nodes", 1), streams = number(csv, row.index, "concurrency", 1),
             depth = number(csv, row.index, "depth", 0),
             prompt = number(csv, row.index, "prompt_tokens", 0);
  if (!nodes || !streams || !depth || !prompt) return {};
  if (*nodes != 1 || *streams != 1 || *depth > kDepthMost) return {};
  const double size = kind == RowKind::Prefill ? std::round(std::log2(*prompt + 1)) : 0;
  return format("{} {} {} {} {} {} {}", row.machine, row.stack, row.model, row.weights, row.metric,
                csv.at(row.index, "kv_norm"), size);
}

std::string publisher(const PublishedRow& row) { return row.group.substr(0, row.group.find('.')); }

// Median error of each as a prediction of each other.
double disagreement(const std::vector<double>& values) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (i != j) errors.push_back(std::abs(values[i] / values[j] - 1));
    }
  }
  return quantile(std::move(errors), 0.5);
}

}  // namespace

Agreement agreement(const std::vector<PublishedRow>& rows, RowKind kind,
                    const std::vector<const Csv*>& files) {
  std::map<std::string, std::map<std::string, std::vector<double>>> configurations;
  for (const PublishedRow& row : rows) {
    if (row.kind != kind || row.speculation || row.measured <= 0) continue;
    const std::string key = configuration(row, kind, *files.at(row.file));
    if (!key.empty()) configurations[key][publisher(row)].push_back(row.measured);
  }
  Agreement out;
  std::vector<double> errors;
  for (auto& [key, by_publisher] : configurations) {
    if (by_publisher.size() < 2) continue;
    std::vector<double> medians;
    for (auto& [name, values] : by_publisher) medians.push_back(quantile(std::move(values), 0.5));
    errors.push_back(disagreement(medians));
    ++out.configurations;
    out.publishers += static_cast<std::int64_t>(medians.size());
  }
  if (errors.empty()) return out;
  out.median_ape = quantile(errors, 0.5);
  out.p90_ape = quantile(std::move(errors), 0.9);
  return out;
}

}  // namespace tinderbox
