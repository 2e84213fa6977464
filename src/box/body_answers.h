// Rows of test power and temperature as questions to the body: a model's load, or none, on a box in
// the usual room, warm from it. Read from the configuration columns alone, as rows of speed are.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "box/power_rows.h"
#include "twin/sensors.h"

namespace tinderbox {

class BodyAnswers {
 public:
  // Both must outlive this.
  BodyAnswers(const TwinCatalogues& catalogues, Questioner& questioner)
      : catalogues_(catalogues), questioner_(questioner) {}

  // power_w by its reading (gpu-smi, gpu-smi-peak, gpu-rail-peak, wall, wall-peak; those that end
  // in idle have no load), energy_j_per_tok (what nvidia-smi shows over the rate of output tokens,
  // of all boxes), temperature_c (gpu, gpu-max, zone, zone-max, nvme, nvme-max, cx7, cpu, cpu-max).
  // The refusals stay the same texts.
  Answer answer(const Csv& csv, std::size_t row);

 private:
  const Body& at_rest(const std::string& machine);  // throws Error
  Answer idle(const Body& body, const std::string& metric, const std::string& reading) const;
  Answer loaded(const Csv& csv, std::size_t row, const std::string& reading);

  const TwinCatalogues& catalogues_;
  Questioner& questioner_;
  std::map<std::string, Body> bodies_;
};

// What the sensors show at the end of each phase, of a box warm from many such runs of `total`; the
// phases last their share of it, at most 20 min.
std::vector<Sensors> warm_sensors(Body body, const PhaseLoads& phases, Seconds total);

}  // namespace tinderbox
