#include "twin/thermal.h"

#include <cmath>

#include <Eigen/Dense>

#include "base/check.h"

namespace tinderbox {
namespace {

// Air at 25 °C and sea level.
constexpr double kAirDensity = 1.184;      // kg/m3
constexpr double kAirSpecificHeat = 1006;  // J/(kg K)
constexpr double kFilmExponent = 0.8;      // of the flow: turbulent forced convection
// What the air inside a box holds is next to nothing; the node needs something to be one.
constexpr double kAirCapacity = 1;  // J/K
// Flows that differ by less need no eigenvectors of their own; a controller has far fewer.
constexpr std::size_t kModesMax = 1024;

// Of all places there are, which are few, and whose number is known when this is compiled.
using All = Eigen::Array<double, kHeatNodesMax, 1>;
Eigen::Map<const All> all_of(const NodeValues& values) { return Eigen::Map<const All>(values.data()); }

}  // namespace

ThermalNetwork::ThermalNetwork(const BodyFacts& body) : n_(body.nodes.size() + 1) {
  CHECK(n_ <= kHeatNodesMax);
  for (std::size_t i = 0; i + 1 < n_; ++i) {
    capacity_[i] = body.nodes[i].capacity;
    film_[i] = body.nodes[i].air_conductance;
    room_[i] = body.nodes[i].room_conductance;
  }
  capacity_[air()] = kAirCapacity;
  for (const HeatPath& path : body.paths) {
    const auto a = static_cast<std::size_t>(path.a), b = static_cast<std::size_t>(path.b);
    paths_[a][b] += path.conductance;
    paths_[b][a] += path.conductance;
  }
  air_rate_ = body.full_flow * kAirDensity * kAirSpecificHeat;
}

ThermalNetwork::Matrix ThermalNetwork::conductances(double flow, Row& to_room) const {
  CHECK(flow > 0 && std::isfinite(flow));
  Matrix between = paths_;
  const double film = std::pow(flow, kFilmExponent);
  for (std::size_t i = 0; i < air(); ++i) {
    between[i][air()] = between[air()][i] = film_[i] * film;
    to_room[i] = room_[i];
  }
  to_room[air()] = air_rate_ * flow;
  return between;
}

ThermalNetwork::Modes& ThermalNetwork::modes_of(double flow) {
  std::map<double, Modes>& all = modes_.all;
  const auto found = all.find(flow);
  if (found != all.end()) return found->second;
  if (all.size() >= kModesMax) all.clear();
  const auto n = static_cast<Eigen::Index>(n_);
  const auto at = [](Eigen::Index i) { return static_cast<std::size_t>(i); };
  Row to_room{};
  const Matrix between = conductances(flow, to_room);
  Eigen::MatrixXd a = Eigen::MatrixXd::Zero(n, n);
  Eigen::VectorXd root(n);
  for (Eigen::Index i = 0; i < n; ++i) root[i] = std::sqrt(capacity_[at(i)]);
  for (Eigen::Index i = 0; i < n; ++i) {
    a(i, i) = to_room[at(i)];
    for (Eigen::Index j = 0; j < n; ++j) {
      a(i, i) += between[at(i)][at(j)];
      a(i, j) -= between[at(i)][at(j)];
    }
  }
  a = root.cwiseInverse().asDiagonal() * a * root.cwiseInverse().asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
  CHECK(solver.info() == Eigen::Success);
  Modes& modes = all[flow];
  for (Eigen::Index k = 0; k < n; ++k) {
    modes.decay[at(k)] = solver.eigenvalues()[k];
    CHECK(modes.decay[at(k)] > 0);  // every node is cooled
    for (Eigen::Index i = 0; i < n; ++i) {
      const double v = solver.eigenvectors()(i, k);
      modes.in[at(i)][at(k)] = v * root[i];
      modes.drive[at(i)][at(k)] = v / root[i];
      modes.out[at(k)][at(i)] = v / root[i];
      modes.leaving[at(k)] += to_room[at(i)] * v / root[i];
    }
  }
  return modes;
}

double ThermalNetwork::advance(double flow, NodeValues& rise, const NodeValues& watts,
                               double seconds) {
  CHECK(seconds >= 0 && std::isfinite(seconds));
  Modes& m = modes_of(flow);
  if (m.seconds != seconds) {
    for (std::size_t k = 0; k < n_; ++k) m.factor[k] = std::exp(-m.decay[k] * seconds);
    m.seconds = seconds;
  }
  All begin = All::Zero(), drive = All::Zero(), sum = All::Zero();
  for (std::size_t i = 0; i < n_; ++i) {
    begin += all_of(m.in[i]) * rise[i];
    drive += all_of(m.drive[i]) * watts[i];
  }
  double left = 0;
  for (std::size_t k = 0; k < n_; ++k) {
    const auto row = static_cast<Eigen::Index>(k);
    const double end = drive[row] / m.decay[k];
    const double away = begin[row] - end;
    left += m.leaving[k] * (end * seconds + away * (1 - m.factor[k]) / m.decay[k]);
    sum += all_of(m.out[k]) * (end + away * m.factor[k]);
  }
  Eigen::Map<All>(rise.data()) = sum;
  return left;
}

NodeValues ThermalNetwork::steady(double flow, const NodeValues& watts) const {
  const auto n = static_cast<Eigen::Index>(n_);
  Row to_room{};
  const Matrix between = conductances(flow, to_room);
  Eigen::MatrixXd g = Eigen::MatrixXd::Zero(n, n);
  Eigen::VectorXd p(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto row = static_cast<std::size_t>(i);
    p[i] = watts[row];
    g(i, i) = to_room[row];
    for (Eigen::Index j = 0; j < n; ++j) {
      g(i, i) += between[row][static_cast<std::size_t>(j)];
      g(i, j) -= between[row][static_cast<std::size_t>(j)];
    }
  }
  const Eigen::VectorXd rise = g.llt().solve(p);
  NodeValues out{};
  for (Eigen::Index i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = rise[i];
  return out;
}

}  // namespace tinderbox
