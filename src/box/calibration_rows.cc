#include "box/calibration_rows.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"
#include "box/counted_prompts.h"
#include "twin/concurrency.h"
#include "twin/steady.h"

namespace tinderbox {
namespace {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

// Where a run was published; rows of files that do not say are runs of their own.
std::string run_key(const Csv& csv, std::size_t i) {
  return csv.at(i, "source") + "#" + csv.at(i, csv.has("locator") ? "locator" : "id");
}

// Output tokens a second of each run whose requests came when they came, by where it was published.
std::map<std::string, double> output_rates(const Csv& csv) {
  std::map<std::string, double> out;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const Cells cells(csv, i);
    if (cells.problem() || !cells.has("arrival_req_per_s") || cells.text("metric") != "tok_per_s") continue;
    out[run_key(csv, i)] = cells.number("value").value_or(0);
  }
  return out;
}

// The run's time per token as a steady load; nothing if it does not say how fast tokens came.
std::optional<CalibrationRow> steady(const CalibrationRow& row, double output_rate) {
  if (row.measured.reading != Reading::Tpot || output_rate <= 0) return std::nullopt;
  CalibrationRow out = row;
  const SimulateOptions& run = *row.measured.open_loop;
  out.steady = true;
  out.published = false;
  out.measured.point = {.prompt = run.workload.prompt,
                        .gen = run.workload.gen,
                        .depth = 0,
                        .concurrency = std::max<std::int64_t>(std::llround(output_rate * row.value), 1),
                        .step_tokens = run.step_tokens_max.value_or(0)};
  out.measured.open_loop.reset();
  const bool usable = out.measured.point.gen >= 2 && out.measured.point.prompt >= 1;
  return usable ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

CalibrationRows calibration_rows(const Csv& csv, Questioner& questioner) {
  CalibrationRows out;
  const std::map<std::string, double> rates = output_rates(csv), counted = counted_prompts(csv);
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const Cells cells(csv, i);
    if (cells.problem()) continue;  // validate lists them
    const Question q = questioner.question(cells);
    // Speculation has a fit of its own; saturated boxes, devices that share a model and what is presumed test this one.
    if (!q.measured || !q.measured->spec.empty() || q.measured->presumed) continue;
    if (q.measured->saturated || !q.measured->device.empty()) continue;
    CalibrationRow row{.index = i,
                       .id = csv.at(i, "id"),
                       .group = csv.at(i, "group"),
                       .source = csv.at(i, "source"),
                       .measured = *q.measured,
                       .value = *cells.number("value") / q.measured->scale};
    if (!row.measured.open_loop) {
      if (const auto share = counted.find(row.source); share != counted.end()) {
        out.tested.push_back(row);
        count_prompt(cells, share->second, row.measured);
        row.published = false;
      }
      out.fitted.push_back(std::move(row));
      continue;
    }
    const auto rate = rates.find(run_key(csv, i));
    if (auto load = steady(row, rate == rates.end() ? 0 : rate->second)) out.fitted.push_back(*std::move(load));
    out.tested.push_back(std::move(row));
  }
  return out;
}

std::size_t CalibrationSet::twin_of(const Measured& measured, Questioner& questioner) {
  const std::string key = measured.twin_key();
  const auto found = twin_index_.find(key);
  if (found != twin_index_.end()) return found->second;
  BuiltTwin built = questioner.build(measured);
  const std::size_t index = built.model ? twins_.size() : kNone;
  if (built.model) {
    twins_.push_back({*std::move(built.model), measured.kernel_path, measured.version});
  }
  twin_index_[key] = index;
  return index;
}

bool CalibrationSet::predictable(const StepModel& model, const CalibrationRow& row) const {
  try {
    if (row.steady) {
      steady_tpot(model, row.measured.point);
    } else {
      predict(model, row.measured.point);
    }
    return true;
  } catch (const Error& error) {
    if (error.code() != Error::Code::Unsupported) throw;
    return false;
  }
}

CalibrationSet::CalibrationSet(std::vector<CalibrationRow> rows, Questioner& questioner) {
  std::map<std::string, std::size_t> job_of;
  for (CalibrationRow& row : rows) {
    const std::size_t twin = twin_of(row.measured, questioner);
    if (twin == kNone) continue;
    row.measured.point = within_pool(twins_[twin].model, row.measured.point);
    const std::string load =
        row.measured.twin_key() + "#" + row.measured.load_key() + (row.steady ? "|steady" : "");
    auto job = job_of.find(load);
    if (job == job_of.end()) {
      if (!predictable(twins_[twin].model, row)) continue;
      job = job_of.emplace(load, jobs_.size()).first;
      jobs_.push_back({.twin = twin, .rows = {}});
    }
    jobs_[job->second].rows.push_back(rows_.size());
    rows_.push_back(std::move(row));
  }
  std::map<std::string, int> n_of_group;
  for (const CalibrationRow& row : rows_) ++n_of_group[row.group];
  for (CalibrationRow& row : rows_) row.weight = 1.0 / n_of_group[row.group];
}

Eigen::VectorXd CalibrationSet::weights() const {
  Eigen::VectorXd out(static_cast<Eigen::Index>(rows_.size()));
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    out[static_cast<Eigen::Index>(i)] = rows_[i].weight;
  }
  return out;
}

Eigen::VectorXd CalibrationSet::residuals(const std::function<StepModel(const Twin&)>& changed,
                                          ThreadPool& pool) const {
  std::vector<StepModel> models;
  models.reserve(twins_.size());
  for (const Twin& twin : twins_) models.push_back(changed(twin));
  Eigen::VectorXd out(static_cast<Eigen::Index>(rows_.size()));
  // Jobs differ in cost: dealt out in turn.
  const auto n_deals = static_cast<std::size_t>(pool.n_threads());
  pool.parallel_for(n_deals, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t deal = begin; deal < end; ++deal) {
      for (std::size_t j = deal; j < jobs_.size(); j += n_deals) {
        const Job& job = jobs_[j];
        const StepModel& model = models[job.twin];
        const CalibrationRow& first = rows_[job.rows.front()];
        const bool steady = first.steady;
        const Prediction p = steady ? Prediction{} : predict(model, first.measured.point);
        const double tpot = steady ? steady_tpot(model, first.measured.point).value() : 0;
        for (const std::size_t r : job.rows) {
          const double value = steady ? tpot : read_off(p, rows_[r].measured, model.twin().stack);
          out[static_cast<Eigen::Index>(r)] = std::log(value / rows_[r].value);
        }
      }
    }
  });
  return out;
}

Eigen::VectorXd CalibrationSet::without(const Key& key_of, const std::string& key) const {
  Eigen::VectorXd use(static_cast<Eigen::Index>(rows_.size()));
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    use[static_cast<Eigen::Index>(i)] = key_of(rows_[i]) == key ? 0 : 1;
  }
  return use;
}

double macro_median(const std::vector<CalibrationRow>& rows, const Eigen::VectorXd& residuals) {
  std::map<std::string, std::vector<double>> groups;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    groups[rows[i].group].push_back(std::abs(std::expm1(residuals[static_cast<Eigen::Index>(i)])));
  }
  std::vector<double> medians;
  for (auto& [group, errors] : groups) medians.push_back(quantile(std::move(errors), 0.5));
  return medians.empty() ? 0 : quantile(std::move(medians), 0.5);
}

}  // namespace tinderbox
