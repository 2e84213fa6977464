// Heat in a box: parts with one temperature each (machine/body_facts.h), paths between them, and
// the air that the fans pull through, one more node, which leaves as warm as it is:
//
//   C dT/dt = P - G (T - T_room)      of each node, G the paths, films and the leaving air
//
// While watts and flow are constant the solution is a sum of exponentials, so a step of any length
// is exact: the network is brought to its eigenvectors once for each flow and remembered. A film
// (air_conductance) grows with the flow to the power 0.8, as turbulent convection does.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <span>

#include "base/units.h"
#include "machine/body_facts.h"

namespace tinderbox {

inline constexpr std::size_t kHeatNodesMax = 16;       // with the air
using NodeValues = std::array<double, kHeatNodesMax>;  // beyond the nodes there are: 0

class ThermalNetwork {
 public:
  // Requires fewer nodes than kHeatNodesMax.
  explicit ThermalNetwork(const BodyFacts& body);

  std::size_t size() const { return n_; }                              // with the air
  std::size_t air() const { return n_ - 1; }                           // its index
  double capacity(std::size_t node) const { return capacity_[node]; }  // J/K

  // flow: mass of air over that of full fan speed at sea level; above 0. rise: K above the room, of
  // each node, at the begin and then at the end; watts: into each node, constant. Returns the
  // joules that left to the room. Requires seconds >= 0.
  double advance(double flow, NodeValues& rise, const NodeValues& watts, double seconds);
  // Where it would settle.
  NodeValues steady(double flow, const NodeValues& watts) const;

 private:
  using Row = std::array<double, kHeatNodesMax>;
  using Matrix = std::array<Row, kHeatNodesMax>;
  // z = V' sqrt(C) rise obeys dz/dt = V' P / sqrt(C) - decay z.
  struct Modes {
    Row decay{};                  // 1/s
    Matrix in{}, drive{}, out{};  // rise to z, watts to z, z to rise; [from][to]
    Row leaving{};                // W to the room for each z
    double seconds = -1;          // that `factor` is for
    Row factor{};                 // exp(-decay seconds)
  };
  // By flow. Not copied with the network: it is large, and whoever gets a copy to look at needs none of it.
  struct ModesOf {
    std::map<double, Modes> all;
    ModesOf() = default;
    ModesOf(const ModesOf&) {}
    ModesOf& operator=(const ModesOf& other) {
      if (this != &other) all.clear();
      return *this;
    }
  };
  Modes& modes_of(double flow);
  Matrix conductances(double flow, Row& to_room) const;

  std::size_t n_ = 0;
  Row capacity_{}, film_{}, room_{};
  Matrix paths_{};
  double air_rate_ = 0;  // W/K carried by the full flow
  ModesOf modes_;
};

}  // namespace tinderbox
