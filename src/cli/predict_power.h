// What `predict` says of power, energy and heat.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "box/soak.h"
#include "cli/commands.h"

namespace tinderbox::cli {

struct PredictedPower {
  Sustained sustained;
  double joules_per_token = 0, low = 0, high = 0;  // at the wall, all boxes, for each output token
  double prefill_tok_per_s = 0, decode_tok_per_s = 0;  // once warm
  std::size_t hottest = 0;                             // zone
};

// None if the machine has no body.
std::optional<PredictedPower> predicted_power(const StepModel& model, const Point& point,
                                              const Prediction& prediction,
                                              const SurroundingsOptions& surroundings);

std::string power_text(const PredictedPower& power, const PredictOptions& options);
nlohmann::ordered_json power_json(const PredictedPower& power);

}  // namespace tinderbox::cli
