#include "box/robust_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tinderbox {
namespace {

// Between good sources measurements differ by some per cent; residuals well beyond are outliers.
constexpr double kNoise = 0.06;    // standard deviation of the logarithm of a group's typical row
// From the priors most rows look like outliers: the fit begins with a wider scale and narrows it.
constexpr std::array kOutlierStages = {0.6, 0.3};
constexpr double kDifference = 1e-3;  // step of the logarithm for derivatives
constexpr int kStepsMax = 12;
constexpr double kConverged = 2e-3;  // largest move of a logarithm

}  // namespace

RobustFit::RobustFit(const FitProblem& problem) : problem_(problem), outlier_(problem.outlier) {
  for (Eigen::Index i = 0; i < problem.prior.size(); ++i) {
    if (problem.spread[i] > 0) free_.push_back(i);
  }
}

Eigen::VectorXd RobustFit::fit(const Eigen::VectorXd& use) {
  Eigen::VectorXd x = problem_.prior;
  for (const double stage : kOutlierStages) {
    outlier_ = stage;
    x = refine(x, use, kStepsMax);
  }
  outlier_ = problem_.outlier;
  return refine(x, use, kStepsMax);
}

// Cauchy's loss: the logarithm of 1 + (r / c)^2.
double RobustFit::cost(const Eigen::VectorXd& x, const Eigen::VectorXd& r,
                       const Eigen::VectorXd& use) const {
  const double scale = outlier_ * outlier_ / (kNoise * kNoise);
  double sum = 0;
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    const double ratio = r[i] / outlier_;
    sum += use[i] * problem_.weight[i] * scale * std::log1p(ratio * ratio);
  }
  for (const Eigen::Index i : free_) {
    const double z = (x[i] - problem_.prior[i]) / problem_.spread[i];
    sum += z * z;
  }
  return sum;
}

Eigen::VectorXd RobustFit::weights(const Eigen::VectorXd& r, const Eigen::VectorXd& use) const {
  Eigen::VectorXd w(r.size());
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    const double ratio = r[i] / outlier_;
    w[i] = use[i] * problem_.weight[i] / (kNoise * kNoise * (1 + ratio * ratio));
  }
  return w;
}

Eigen::MatrixXd RobustFit::jacobian(const Eigen::VectorXd& x, const Eigen::VectorXd& r) const {
  Eigen::MatrixXd j(r.size(), static_cast<Eigen::Index>(free_.size()));
  for (std::size_t k = 0; k < free_.size(); ++k) {
    Eigen::VectorXd other = x;
    other[free_[k]] += kDifference;
    j.col(static_cast<Eigen::Index>(k)) = (problem_.residuals(other) - r) / kDifference;
  }
  return j;
}

Eigen::VectorXd RobustFit::moved(const Eigen::VectorXd& x, const Eigen::VectorXd& delta) const {
  Eigen::VectorXd next = x;
  for (std::size_t k = 0; k < free_.size(); ++k) {
    next[free_[k]] += std::clamp(delta[static_cast<Eigen::Index>(k)], -1.0, 1.0);
    if (problem_.ceiling.size() > 0) {
      next[free_[k]] = std::min(next[free_[k]], problem_.ceiling[free_[k]]);
    }
  }
  return next;
}

Eigen::VectorXd RobustFit::refine(const Eigen::VectorXd& start, const Eigen::VectorXd& use,
                                  int steps) {
  Eigen::VectorXd x = start, r = problem_.residuals(x);
  double best = cost(x, r, use), damping = 1e-3;
  for (int step = 0; step < steps; ++step) {
    jacobian_ = jacobian(x, r);
    const Eigen::VectorXd w = weights(r, use);
    normal_ = jacobian_.transpose() * w.asDiagonal() * jacobian_;
    Eigen::VectorXd gradient = jacobian_.transpose() * w.asDiagonal() * r;
    for (std::size_t k = 0; k < free_.size(); ++k) {
      const auto at = static_cast<Eigen::Index>(k);
      const double spread = problem_.spread[free_[k]];
      normal_(at, at) += 1 / (spread * spread);
      gradient[at] += (x[free_[k]] - problem_.prior[free_[k]]) / (spread * spread);
    }
    double move = 0;
    for (bool better = false; !better && damping < 1e6;) {
      Eigen::MatrixXd damped = normal_;
      damped.diagonal() *= 1 + damping;
      const Eigen::VectorXd next = moved(x, damped.ldlt().solve(-gradient));
      const Eigen::VectorXd next_r = problem_.residuals(next);
      const double next_cost = cost(next, next_r, use);
      better = next_cost < best;
      damping = better ? std::max(damping / 10, 1e-6) : damping * 10;
      if (!better) continue;
      move = (next - x).cwiseAbs().maxCoeff();
      x = next;
      r = next_r;
      best = next_cost;
    }
    if (move < kConverged) break;
  }
  return x;
}

Eigen::VectorXd RobustFit::errors() const {
  Eigen::VectorXd all = Eigen::VectorXd::Zero(problem_.prior.size());
  const Eigen::MatrixXd covariance = normal_.inverse();
  for (std::size_t k = 0; k < free_.size(); ++k) {
    const auto at = static_cast<Eigen::Index>(k);
    all[free_[k]] = std::sqrt(std::max(covariance(at, at), 0.0));
  }
  return all;
}

std::vector<std::int64_t> RobustFit::rows_moved() const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(problem_.prior.size()), 0);
  for (std::size_t k = 0; k < free_.size(); ++k) {
    all[static_cast<std::size_t>(free_[k])] =
        (jacobian_.col(static_cast<Eigen::Index>(k)).array().abs() > 0.1).count();
  }
  return all;
}

}  // namespace tinderbox
