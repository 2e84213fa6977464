#include "box/calibrate_body.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "box/robust_fit.h"

namespace tinderbox {
namespace {

// A kelvin of a temperature against the logarithms that RobustFit works on: 2 K count as 6 %.
constexpr double kPerKelvin = 0.03;
// Samples of a log are far from independent: each source counts as so many that are.
constexpr double kSourceWorth = 200;
// The thousandth hour at the same watts says nothing that the first did not, a box at rest after it
// much: a run's samples within so many watts count as the square root of their number.
constexpr double kLikeWatts = 10;  // W
// All samples of a run weigh so many times what is believed of its room.
constexpr double kRoomWorth = 20;
// Drive and network card are two sensors among many.
constexpr double kSideWeight = 0.25;
constexpr int kRounds = 3, kSteps = 4;
// Controllers of limits take no part when watts are given: time may pass in coarser ticks.
constexpr double kTick = 1;      // s
constexpr double kRoomStep = 1;  // K

const std::vector<std::string> kHeatKeys = {"body.capacity.", "body.path_resistance.",
                                            "body.air_resistance.", "body.fan."};

// Every run once with the rooms as last inferred, and how each sample moves with its room.
struct Seen {
  Celsius room;
  std::vector<double> slope;  // of the GPU at each sample, K per K
};

class HeatFit {
 public:
  HeatFit(std::string_view toml, const std::string& id, const std::vector<TelemetryRun>& runs,
          int n_threads)
      : toml_(toml), id_(id), runs_(runs), pool_(n_threads) {
    const Machine machine = parse_machine(toml, id);
    if (!machine.body) throw_invalid(format("{}: no [body.*] to fit", id));
    std::vector<std::string> keys = kHeatKeys;
    keys.emplace_back("body.fan_share.");
    parameters_ = fitted_numbers(machine, keys);
    weigh();
    problem_.residuals = [this](const Eigen::VectorXd& x) { return residuals(x); };
    problem_.outlier = 0.15;  // samples of a log scatter more than means of runs
    const auto n = static_cast<Eigen::Index>(parameters_.size());
    problem_.prior.resize(n);
    problem_.spread.resize(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const FittedParameter& p = parameters_[static_cast<std::size_t>(i)];
      problem_.prior[i] = std::log(p.prior);
      problem_.spread[i] = p.spread;
    }
  }

  Body body(const Eigen::VectorXd& x) const {
    BodyFacts facts = *with_values(toml_, id_, parameters_, values(x)).body;
    facts.loop = facts.fan_interval = Seconds(kTick);
    return Body(facts);
  }

  // Of the runs whose source is not left out.
  Eigen::VectorXd fit(const std::string& left_out, std::optional<Eigen::VectorXd> start) {
    Eigen::VectorXd use(problem_.weight.size());
    for (Eigen::Index i = 0; i < use.size(); ++i)
      use[i] = *row_source_[static_cast<std::size_t>(i)] != left_out;
    RobustFit fit(problem_);
    Eigen::VectorXd x = start.value_or(problem_.prior);
    for (int round = 0; round < kRounds; ++round) {
      look(x);
      x = fit.refine(x, use, kSteps);
    }
    last_errors_ = fit.errors();
    last_rows_ = fit.rows_moved();
    return x;
  }

  std::vector<Replay> replays(const Eigen::VectorXd& x) {
    const Body at_rest = body(x);
    std::vector<Replay> out(runs_.size());
    each_run([&](std::size_t i) { out[i] = replay(at_rest, runs_[i]); });
    return out;
  }

  std::vector<FittedParameter> fitted(const Eigen::VectorXd& x) const {
    std::vector<FittedParameter> out = parameters_;
    const std::vector<double> fit = values(x);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto k = static_cast<Eigen::Index>(i);
      out[i].value = fit[i];
      out[i].error = last_errors_[k];
      out[i].n_rows = last_rows_[i];
    }
    return out;
  }

 private:
  // No fan turns faster than at full speed, nor slower where it is warmer, whatever a step of the fit
  // asks for.
  std::vector<double> values(const Eigen::VectorXd& x) const {
    std::vector<double> out;
    double share = 0;
    for (Eigen::Index i = 0; i < x.size(); ++i) {
      out.push_back(std::exp(x[i]));
      if (!parameters_[static_cast<std::size_t>(i)].key.starts_with("body.fan_share.")) continue;
      share = std::min(1.0, std::max(share, out.back()));
      out.back() = share;
    }
    return out;
  }

  template <typename F>
  void each_run(F&& f) {
    // Dealt out like cards: neighbours are of like length.
    const auto hands = static_cast<std::size_t>(pool_.n_threads());
    pool_.parallel_for(hands, 1, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t hand = begin; hand < end; ++hand) {
        for (std::size_t i = hand; i < runs_.size(); i += hands) f(i);
      }
    });
  }

  static std::size_t rows_of(const TelemetryRun& run) {
    std::size_t n = 1;  // its room
    for (const TelemetrySample& s : run.samples)
      n += 1U + s.drive.has_value() + s.network.has_value();
    return n;
  }

  // Over the mean of the run's samples.
  static std::vector<double> weights_of(const TelemetryRun& run) {
    std::map<double, double> like;
    const auto level = [](const TelemetrySample& s) {
      return std::floor(s.smi->value() / kLikeWatts);
    };
    for (const TelemetrySample& s : run.samples) like[level(s)] += 1;
    double sum = 0;
    for (const auto& [_, n] : like) sum += std::sqrt(n);
    std::vector<double> out;
    for (const TelemetrySample& s : run.samples)
      out.push_back(static_cast<double>(run.samples.size()) / sum / std::sqrt(like[level(s)]));
    return out;
  }

  void weigh() {
    std::map<std::string, double> runs_of;
    for (const TelemetryRun& run : runs_) runs_of[run.source] += 1;
    std::size_t n = 0;
    for (const TelemetryRun& run : runs_) {
      begin_.push_back(n);
      n += rows_of(run);
    }
    problem_.weight.resize(static_cast<Eigen::Index>(n));
    row_source_.resize(n);
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      const TelemetryRun& run = runs_[r];
      const double share =
          kSourceWorth / runs_of[run.source] / static_cast<double>(run.samples.size());
      auto row = static_cast<Eigen::Index>(begin_[r]);
      const std::size_t end = begin_[r] + rows_of(run);
      for (std::size_t i = begin_[r]; i < end; ++i) row_source_[i] = &run.source;
      const std::vector<double> weights = weights_of(run);
      for (std::size_t k = 0; k < run.samples.size(); ++k) {
        const double weight = share * weights[k];
        problem_.weight[row++] = weight;
        if (run.samples[k].drive) problem_.weight[row++] = weight * kSideWeight;
        if (run.samples[k].network) problem_.weight[row++] = weight * kSideWeight;
      }
      problem_.weight[row] = share * static_cast<double>(run.samples.size()) / kRoomWorth;
    }
  }

  // Infers every room anew and how far it moves the samples.
  void look(const Eigen::VectorXd& x) {
    const Body at_rest = body(x);
    seen_.assign(runs_.size(), {});
    each_run([&](std::size_t i) {
      const Replay at = replay(at_rest, runs_[i]);
      const Replay warmer = replay(at_rest, runs_[i], at.room + Kelvins(kRoomStep));
      seen_[i].room = at.room;
      for (std::size_t k = 0; k < at.gpu.size(); ++k) {
        seen_[i].slope.push_back((warmer.gpu[k] - at.gpu[k]).value() / kRoomStep);
      }
    });
  }

  // With every room moved to where this x wants it, to first order.
  Eigen::VectorXd residuals(const Eigen::VectorXd& x) {
    const Body at_rest = body(x);
    const BodyFacts& facts = at_rest.facts();
    Eigen::VectorXd out(problem_.weight.size());
    each_run([&](std::size_t r) {
      const TelemetryRun& run = runs_[r];
      const Seen& seen = seen_[r];
      const Replay at = replay(at_rest, run, seen.room);
      double slope_error = 0, slope_slope = 0;
      for (std::size_t k = 0; k < at.gpu.size(); ++k) {
        slope_error += seen.slope[k] * (at.gpu[k] - run.samples[k].gpu).value();
        slope_slope += seen.slope[k] * seen.slope[k];
      }
      const double n = static_cast<double>(run.samples.size());
      const double held = 4 / (std::pow(facts.room_spread.value(), 2) * std::min(n, 20.0));
      const double off = (seen.room - facts.room_prior).value();
      const double move = -(slope_error / n + held * off) / (slope_slope / n + held);
      auto row = static_cast<Eigen::Index>(begin_[r]);
      for (std::size_t k = 0; k < at.gpu.size(); ++k) {
        const TelemetrySample& s = run.samples[k];
        out[row++] = kPerKelvin * ((at.gpu[k] - s.gpu).value() + seen.slope[k] * move);
        if (s.drive) out[row++] = kPerKelvin * ((at.drive[k] - *s.drive).value() + move);
        if (s.network) out[row++] = kPerKelvin * ((at.network[k] - *s.network).value() + move);
      }
      out[row] = 2 * kPerKelvin * (off + move) / facts.room_spread.value();
    });
    return out;
  }

  std::string toml_, id_;
  const std::vector<TelemetryRun>& runs_;
  ThreadPool pool_;
  std::vector<FittedParameter> parameters_;
  FitProblem problem_;
  std::vector<std::size_t> begin_;  // first row of each run
  std::vector<const std::string*> row_source_;
  std::vector<Seen> seen_;
  Eigen::VectorXd last_errors_;
  std::vector<std::int64_t> last_rows_;
};

}  // namespace

std::vector<FittedParameter> fitted_numbers(const Machine& machine,
                                            const std::vector<std::string>& prefixes) {
  std::vector<FittedParameter> out;
  for (const Fact& fact : machine.facts) {
    if (!fact.fit || std::ranges::none_of(
                         prefixes, [&](const std::string& p) { return fact.key.starts_with(p); })) {
      continue;
    }
    FittedParameter p{.key = fact.key,
                      .value = fact.number,
                      .prior = fact.fit->prior,
                      .spread = fact.fit->spread};
    if (const std::size_t space = fact.text.find(' '); space != std::string::npos) {
      p.unit = fact.text.substr(space + 1);
      p.per_unit = fact.number / parse_double(fact.text.substr(0, space)).value();
    }
    out.push_back(std::move(p));
  }
  return out;
}

Machine with_values(std::string toml, const std::string& id,
                    std::vector<FittedParameter> parameters, const std::vector<double>& values) {
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].value = values[i];
  constexpr int kAllDigits = 15;
  FittedMachine fitted;
  fitted.id = id;
  fitted.parameters = std::move(parameters);
  return parse_machine(with_fitted(std::move(toml), fitted, kAllDigits), id);
}

BodyCalibration calibrate_heat(std::string_view toml, const std::string& id,
                               const std::vector<TelemetryRun>& all,
                               const BodyCalibrationOptions& options,
                               const CalibrationProgress& progress) {
  std::vector<TelemetryRun> runs;
  std::set<std::string> sources;
  for (const TelemetryRun& run : all) {
    if (!run.has_power()) continue;
    runs.push_back(run);
    sources.insert(run.source);
  }
  if (runs.empty()) throw_not_found("telemetry: no run has gpu_power_w");
  const auto say = [&](const std::string& what) {
    if (progress) progress(what);
  };
  HeatFit heat(toml, id, runs, options.n_threads);
  say(format("fitting heat to {} runs of {} sources", runs.size(), sources.size()));
  const Eigen::VectorXd x = heat.fit("", {});
  BodyCalibration out;
  out.machine.id = id;
  out.machine.parameters = heat.fitted(x);
  out.machine.n_groups = static_cast<std::int64_t>(sources.size());
  const std::vector<Replay> fitted = heat.replays(x);
  std::vector<double> errors, left_out_errors;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    out.runs.push_back({.name = runs[i].name,
                        .source = runs[i].source,
                        .n_samples = runs[i].samples.size(),
                        .room = fitted[i].room,
                        .rmse = fitted[i].rmse});
    out.machine.n_rows += static_cast<std::int64_t>(runs[i].samples.size());
    errors.push_back(fitted[i].rmse);
  }
  out.median_rmse = quantile(errors, 0.5);
  if (options.leave_out_sources && sources.size() > 1) {
    for (const std::string& source : sources) {
      say(format("fitting without {}", source));
      const std::vector<Replay> unseen = heat.replays(heat.fit(source, x));
      for (std::size_t i = 0; i < runs.size(); ++i) {
        if (runs[i].source == source) out.runs[i].left_out = unseen[i].rmse;
      }
    }
    for (const RunScore& run : out.runs) left_out_errors.push_back(run.left_out.value());
    out.left_out_rmse = quantile(left_out_errors, 0.5);
  }
  return out;
}

}  // namespace tinderbox
