#include "box/robust_fit.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"

namespace tinderbox {
namespace {

using Vector = Eigen::VectorXd;

Vector of(std::initializer_list<double> values) {
  Vector v(static_cast<Eigen::Index>(values.size()));
  Eigen::Index i = 0;
  for (const double value : values) v[i++] = value;
  return v;
}

// n rows that each measure x[0] as `measured`.
FitProblem one_number(double prior, double spread, const Vector& measured) {
  FitProblem p;
  p.prior = of({prior});
  p.spread = of({spread});
  p.weight = Vector::Ones(measured.size());
  p.residuals = [measured](const Vector& x) -> Vector { return (x[0] - measured.array()).matrix(); };
  return p;
}

constexpr double kNoise = 0.06;  // of a row of weight 1 (robust_fit.cc)

// Rows that agree nearly: the mean of prior and rows, each by the inverse square of its spread.
TEST(RobustFit, IsThePosteriorMeanOfALinearProblem) {
  for (const double spread : {0.01, 0.06, 0.5}) {
    const FitProblem problem = one_number(0.0, spread, of({0.01, 0.01, 0.01, 0.01}));
    RobustFit fit(problem);
    const double x = fit.fit(Vector::Ones(4))[0];
    const double by_rows = 4 / (kNoise * kNoise), by_prior = 1 / (spread * spread);
    EXPECT_NEAR(x, 0.01 * by_rows / (by_rows + by_prior), 1e-4);
    EXPECT_NEAR(fit.errors()[0], 1 / std::sqrt(by_rows + by_prior), 0.01 * fit.errors()[0]);
    EXPECT_EQ(fit.rows_moved()[0], 4);
  }
}

TEST(RobustFit, FindsTwoNumbersFromAfar) {
  FitProblem p;
  p.prior = of({0.0, 0.0});
  p.spread = of({2.0, 2.0});
  p.weight = Vector::Ones(40);
  p.residuals = [](const Vector& x) {
    Vector r(40);
    for (Eigen::Index i = 0; i < 40; ++i) {
      const double share = static_cast<double>(i) / 39;
      // A sum of two costs, its logarithm: as times add up.
      r[i] = std::log(share * std::exp(x[0]) + (1 - share) * std::exp(x[1])) -
             std::log(share * std::exp(1.1) + (1 - share) * std::exp(-0.7));
    }
    return r;
  };
  RobustFit fit(p);
  const Vector x = fit.fit(Vector::Ones(40));
  EXPECT_NEAR(x[0], 1.1, 0.01);
  EXPECT_NEAR(x[1], -0.7, 0.01);
}

TEST(RobustFit, WrongRowsHaveLittleSay) {
  Vector measured = Vector::Constant(20, 0.2);
  const FitProblem clean = one_number(0, 1, measured);
  for (Eigen::Index i = 0; i < 4; ++i) measured[i] = 1.8;  // six times too much
  const FitProblem dirty = one_number(0, 1, measured);
  const double without = RobustFit(clean).fit(Vector::Ones(20))[0];
  EXPECT_NEAR(RobustFit(dirty).fit(Vector::Ones(20))[0], without, kNoise / std::sqrt(20.0));
}

TEST(RobustFit, RowsLeftOutAndNumbersHeldStayOut) {
  Vector measured = Vector::Constant(20, 0.1);
  for (Eigen::Index i = 0; i < 10; ++i) measured[i] = -0.1;
  const FitProblem problem = one_number(0, 1, measured);
  Vector use = Vector::Ones(20);
  use.head(10).setZero();
  EXPECT_NEAR(RobustFit(problem).fit(use)[0], 0.1, 1e-3);
  use = Vector::Ones(20) - use;
  EXPECT_NEAR(RobustFit(problem).fit(use)[0], -0.1, 1e-3);
  const FitProblem held = one_number(0.05, 0, measured);
  RobustFit fit(held);
  EXPECT_EQ(fit.fit(Vector::Ones(20))[0], 0.05);
  EXPECT_EQ(fit.errors()[0], 0);
  EXPECT_EQ(fit.rows_moved()[0], 0);
}

// What physics bounds stays below, however loudly the rows ask for more; below, a ceiling changes nothing.
TEST(RobustFit, NothingPassesItsCeiling) {
  FitProblem problem = one_number(-0.1, 0.2, Vector::Constant(20, 0.3));
  problem.ceiling = of({0.0});
  EXPECT_EQ(RobustFit(problem).fit(Vector::Ones(20))[0], 0.0);
  FitProblem below = one_number(-0.1, 0.2, Vector::Constant(20, -0.3));
  const double free = RobustFit(below).fit(Vector::Ones(20))[0];
  below.ceiling = of({0.0});
  EXPECT_EQ(RobustFit(below).fit(Vector::Ones(20))[0], free);
}

// A row of half the weight is half a row.
TEST(RobustFit, WeightsCountRows) {
  FitProblem halves = one_number(0, 0.05, Vector::Constant(8, 0.1));
  halves.weight *= 0.5;
  const FitProblem wholes = one_number(0, 0.05, Vector::Constant(4, 0.1));
  RobustFit a(halves), b(wholes);
  EXPECT_NEAR(a.fit(Vector::Ones(8))[0], b.fit(Vector::Ones(4))[0], 1e-12);
  EXPECT_NEAR(a.errors()[0], b.errors()[0], 1e-12);
}

}  // namespace
}  // namespace tinderbox
