#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/quantile.h"
#include "base/thread_pool.h"
#include "box/calibrate_body.h"
#include "box/power_rows.h"
#include "box/robust_fit.h"

namespace tinderbox {
namespace {

// As for heat: means over minutes need no ticks of a tenth of a second.
constexpr double kTick = 1;  // s
constexpr int kRefineSteps = 6;

class PowerFit {
 public:
  PowerFit(std::string_view toml, const std::string& id, const std::vector<PowerRow>& rows,
           int n_threads)
      : toml_(toml), id_(id), rows_(rows), pool_(n_threads) {
    parameters_ = fitted_numbers(parse_machine(toml, id), {"body.energy."});
    const auto n = static_cast<Eigen::Index>(parameters_.size());
    problem_.prior.resize(n);
    problem_.spread.resize(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      problem_.prior[i] = std::log(parameters_[static_cast<std::size_t>(i)].prior);
      problem_.spread[i] = parameters_[static_cast<std::size_t>(i)].spread;
    }
    // A source's rows together count as the square root of their number would, as do a box's.
    std::map<std::string, double> rows_of;
    for (const PowerRow& row : rows_) rows_of[row.source] += 1;
    problem_.weight.resize(static_cast<Eigen::Index>(rows_.size()));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      problem_.weight[static_cast<Eigen::Index>(i)] = 1 / std::sqrt(rows_of[rows_[i].source]);
    }
    problem_.outlier = 0.15;  // one reading of a meter each
    problem_.residuals = [this](const Eigen::VectorXd& x) {
      const std::vector<double> watts = predicted(x);
      Eigen::VectorXd out(static_cast<Eigen::Index>(watts.size()));
      for (std::size_t i = 0; i < watts.size(); ++i) {
        out[static_cast<Eigen::Index>(i)] = std::log(watts[i] / rows_[i].measured);
      }
      return out;
    };
  }

  Eigen::VectorXd fit(const std::string& left_out, const Eigen::VectorXd* start) {
    Eigen::VectorXd use(problem_.weight.size());
    for (std::size_t i = 0; i < rows_.size(); ++i)
      use[static_cast<Eigen::Index>(i)] = rows_[i].model != left_out;
    RobustFit fit(problem_);
    const Eigen::VectorXd x =
        start == nullptr ? fit.fit(use) : fit.refine(*start, use, kRefineSteps);
    errors_ = fit.errors();
    moved_ = fit.rows_moved();
    return x;
  }

  std::vector<double> predicted(const Eigen::VectorXd& x) {
    std::vector<double> values;
    for (Eigen::Index i = 0; i < x.size(); ++i) values.push_back(std::exp(x[i]));
    BodyFacts facts = *with_values(toml_, id_, parameters_, values).body;
    facts.loop = facts.fan_interval = Seconds(kTick);
    const Body body(facts, {.room = facts.room_prior});
    std::vector<double> out(rows_.size());
    pool_.parallel_for(rows_.size(), 1, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) out[i] = steady_smi(body, rows_[i].phases).value();
    });
    return out;
  }

  std::vector<FittedParameter> fitted(const Eigen::VectorXd& x) const {
    std::vector<FittedParameter> out = parameters_;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto k = static_cast<Eigen::Index>(i);
      out[i].value = std::exp(x[k]);
      out[i].error = errors_[k];
      out[i].n_rows = moved_[i];
    }
    return out;
  }

 private:
  std::string toml_, id_;
  const std::vector<PowerRow>& rows_;
  ThreadPool pool_;
  std::vector<FittedParameter> parameters_;
  FitProblem problem_;
  Eigen::VectorXd errors_;
  std::vector<std::int64_t> moved_;
};

}  // namespace

std::string with_fitted(std::string toml, const PowerCalibration& power) {
  toml = with_fitted(std::move(toml), power.machine);
  if (power.low == 1 && power.high == 1) return toml;
  toml = with_number(std::move(toml), power.machine.id, "body.interval.smi_low_ratio", power.low);
  return with_number(std::move(toml), power.machine.id, "body.interval.smi_high_ratio", power.high);
}

PowerCalibration calibrate_power(std::string_view toml, const std::string& id, const Csv& csv,
                                 const TwinCatalogues& catalogues,
                                 const BodyCalibrationOptions& options,
                                 const CalibrationProgress& progress) {
  const PowerRows read = read_power_rows(csv, catalogues);
  if (read.rows.empty())
    throw_not_found("measurements: no row of test power with reading gpu-smi can be predicted");
  if (progress) progress("fitting energies to " + std::to_string(read.rows.size()) + " powers");
  PowerFit power(toml, id, read.rows, options.n_threads);
  const Eigen::VectorXd x = power.fit("", nullptr);
  PowerCalibration out;
  out.machine.id = id;
  out.machine.parameters = power.fitted(x);
  out.machine.n_rows = static_cast<std::int64_t>(read.rows.size());
  out.refused = read.refused;
  const std::vector<double> watts = power.predicted(x);
  std::set<std::string> models;
  for (std::size_t i = 0; i < read.rows.size(); ++i) {
    const PowerRow& row = read.rows[i];
    out.rows.push_back(
        {.index = row.index, .model = row.model, .measured = row.measured, .fitted = watts[i]});
    models.insert(row.model);
  }
  out.machine.n_groups = static_cast<std::int64_t>(models.size());
  std::vector<double> errors, left_out, ratios;
  for (const PowerScore& row : out.rows) errors.push_back(std::abs(row.fitted / row.measured - 1));
  out.median_ape = out.machine.median_ape = quantile(errors, 0.5);
  if (options.leave_out_sources && models.size() > 1) {
    for (const std::string& model : models) {
      const std::vector<double> unseen = power.predicted(power.fit(model, &x));
      for (std::size_t i = 0; i < out.rows.size(); ++i) {
        if (out.rows[i].model != model) continue;
        out.rows[i].left_out = unseen[i];
        ratios.push_back(out.rows[i].measured / unseen[i]);
        left_out.push_back(std::abs(unseen[i] / out.rows[i].measured - 1));
      }
    }
    out.left_out_ape = quantile(left_out, 0.5);
    out.low = std::min(1.0, quantile(ratios, 0.05));
    out.high = std::max(1.0, quantile(ratios, 0.95));
  }
  return out;
}

}  // namespace tinderbox
