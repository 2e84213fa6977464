#include "box/calibrate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "box/calibrate_intervals.h"
#include "box/calibration_rows.h"
#include "box/robust_fit.h"

namespace tinderbox {
namespace {

using Logarithms = std::map<std::string, double>;  // of parameters, by key
// Of one stack: of the fit to all rows (""), and of those without a model (source, group).
using Fits = std::map<std::string, Logarithms>;

const std::string& left_out_key(const CalibrationRow& row, LeaveOut leave_out) {
  if (leave_out == LeaveOut::Source) return row.source;
  return leave_out == LeaveOut::Group ? row.group : row.measured.model;
}

// No kernel computes faster than its arithmetic, nor streams weights faster than memory was ever read.
double ceiling_of(const std::string& key, const Machine& reference) {
  if (!key.starts_with("kernels.")) return std::numeric_limits<double>::infinity();
  const bool reads = key.ends_with(".memory_share") && reference.memory_read_bandwidth.value() > 0;
  return reads ? std::log(reference.memory_read_bandwidth / reference.memory_bandwidth) : 0;
}

// Priors of parameters from the facts of their file; a number that is not fitted is held.
void set_priors(const std::vector<StackParameter>& list, const std::vector<Fact>& facts,
                const Machine& reference, FitProblem& problem) {
  problem.prior.resize(static_cast<Eigen::Index>(list.size()));
  problem.spread.resizeLike(problem.prior);
  problem.ceiling.resizeLike(problem.prior);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto fact = std::ranges::find(facts, list[i].key, &Fact::key);
    CHECK(fact != facts.end());
    const bool fitted = fact->fit.has_value();
    const auto at = static_cast<Eigen::Index>(i);
    problem.prior[at] = std::log(std::max(fitted ? fact->fit->prior : *list[i].value, 1e-12));
    problem.spread[at] = fitted ? fact->fit->spread : 0;
    problem.ceiling[at] = ceiling_of(list[i].key, reference);
  }
}

void set_values(const std::vector<StackParameter>& list, const Eigen::VectorXd& x) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    *list[i].value = std::exp(x[static_cast<Eigen::Index>(i)]);
  }
}

std::vector<FittedParameter> fitted_parameters(const std::vector<StackParameter>& list,
                                               const FitProblem& problem, const RobustFit& fit,
                                               const Eigen::VectorXd& x) {
  const Eigen::VectorXd errors = fit.errors();
  const std::vector<std::int64_t> moved = fit.rows_moved();
  std::vector<FittedParameter> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i);
    if (problem.spread[at] == 0) continue;
    out.push_back({.key = list[i].key,
                   .value = std::exp(x[at]),
                   .prior = std::exp(problem.prior[at]),
                   .spread = problem.spread[at],
                   .error = errors[at],
                   .n_rows = moved[i]});
  }
  return out;
}

template <typename Fitted>
void describe(const CalibrationSet& set, const Eigen::VectorXd& residuals, Fitted& out) {
  std::set<std::string> groups;
  for (const CalibrationRow& row : set.rows()) groups.insert(row.group);
  out.n_rows = static_cast<std::int64_t>(set.rows().size());
  out.n_groups = static_cast<std::int64_t>(groups.size());
  out.median_ape = macro_median(set.rows(), residuals);
}

// What one fit gives of its rows, in base units.
struct RowFits {
  std::vector<double> fitted, left_out;  // left_out: empty, or one a row
};

// A stack or a machine with its rows, its numbers free.
class Calibrator {
 public:
  Calibrator(const CalibrationSet& set, std::vector<StackParameter> list, FitProblem problem)
      : set_(set), list_(std::move(list)), problem_(std::move(problem)), fit_(problem_) {
    problem_.weight = set.weights();
  }

  void believe(const Logarithms& logarithms) {
    for (std::size_t i = 0; i < list_.size(); ++i) {
      const auto found = logarithms.find(list_[i].key);
      if (found != logarithms.end()) problem_.prior[static_cast<Eigen::Index>(i)] = found->second;
    }
  }
  Logarithms by_key(const Eigen::VectorXd& x) const {
    Logarithms out;
    for (std::size_t i = 0; i < list_.size(); ++i) out[list_[i].key] = x[static_cast<Eigen::Index>(i)];
    return out;
  }

  // base: the fits of the stack that this one is like, or nullptr.
  RowFits run(LeaveOut leave_out, const Fits* base, Fits& fits, const std::string& name,
              const CalibrationProgress& progress);
  std::vector<FittedParameter> parameters() const { return parameters_; }
  const Eigen::VectorXd& residuals() const { return residuals_; }

 private:
  std::vector<double> predicted(const Eigen::VectorXd& r) const {
    std::vector<double> out;
    for (std::size_t i = 0; i < set_.rows().size(); ++i) {
      out.push_back(set_.rows()[i].value * std::exp(r[static_cast<Eigen::Index>(i)]));
    }
    return out;
  }

  const CalibrationSet& set_;
  std::vector<StackParameter> list_;
  FitProblem problem_;
  RobustFit fit_;
  std::vector<FittedParameter> parameters_;
  Eigen::VectorXd residuals_;
};

RowFits Calibrator::run(LeaveOut leave_out, const Fits* base, Fits& fits, const std::string& name,
                        const CalibrationProgress& progress) {
  if (base != nullptr) believe(base->at(""));
  const std::vector<CalibrationRow>& rows = set_.rows();
  const Eigen::VectorXd x =
      fit_.fit(Eigen::VectorXd::Ones(static_cast<Eigen::Index>(rows.size())));
  parameters_ = fitted_parameters(list_, problem_, fit_, x);
  fits[""] = by_key(x);
  residuals_ = problem_.residuals(x);
  RowFits out{.fitted = predicted(residuals_), .left_out = {}};
  if (leave_out == LeaveOut::Nothing) return out;
  out.left_out.resize(rows.size());
  const auto key_of = [&](const CalibrationRow& row) -> const std::string& {
    return left_out_key(row, leave_out);
  };
  std::set<std::string> keys;
  for (const CalibrationRow& row : rows) keys.insert(key_of(row));
  for (const std::string& key : keys) {
    if (progress) progress(format("{} without {}", name, key));
    if (base != nullptr) believe(base->contains(key) ? base->at(key) : base->at(""));
    // Near the full fit, from which it starts, two steps are enough.
    const Eigen::VectorXd without = fit_.refine(x, set_.without(key_of, key), 2);
    fits[key] = by_key(without);
    const std::vector<double> values = predicted(problem_.residuals(without));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (key_of(rows[i]) == key) out.left_out[i] = values[i];
    }
  }
  return out;
}

// Everything a run holds between its stacks and machines.
struct Run {
  Questioner& questioner;
  ThreadPool& pool;
  const CalibrationOptions& options;
  const CalibrationProgress& progress;
  std::map<std::string, Stack> stacks = {};  // as fitted
  std::map<std::string, Fits> fits = {};
  std::vector<Miss> misses = {};
  Calibration result = {};

  void keep(const CalibrationSet& set, const RowFits& rows) {
    for (std::size_t i = 0; i < set.rows().size(); ++i) {
      const CalibrationRow& row = set.rows()[i];
      if (!row.published) continue;
      const double scale = row.measured.scale;
      CalibratedRow& out = result.rows.emplace_back();
      out.index = row.index;
      out.fitted = scale * rows.fitted[i];
      if (!rows.left_out.empty()) out.left_out = scale * rows.left_out[i];
    }
  }
};

void fit_stack(Run& run, const std::string& id, std::vector<CalibrationRow> rows) {
  if (run.progress) run.progress(format("{}: {} rows", id, rows.size()));
  Stack stack = run.questioner.stack(id);
  const CalibrationSet set(std::move(rows), run.questioner);
  if (set.rows().empty()) return;
  const std::vector<StackParameter> list = parameters(stack);
  FitProblem problem;
  set_priors(list, stack.facts, run.questioner.machine(run.options.reference), problem);
  stack.facts.clear();  // copied a thousand times
  stack.sources.clear();
  problem.residuals = [&](const Eigen::VectorXd& x) {
    set_values(list, x);
    return set.residuals(
        [&](const CalibrationSet::Twin& twin) {
          return twin.model.with_stack(with_path(stack, twin.kernel_path, twin.version));
        },
        run.pool);
  };
  Calibrator calibrator(set, list, problem);
  const auto like = run.fits.find(stack.like);
  Fits fits;
  const RowFits fitted = calibrator.run(run.options.leave_out,
                                        like == run.fits.end() ? nullptr : &like->second, fits, id,
                                        run.progress);
  for (const StackParameter& p : list) *p.value = std::exp(fits[""].at(p.key));
  run.stacks[id] = stack;
  for (const auto& [key, logarithms] : fits) {
    if (key.empty()) continue;
    for (const auto& [name, logarithm] : logarithms) run.result.left_out[id][key][name] = std::exp(logarithm);
  }
  run.fits[id] = std::move(fits);
  FittedStack out{.id = id, .parameters = calibrator.parameters()};
  describe(set, calibrator.residuals(), out);
  run.result.stacks.push_back(std::move(out));
  if (!fitted.left_out.empty()) {
    for (Miss& miss : misses_of(id, set.rows(), fitted.left_out)) {
      run.misses.push_back(std::move(miss));
    }
  }
  run.keep(set, fitted);
}

// Rows as they were published, answered with the numbers of the fit, and of the one that has not seen them.
void answer_rows(Run& run, const std::string& id, const std::vector<CalibrationRow>& rows) {
  if (!run.fits.contains(id)) return;
  if (run.progress && !rows.empty()) run.progress(format("{}: {} rows answered", id, rows.size()));
  const Fits& fits = run.fits.at(id);
  std::map<std::string, Answers> answers;  // by fit
  const auto predicted = [&](const CalibrationRow& row, const std::string& key) -> std::optional<double> {
    const BuiltTwin built = run.questioner.build(row.measured);
    if (!built.model) return std::nullopt;
    Stack stack = run.questioner.stack(id);
    for (const StackParameter& p : parameters(stack)) *p.value = std::exp(fits.at(key).at(p.key));
    const StepModel model =
        built.model->with_stack(with_path(stack, row.measured.kernel_path, row.measured.version));
    const Answer answer = answers[key].answer(model, row.measured);
    return answer.refused == nullptr ? std::optional(answer.value) : std::nullopt;
  };
  for (const CalibrationRow& row : rows) {
    const auto fitted = predicted(row, "");
    if (!fitted) continue;
    CalibratedRow& out = run.result.rows.emplace_back();
    out.index = row.index;
    out.fitted = *fitted;
    if (run.options.leave_out == LeaveOut::Nothing) continue;
    const std::string& key = left_out_key(row, run.options.leave_out);
    out.left_out = fits.contains(key) ? predicted(row, key) : fitted;
  }
}

void fit_machine(Run& run, const std::string& id, std::vector<CalibrationRow> rows) {
  if (run.progress) run.progress(format("{}: {} rows", id, rows.size()));
  Machine machine = run.questioner.machine(id);
  const CalibrationSet set(std::move(rows), run.questioner);
  if (set.rows().empty()) return;
  const std::vector<StackParameter> list = parameters(machine);
  FitProblem problem;
  set_priors(list, machine.facts, run.questioner.machine(run.options.reference), problem);
  machine.facts.clear();
  machine.sources.clear();
  problem.residuals = [&](const Eigen::VectorXd& x) {
    set_values(list, x);
    return set.residuals(
        [&](const CalibrationSet::Twin& twin) {
          const auto fitted = run.stacks.find(twin.model.twin().stack.id);
          const StepModel model =
              fitted == run.stacks.end()
                  ? twin.model
                  : twin.model.with_stack(with_path(fitted->second, twin.kernel_path, twin.version));
          return model.with_machine(machine);
        },
        run.pool);
  };
  Calibrator calibrator(set, list, problem);
  Fits fits;
  const RowFits fitted =
      calibrator.run(run.options.leave_out, nullptr, fits, id, run.progress);
  FittedMachine out{.id = id, .parameters = calibrator.parameters()};
  describe(set, calibrator.residuals(), out);
  run.result.machines.push_back(std::move(out));
  run.keep(set, fitted);
}

using RowsOf = std::map<std::string, std::vector<CalibrationRow>>;

// Each after the one that it is like.
std::vector<std::string> in_order(const RowsOf& rows, Questioner& questioner) {
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
  Run run{.questioner = questioner, .pool = pool, .options = options, .progress = progress};
  const auto [all, tested] = calibration_rows(csv, questioner);
  std::set<std::string> referenced;  // stacks with rows of the reference machine
  for (const CalibrationRow& row : all) {
    if (row.measured.machine == options.reference) referenced.insert(row.measured.stack);
  }
  RowsOf of_stacks, of_machines;
  for (const CalibrationRow& row : all) {
    const Measured& m = row.measured;
    const bool fits_stack = m.machine == options.reference || !referenced.contains(m.stack);
    // Several devices of a kind in one box have no file of their own.
    if (!fits_stack && !catalogues.machines.has(m.machine)) continue;
    (fits_stack ? of_stacks[m.stack] : of_machines[m.machine]).push_back(row);
  }
  const auto wanted = [&](const std::string& id) {
    return options.only.empty() || std::ranges::find(options.only, id) != options.only.end();
  };
  for (const std::string& id : in_order(of_stacks, questioner)) {
    if (wanted(id)) fit_stack(run, id, std::move(of_stacks[id]));
  }
  RowsOf answered;
  for (const CalibrationRow& row : tested) {
    if (row.measured.machine == options.reference) answered[row.measured.stack].push_back(row);
  }
  for (const auto& [id, rows] : answered) answer_rows(run, id, rows);
  for (auto& [id, rows] : of_machines) {
    if (options.only.empty()) fit_machine(run, id, std::move(rows));
  }
  if (options.leave_out == LeaveOut::Model) add_intervals(run.misses, run.result.stacks);
  std::ranges::sort(run.result.stacks, {}, &FittedStack::id);
  std::ranges::sort(run.result.rows, {}, &CalibratedRow::index);
  return std::move(run.result);
}

}  // namespace tinderbox
