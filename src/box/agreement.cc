#include "box/agreement.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kDepthMost = 2048;  // tokens: reading their keys is noise beside the weights

// Empty: not comparable.
std::string configuration(const PublishedRow& row, const Csv& csv) {
  const Cells cells(csv, row.index);
  if (cells.problem()) return {};
  const auto number = [&](const char* column, double missing) {
    return cells.number(column).value_or(missing);
  };
  const bool alone = number("nodes", 1) == 1 && number("concurrency", 1) == 1;
  if (!alone || number("depth", 0) > kDepthMost) return {};
  const double size =
      row.kind == RowKind::Prefill ? std::round(std::log2(number("prompt_tokens", 0) + 1)) : 0;
  return format("{} {} {} {} {} {} {}", row.machine, row.stack, row.model, row.weights, row.metric,
                cells.text("kv_norm"), size);
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

Agreement agreement(const Validation& validation, RowKind kind) {
  std::map<std::string, std::map<std::string, std::vector<double>>> configurations;
  for (const PublishedRow& row : validation.rows) {
    if (row.kind != kind || row.speculation) continue;
    const std::string key = configuration(row, validation.files.at(row.file).rows);
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
