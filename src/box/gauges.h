// What a box shows of itself beside its traffic, for whatever publishes it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "twin/sensors.h"

namespace tinderbox {

struct Reading {
  enum class Kind : unsigned char { Gauge, Counter };
  std::string name, help;  // of Prometheus
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
  Kind kind = Kind::Gauge;  // of all of one name
};

// By the names of NVIDIA's dcgm-exporter where it has them, else tinderbox_*; units as in the names
// or helps.
std::vector<Reading> readings(const Sensors& sensors);

}  // namespace tinderbox
