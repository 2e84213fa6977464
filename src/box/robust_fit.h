// Robust least squares with priors: the logarithms x of some numbers, from residuals r(x) of
// measurements, by Gauss and Newton with damping. Minimises the sum of Cauchy's loss over the rows
// and of the squared distances from the priors in their spreads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <Eigen/Dense>

namespace tinderbox {

struct FitProblem {
  Eigen::VectorXd prior, spread;  // of the logarithms; spread 0: held at the prior
  Eigen::VectorXd ceiling;        // of the logarithms; empty: none
  Eigen::VectorXd weight;         // of each row; 1: as sure as a prior of spread kNoise
  double outlier = 0.1;           // residual at which a row's weight has halved
  std::function<Eigen::VectorXd(const Eigen::VectorXd& x)> residuals;  // log(predicted / measured)
};

class RobustFit {
 public:
  // Requires parameters and rows; keeps a reference.
  explicit RobustFit(const FitProblem& problem);

  // From the prior, with an outlier scale that narrows. use[i] is 0 for a row left out.
  Eigen::VectorXd fit(const Eigen::VectorXd& use);
  // From a point near the end, in at most so many steps.
  Eigen::VectorXd refine(const Eigen::VectorXd& start, const Eigen::VectorXd& use, int steps);

  // Of the last step: standard errors of the logarithms, and the rows that move by at least 1 % for
  // 10 % of each parameter.
  Eigen::VectorXd errors() const;
  std::vector<std::int64_t> rows_moved() const;

 private:
  Eigen::MatrixXd jacobian(const Eigen::VectorXd& x, const Eigen::VectorXd& r) const;
  Eigen::VectorXd weights(const Eigen::VectorXd& r, const Eigen::VectorXd& use) const;
  double cost(const Eigen::VectorXd& x, const Eigen::VectorXd& r, const Eigen::VectorXd& use) const;
  Eigen::VectorXd moved(const Eigen::VectorXd& x, const Eigen::VectorXd& delta) const;

  const FitProblem& problem_;
  std::vector<Eigen::Index> free_;
  double outlier_;
  Eigen::MatrixXd jacobian_, normal_;
};

}  // namespace tinderbox
