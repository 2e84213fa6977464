#include "box/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include <Eigen/Dense>

#include "base/check.h"
#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"
#include "base/thread_pool.h"

namespace tinderbox {
namespace {

// Between good sources measurements differ by some per cent; residuals well beyond are outliers.
constexpr double kNoise = 0.06;    // standard deviation of the logarithm of a group's typical row
constexpr double kOutlier = 0.15;  // residual at which a row's weight has halved (Cauchy)
// From the priors most rows look like outliers: the fit begins with a wider scale and narrows it.
constexpr std::array kOutlierStages = {0.6, 0.3, kOutlier};
constexpr double kStep = 1e-3;     // of the logarithm of a parameter, for differences
constexpr int kIterationsMax = 12;
constexpr double kGroupsMin = 12;  // fewer have no tails
constexpr double kConverged = 2e-3;  // largest move of a logarithm

struct Row {
  std::size_t index = 0;  // in the file
  std::string id, group, source, model;
  Measured measured;
  double value = 0;
  double weight = 0;  // 1 / rows of its group
};

// Rows that one prediction answers.
struct Job {
  std::size_t twin = 0;
  std::vector<std::size_t> rows;
};

struct Twin {
  StepModel model;
  std::string kernel_path, version;
};

class StackData {
 public:
  StackData(Stack stack, std::vector<Row> rows, Questioner& questioner);

  const std::vector<Row>& rows() const { return rows_; }
  const Stack& stack() const { return stack_; }
  // log(predicted / measured) of every row with the stack's numbers.
  Eigen::VectorXd residuals(const Stack& stack, ThreadPool& pool) const;

 private:
  void index_jobs();

  Stack stack_;
  std::vector<Row> rows_;
  std::vector<Twin> twins_;
  std::vector<Job> jobs_;
};

StackData::StackData(Stack stack, std::vector<Row> rows, Questioner& questioner)
    : stack_(std::move(stack)) {
  std::map<std::string, std::optional<std::size_t>> twin_of;
  std::map<std::string, std::size_t> job_of;
  for (Row& row : rows) {
    const std::string key = row.measured.twin_key();
    auto found = twin_of.find(key);
    if (found == twin_of.end()) {
      BuiltTwin built = questioner.build(row.measured);
      std::optional<std::size_t> at;
      if (built.model) {
        at = twins_.size();
        twins_.push_back({*std::move(built.model), row.measured.kernel_path, row.measured.version});
      }
      found = twin_of.emplace(key, at).first;
    }
    if (!found->second) continue;
    const StepModel& model = twins_[*found->second].model;
    const std::string load = key + "#" + row.measured.load_key();
    if (!job_of.contains(load)) {
      try {
        predict(model, row.measured.point);
      } catch (const Error& error) {
        if (error.code() != Error::Code::Unsupported) throw;
        continue;
      }
      job_of[load] = jobs_.size();
      jobs_.push_back({.twin = *found->second, .rows = {}});
    }
    jobs_[job_of[load]].rows.push_back(rows_.size());
    rows_.push_back(std::move(row));
  }
  std::map<std::string, int> n_of_group;
  for (const Row& row : rows_) ++n_of_group[row.group];
  for (Row& row : rows_) row.weight = 1.0 / n_of_group[row.group];
}

Eigen::VectorXd StackData::residuals(const Stack& stack, ThreadPool& pool) const {
  std::vector<StepModel> models;
  models.reserve(twins_.size());
  for (const Twin& twin : twins_) {
    models.push_back(twin.model.with_stack(with_path(stack, twin.kernel_path, twin.version)));
  }
  Eigen::VectorXd out(static_cast<Eigen::Index>(rows_.size()));
  // Jobs differ in cost: dealt out in turn.
  const auto n_deals = static_cast<std::size_t>(pool.n_threads());
  pool.parallel_for(n_deals, 1, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t deal = begin; deal < end; ++deal) {
      for (std::size_t j = deal; j < jobs_.size(); j += n_deals) {
        const Job& job = jobs_[j];
        const StepModel& model = models[job.twin];
        const Prediction p = predict(model, rows_[job.rows.front()].measured.point);
        for (const std::size_t r : job.rows) {
          const double value = read_off(p, rows_[r].measured, model.twin().stack);
          out[static_cast<Eigen::Index>(r)] = std::log(value / rows_[r].value);
        }
      }
    }
  });
  return out;
}

struct Priors {
  Eigen::VectorXd mean, spread;  // of the logarithms
};

Priors priors_of(Stack stack) {
  const std::vector<StackParameter> list = parameters(stack);
  Priors priors;
  priors.mean.resize(static_cast<Eigen::Index>(list.size()));
  priors.spread.resizeLike(priors.mean);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto fact = std::ranges::find(stack.facts, list[i].key, &Fact::key);
    CHECK(fact != stack.facts.end());
    const bool fitted = fact->fit.has_value();
    const auto at = static_cast<Eigen::Index>(i);
    priors.mean[at] = std::log(std::max(fitted ? fact->fit->prior : *list[i].value, 1e-12));
    priors.spread[at] = fitted ? fact->fit->spread : 0;
  }
  return priors;
}

Stack with_logarithms(Stack stack, const Eigen::VectorXd& x) {
  const std::vector<StackParameter> list = parameters(stack);
  for (std::size_t i = 0; i < list.size(); ++i) {
    *list[i].value = std::exp(x[static_cast<Eigen::Index>(i)]);
  }
  return stack;
}

// A fit of one stack to a subset of its rows.
class Fitter {
 public:
  Fitter(const StackData& data, ThreadPool& pool)
      : data_(data), pool_(pool), base_(data.stack()), priors_(priors_of(data.stack())) {
    base_.facts.clear();  // copied a thousand times
    base_.sources.clear();
    for (Eigen::Index i = 0; i < priors_.mean.size(); ++i) {
      if (priors_.spread[i] > 0) free_.push_back(i);
    }
  }

  // Takes the parameters that another stack's file has too, by key, for the means of the priors.
  void believe(const std::map<std::string, double>& logarithms) {
    Stack stack = base_;
    const std::vector<StackParameter> list = parameters(stack);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto found = logarithms.find(list[i].key);
      const auto at = static_cast<Eigen::Index>(i);
      if (found == logarithms.end()) continue;
      priors_.mean[at] = found->second;
    }
  }
  std::map<std::string, double> by_key(const Eigen::VectorXd& x) const {
    Stack stack = base_;
    std::map<std::string, double> out;
    const std::vector<StackParameter> list = parameters(stack);
    for (std::size_t i = 0; i < list.size(); ++i) out[list[i].key] = x[static_cast<Eigen::Index>(i)];
    return out;
  }

  // use[i] is 0 for a row left out.
  Eigen::VectorXd fit(const Eigen::VectorXd& start, const Eigen::VectorXd& use, int iterations_max);
  Eigen::VectorXd fit(const Eigen::VectorXd& use) {
    Eigen::VectorXd x = priors_.mean;
    for (const double stage : kOutlierStages) {
      outlier_ = stage;
      x = fit(x, use, kIterationsMax);
    }
    return x;
  }
  Eigen::VectorXd residuals(const Eigen::VectorXd& x) const {
    return data_.residuals(with_logarithms(base_, x), pool_);
  }
  // Of the last fit.
  Eigen::VectorXd errors() const;
  std::vector<std::int64_t> rows_moved() const;
  const Priors& priors() const { return priors_; }

 private:
  Eigen::MatrixXd jacobian(const Eigen::VectorXd& x, const Eigen::VectorXd& r) const;
  Eigen::VectorXd weights(const Eigen::VectorXd& r, const Eigen::VectorXd& use) const;
  double cost(const Eigen::VectorXd& x, const Eigen::VectorXd& r, const Eigen::VectorXd& use) const;
  Eigen::MatrixXd normal(const Eigen::MatrixXd& j, const Eigen::VectorXd& w) const;

  const StackData& data_;
  ThreadPool& pool_;
  Stack base_;
  Priors priors_;
  std::vector<Eigen::Index> free_;
  double outlier_ = kOutlier;
  Eigen::MatrixXd last_jacobian_, last_normal_;
};

// Cauchy's loss: the logarithm of 1 + (r / c)^2.
double Fitter::cost(const Eigen::VectorXd& x, const Eigen::VectorXd& r,
                    const Eigen::VectorXd& use) const {
  double sum = 0;
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    const double ratio = r[i] / outlier_;
    sum += use[i] * data_.rows()[static_cast<std::size_t>(i)].weight * outlier_ * outlier_ /
           (kNoise * kNoise) * std::log1p(ratio * ratio);
  }
  for (const Eigen::Index i : free_) {
    const double z = (x[i] - priors_.mean[i]) / priors_.spread[i];
    sum += z * z;
  }
  return sum;
}

Eigen::VectorXd Fitter::weights(const Eigen::VectorXd& r, const Eigen::VectorXd& use) const {
  Eigen::VectorXd w(r.size());
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    const double ratio = r[i] / outlier_;
    w[i] = use[i] * data_.rows()[static_cast<std::size_t>(i)].weight /
           (kNoise * kNoise * (1 + ratio * ratio));
  }
  return w;
}

Eigen::MatrixXd Fitter::jacobian(const Eigen::VectorXd& x, const Eigen::VectorXd& r) const {
  Eigen::MatrixXd j(r.size(), static_cast<Eigen::Index>(free_.size()));
  for (std::size_t k = 0; k < free_.size(); ++k) {
    Eigen::VectorXd moved = x;
    moved[free_[k]] += kStep;
    j.col(static_cast<Eigen::Index>(k)) = (residuals(moved) - r) / kStep;
  }
  return j;
}

Eigen::MatrixXd Fitter::normal(const Eigen::MatrixXd& j, const Eigen::VectorXd& w) const {
  Eigen::MatrixXd a = j.transpose() * w.asDiagonal() * j;
  for (std::size_t k = 0; k < free_.size(); ++k) {
    const double spread = priors_.spread[free_[k]];
    a(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(k)) += 1 / (spread * spread);
  }
  return a;
}

Eigen::VectorXd Fitter::fit(const Eigen::VectorXd& start, const Eigen::VectorXd& use,
                            int iterations_max) {
  Eigen::VectorXd x = start;
  Eigen::VectorXd r = residuals(x);
  double best = cost(x, r, use), damping = 1e-3;
  for (int iteration = 0; iteration < iterations_max; ++iteration) {
    last_jacobian_ = jacobian(x, r);
    const Eigen::VectorXd w = weights(r, use);
    last_normal_ = normal(last_jacobian_, w);
    Eigen::VectorXd gradient = last_jacobian_.transpose() * w.asDiagonal() * r;
    for (std::size_t k = 0; k < free_.size(); ++k) {
      const Eigen::Index i = free_[k];
      gradient[static_cast<Eigen::Index>(k)] +=
          (x[i] - priors_.mean[i]) / (priors_.spread[i] * priors_.spread[i]);
    }
    double move = 0;
    for (bool better = false; !better && damping < 1e6;) {
      Eigen::MatrixXd damped = last_normal_;
      damped.diagonal() *= 1 + damping;
      const Eigen::VectorXd delta = damped.ldlt().solve(-gradient);
      Eigen::VectorXd next = x;
      for (std::size_t k = 0; k < free_.size(); ++k) {
        next[free_[k]] += std::clamp(delta[static_cast<Eigen::Index>(k)], -1.0, 1.0);
      }
      const Eigen::VectorXd next_r = residuals(next);
      const double next_cost = cost(next, next_r, use);
      better = next_cost < best;
      if (better) {
        move = (next - x).cwiseAbs().maxCoeff();
        x = next;
        r = next_r;
        best = next_cost;
        damping = std::max(damping / 10, 1e-6);
      } else {
        damping *= 10;
      }
    }
    if (move < kConverged) break;
  }
  return x;
}

Eigen::VectorXd Fitter::errors() const {
  Eigen::VectorXd all = Eigen::VectorXd::Zero(priors_.mean.size());
  const Eigen::MatrixXd covariance = last_normal_.inverse();
  for (std::size_t k = 0; k < free_.size(); ++k) {
    const auto at = static_cast<Eigen::Index>(k);
    all[free_[k]] = std::sqrt(std::max(covariance(at, at), 0.0));
  }
  return all;
}

std::vector<std::int64_t> Fitter::rows_moved() const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(priors_.mean.size()), 0);
  for (std::size_t k = 0; k < free_.size(); ++k) {
    all[static_cast<std::size_t>(free_[k])] =
        (last_jacobian_.col(static_cast<Eigen::Index>(k)).array().abs() > 0.1).count();
  }
  return all;
}

double macro_median(const StackData& data, const Eigen::VectorXd& r) {
  std::map<std::string, std::vector<double>> groups;
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    groups[data.rows()[static_cast<std::size_t>(i)].group].push_back(std::abs(std::expm1(r[i])));
  }
  std::vector<double> medians;
  for (auto& [group, errors] : groups) medians.push_back(quantile(std::move(errors), 0.5));
  return medians.empty() ? 0 : quantile(std::move(medians), 0.5);
}

FittedStack fitted_stack(const StackData& data, const Fitter& fitter, const Eigen::VectorXd& x) {
  FittedStack out{.id = data.stack().id, .parameters = {}};
  Stack stack = data.stack();
  const std::vector<StackParameter> list = parameters(stack);
  const Eigen::VectorXd errors = fitter.errors();
  const std::vector<std::int64_t> moved = fitter.rows_moved();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i);
    if (fitter.priors().spread[at] == 0) continue;
    out.parameters.push_back({.key = list[i].key,
                              .value = std::exp(x[at]),
                              .prior = std::exp(fitter.priors().mean[at]),
                              .spread = fitter.priors().spread[at],
                              .error = errors[at],
                              .n_rows = moved[i]});
  }
  std::set<std::string> groups;
  for (const Row& row : data.rows()) groups.insert(row.group);
  out.n_rows = static_cast<std::int64_t>(data.rows().size());
  out.n_groups = static_cast<std::int64_t>(groups.size());
  out.median_ape = macro_median(data, fitter.residuals(x));
  return out;
}

const std::string& left_out_key(const Row& row, LeaveOut leave_out) {
  if (leave_out == LeaveOut::Source) return row.source;
  return leave_out == LeaveOut::Group ? row.group : row.model;
}

using Logarithms = std::map<std::string, double>;  // of parameters, by key
// Of one stack: of the fit to all rows (""), and of those without a model (source, group).
using Fits = std::map<std::string, Logarithms>;

// In base units: what fits without each key predict of its rows. base: of the stack it is like.
std::vector<double> cross_validated(const StackData& data, Fitter& fitter,
                                    const Eigen::VectorXd& full, LeaveOut leave_out,
                                    const Fits* base, Fits& fits,
                                    const CalibrationProgress& progress) {
  const std::vector<Row>& rows = data.rows();
  std::vector<double> out(rows.size());
  std::set<std::string> keys;
  for (const Row& row : rows) keys.insert(left_out_key(row, leave_out));
  for (const std::string& key : keys) {
    if (progress) progress(format("{} without {}", data.stack().id, key));
    Eigen::VectorXd use(static_cast<Eigen::Index>(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      use[static_cast<Eigen::Index>(i)] = left_out_key(rows[i], leave_out) == key ? 0 : 1;
    }
    if (base != nullptr) fitter.believe(base->contains(key) ? base->at(key) : base->at(""));
    // Near the full fit, from which it starts, two steps of Gauss and Newton are enough.
    const Eigen::VectorXd x = fitter.fit(full, use, 2);
    fits[key] = fitter.by_key(x);
    const Eigen::VectorXd r = fitter.residuals(x);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto at = static_cast<Eigen::Index>(i);
      if (use[at] == 0) out[i] = rows[i].value * std::exp(r[at]);
    }
  }
  return out;
}

// How far off a rate was that the fit had not seen.
struct Miss {
  std::string stack;
  Metric metric{};
  double log_ratio = 0;  // of measured over predicted
  double weight = 0;
};

std::vector<Miss> misses_of(const StackData& data, const std::vector<double>& left_out) {
  std::vector<Miss> out;
  for (std::size_t i = 0; i < data.rows().size(); ++i) {
    const Row& row = data.rows()[i];
    const bool is_rate = row.measured.reading != Reading::Tpot;
    const double ratio = std::log(row.value / left_out[i]);
    out.push_back({data.stack().id, metric_of(row.measured), is_rate ? ratio : -ratio, row.weight});
  }
  return out;
}

// Quantiles of 5 and 95 % by weight, a group counting once; with few groups further out, since a
// new one lands beyond all n seen in 2 of n + 1 cases.
std::optional<Interval> interval_from(std::vector<Miss> misses) {
  double n_groups = 0;
  for (const Miss& m : misses) n_groups += m.weight;
  if (n_groups < kGroupsMin) return std::nullopt;
  std::ranges::sort(misses, {}, &Miss::log_ratio);
  const double tail = std::max(0.05 - 0.5 / n_groups, 0.0) * n_groups;
  double below = 0, low = misses.front().log_ratio, high = misses.back().log_ratio;
  for (const Miss& m : misses) {
    below += m.weight;
    if (below >= tail) {
      low = m.log_ratio;
      break;
    }
  }
  double above = 0;
  for (auto m = misses.rbegin(); m != misses.rend(); ++m) {
    above += m->weight;
    if (above >= tail) {
      high = m->log_ratio;
      break;
    }
  }
  return Interval{.low = std::exp(std::min(low, 0.0)), .high = std::exp(std::max(high, 0.0))};
}

void add_intervals(const std::vector<Miss>& misses, std::vector<FittedStack>& stacks) {
  for (int q = 0; q < kMetrics; ++q) {
    const auto metric = static_cast<Metric>(q);
    const auto of = [&](const std::string* stack) {
      std::vector<Miss> some;
      for (const Miss& m : misses) {
        if (m.metric == metric && (stack == nullptr || m.stack == *stack)) some.push_back(m);
      }
      return interval_from(std::move(some));
    };
    const std::optional<Interval> all = of(nullptr);
    for (FittedStack& stack : stacks) {
      const std::optional<Interval> own = of(&stack.id);
      if (own || all) stack.intervals[static_cast<std::size_t>(q)] = own ? *own : *all;
    }
  }
}

// Rows that can be fitted on, by stack.
std::map<std::string, std::vector<Row>> rows_by_stack(const Csv& csv, Questioner& questioner) {
  std::map<std::string, std::vector<Row>> out;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    const Question q = questioner.question(Cells(csv, i));
    if (!q.measured || q.measured->open_loop || !q.measured->spec.empty()) continue;
    const auto value = parse_double(csv.at(i, "value"));
    if (!value || *value <= 0) {
      throw_invalid(format("measurement '{}': value '{}' is not a positive number",
                           csv.at(i, "id"), csv.at(i, "value")));
    }
    out[q.measured->stack].push_back({.index = i,
                                      .id = csv.at(i, "id"),
                                      .group = csv.at(i, "group"),
                                      .source = csv.at(i, "source"),
                                      .model = q.measured->model,
                                      .measured = *q.measured,
                                      .value = *value / q.measured->scale});
  }
  return out;
}

}  // namespace

namespace {

// Stacks in an order in which each comes after the one it is like.
std::vector<std::string> in_order(const std::map<std::string, std::vector<Row>>& rows,
                                  Questioner& questioner) {
  std::vector<std::string> first, second;
  for (const auto& [id, unused] : rows) {
    (questioner.stack(id).like.empty() ? first : second).push_back(id);
  }
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

Calibration calibrate(const Csv& csv, const TwinCatalogues& catalogues,
                      const CalibrationOptions& options, const CalibrationProgress& progress) {
  Questioner questioner(catalogues);
  ThreadPool pool(options.n_threads);
  Calibration result;
  std::vector<Miss> misses;
  std::map<std::string, Fits> fits;
  std::map<std::string, std::vector<Row>> rows_of = rows_by_stack(csv, questioner);
  for (const std::string& id : in_order(rows_of, questioner)) {
    if (!options.only.empty() && std::ranges::find(options.only, id) == options.only.end()) continue;
    if (progress) progress(format("{}: {} rows", id, rows_of[id].size()));
    const StackData data(questioner.stack(id), std::move(rows_of[id]), questioner);
    if (data.rows().empty()) continue;
    Fitter fitter(data, pool);
    const auto like = fits.find(data.stack().like);
    const Fits* base = like == fits.end() ? nullptr : &like->second;
    if (base != nullptr) fitter.believe(base->at(""));
    const Eigen::VectorXd all =
        Eigen::VectorXd::Ones(static_cast<Eigen::Index>(data.rows().size()));
    const Eigen::VectorXd x = fitter.fit(all);
    fits[id][""] = fitter.by_key(x);
    result.stacks.push_back(fitted_stack(data, fitter, x));
    const Eigen::VectorXd r = fitter.residuals(x);
    std::vector<double> left_out;
    if (options.leave_out != LeaveOut::Nothing) {
      left_out = cross_validated(data, fitter, x, options.leave_out, base, fits[id], progress);
      for (Miss& miss : misses_of(data, left_out)) misses.push_back(std::move(miss));
    }
    for (std::size_t i = 0; i < data.rows().size(); ++i) {
      const Row& row = data.rows()[i];
      const double scale = row.measured.scale;
      CalibratedRow& out = result.rows.emplace_back();
      out.index = row.index;
      out.fitted = scale * row.value * std::exp(r[static_cast<Eigen::Index>(i)]);
      if (!left_out.empty()) out.left_out = scale * left_out[i];
    }
  }
  if (options.leave_out == LeaveOut::Model) add_intervals(misses, result.stacks);
  std::ranges::sort(result.stacks, {}, &FittedStack::id);
  std::ranges::sort(result.rows, {}, &CalibratedRow::index);
  return result;
}

namespace {

// The line of a key in its section, edited in place.
class Line {
 public:
  Line(std::string& toml, std::string_view file, std::string_view key)
      : toml_(toml), where_(format("{}: {}", file, key)) {
    const std::size_t dot = key.rfind('.');
    const std::size_t section = toml.find(format("[{}]\n", key.substr(0, dot)));
    const std::string name = format("\n{} = {{ value = ", key.substr(dot + 1));
    begin_ = section == std::string::npos ? section : toml.find(name, section);
    if (begin_ == std::string::npos) throw_invalid(where_ + " has no line of its own");
  }
  void set(std::string_view attribute, const std::string& value) {
    const std::size_t end = std::min(toml_.find('\n', begin_ + 1), toml_.size());
    const std::string head = format(" {} = ", attribute);
    const std::size_t from = toml_.find(head, begin_);
    if (from >= end) throw_invalid(format("{} has no {}", where_, attribute));
    const std::size_t begin = from + head.size();
    toml_.replace(begin, toml_.find_first_of(",}", begin) - begin, value);
  }

 private:
  std::string& toml_;
  std::string where_;
  std::size_t begin_ = 0;
};

}  // namespace

std::string with_fitted(std::string toml, const FittedStack& fitted) {
  for (const FittedParameter& p : fitted.parameters) {
    Line line(toml, fitted.id, p.key);
    const bool is_time = p.key.ends_with("_time");
    line.set("value",
             is_time ? format("\"{:.4g} us\"", 1e6 * p.value) : format("{:.4g}", p.value));
    line.set("prior",
             is_time ? format("\"{:.4g} us\"", 1e6 * p.prior) : format("{:.4g}", p.prior));
    line.set("error", format("{:.3f}", p.error));
    line.set("rows", format("{}", p.n_rows));
  }
  for (int q = 0; q < kMetrics; ++q) {
    const Interval& interval = fitted.intervals[static_cast<std::size_t>(q)];
    if (interval.low == 1 && interval.high == 1) continue;  // nothing to go by
    const std::string key = format("interval.{}", metric_name(static_cast<Metric>(q)));
    Line(toml, fitted.id, key + "_low_ratio").set("value", format("{:.3f} ", interval.low));
    Line(toml, fitted.id, key + "_high_ratio").set("value", format("{:.3f} ", interval.high));
  }
  return toml;
}

}  // namespace tinderbox
