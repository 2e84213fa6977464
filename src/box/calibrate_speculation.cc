#include "box/calibrate_speculation.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kGroupSpread = 0.3;  // of the logarithm of tokens a step, between groups of one method
constexpr double kGroupsMin = 5;      // fewer say nothing about an interval
constexpr int kHalvings = 24;

struct Row {
  const StepModel* model;
  Measured measured;
  std::string group;
  double value = 0;   // base units
  double weight = 0;  // 1 / rows of its group
};

// Where the rows' weights below reach the share of all; between two rows if they just do.
double weighted_quantile(const std::vector<Row>& rows, const std::vector<double>& of, double share) {
  std::vector<std::pair<double, double>> sorted;
  double total = 0, below = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    sorted.emplace_back(of[i], rows[i].weight);
    total += rows[i].weight;
  }
  std::ranges::sort(sorted);
  const double wanted = share * total, slack = 1e-9 * total;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    below += sorted[i].second;
    if (below > wanted + slack) return sorted[i].first;
    if (below > wanted - slack) return (sorted[i].first + sorted[std::min(i + 1, sorted.size() - 1)].first) / 2;
  }
  return sorted.back().first;
}

// log(measured / predicted) of a rate, when a step keeps so many.
double log_ratio(const Row& row, double accepted) {
  const StepModel model = row.model->with_accepted(accepted);
  const double predicted = read_off(predict(model, row.measured.point), row.measured, model.twin().stack);
  const double ratio = std::log(row.value / predicted);
  return row.measured.reading == Reading::Tpot ? -ratio : ratio;
}

// The accepted tokens that give the measured value: more are never slower.
double implied(const Row& row) {
  double low = 0, high = static_cast<double>(row.model->twin().speculation->n_draft);
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (log_ratio(row, middle) > 0 ? low : high) = middle;
  }
  return (low + high) / 2;
}

bool depends_on_acceptance(const Measured& m) {
  return !m.spec.empty() && !m.accepted && !m.presumed && !m.open_loop && metric_of(m) != Metric::Ttft &&
         m.reading != Reading::PrefillRate;
}

// Whether the twin can say anything of the row.
bool answers(const Row& row) {
  try {
    predict(*row.model, row.measured.point);
    return true;
  } catch (const Error& error) {
    if (error.code() != Error::Code::Unsupported) throw;
    return false;
  }
}

using Twins = std::map<std::string, BuiltTwin>;

std::map<std::string, std::vector<Row>> rows_by_method(const Csv& csv, Questioner& questioner, Twins& twins) {
  std::map<std::string, std::vector<Row>> out;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const Question q = questioner.question(Cells(csv, i));
    if (!q.measured || !depends_on_acceptance(*q.measured)) continue;
    const auto value = parse_double(csv.at(i, "value"));
    if (!value || *value <= 0) {
      throw_invalid(format("measurement '{}': value '{}' is not a positive number", csv.at(i, "id"),
                           csv.at(i, "value")));
    }
    const std::string key = q.measured->twin_key();
    if (!twins.contains(key)) twins.emplace(key, questioner.build(*q.measured));
    const BuiltTwin& twin = twins.at(key);
    if (!twin.model) continue;
    const Row row{.model = &*twin.model,
                  .measured = *q.measured,
                  .group = csv.at(i, "group"),
                  .value = *value / q.measured->scale};
    if (answers(row)) out[row.measured.spec].push_back(row);
  }
  for (auto& [method, rows] : out) {
    std::map<std::string, int> n_of_group;
    for (const Row& row : rows) ++n_of_group[row.group];
    for (Row& row : rows) row.weight = 1.0 / n_of_group[row.group];
  }
  return out;
}

// The median and the prior by what each is worth, in the logarithm of tokens a step, which rates are proportional to.
FittedParameter fitted_acceptance(const Speculation& method, const std::vector<Row>& rows, double n_groups) {
  const auto fact = std::ranges::find(method.facts, "draft.accepted_tokens", &Fact::key);
  CHECK(fact != method.facts.end() && fact->fit);
  std::vector<double> logs;
  for (const Row& row : rows) logs.push_back(std::log1p(implied(row)));
  const double prior = fact->fit->prior, median = weighted_quantile(rows, logs, 0.5);
  const double spread = fact->fit->spread * prior / (1 + prior);  // of 1 + accepted
  const double worth = n_groups / (kGroupSpread * kGroupSpread), prior_worth = 1 / (spread * spread);
  const double log = (worth * median + prior_worth * std::log1p(prior)) / (worth + prior_worth);
  return {.key = "draft.accepted_tokens",
          .value = std::clamp(std::expm1(log), 0.01, static_cast<double>(method.n_draft)),
          .prior = prior,
          .spread = fact->fit->spread,
          .error = (1 + prior) / prior / std::sqrt(worth + prior_worth),
          .n_rows = static_cast<std::int64_t>(rows.size())};
}

FittedStack fitted_method(const Speculation& method, const std::vector<Row>& rows) {
  std::map<std::string, std::vector<double>> errors;  // by group
  for (const Row& row : rows) errors[row.group];
  const auto n_groups = static_cast<double>(errors.size());
  FittedStack out{.id = method.id, .parameters = {}};
  out.parameters.push_back(fitted_acceptance(method, rows, n_groups));
  out.n_rows = static_cast<std::int64_t>(rows.size());
  out.n_groups = static_cast<std::int64_t>(errors.size());
  std::vector<double> ratios, medians;
  for (const Row& row : rows) {
    ratios.push_back(log_ratio(row, out.parameters.front().value));
    errors[row.group].push_back(std::abs(std::expm1(-ratios.back())));
  }
  for (auto& [group, some] : errors) medians.push_back(quantile(std::move(some), 0.5));
  out.median_ape = quantile(std::move(medians), 0.5);
  if (n_groups < kGroupsMin) return out;
  out.intervals[static_cast<std::size_t>(Metric::Decode)] = {
      .low = std::exp(std::min(weighted_quantile(rows, ratios, 0.05), 0.0)),
      .high = std::exp(std::max(weighted_quantile(rows, ratios, 0.95), 0.0))};
  return out;
}

}  // namespace

std::vector<FittedStack> calibrate_speculation(const Csv& csv, const TwinCatalogues& catalogues) {
  CHECK(catalogues.speculation != nullptr);
  Questioner questioner(catalogues);
  Twins twins;
  std::vector<FittedStack> out;
  for (const auto& [id, rows] : rows_by_method(csv, questioner, twins)) {
    out.push_back(fitted_method(parse_speculation(catalogues.speculation->text(id), id), rows));
  }
  return out;
}

}  // namespace tinderbox
