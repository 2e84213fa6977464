// One model on several machines, as a buyer compares them: speed, fit, power, price, and what a
// million generated tokens cost. Speeds and memory are the twin's; power and price are the machine
// file's, for what Machine::scope covers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/catalogue.h"
#include "twin/predict.h"

namespace tinderbox {

// Money in one currency. A machine answers requests like the point's, back to back, for
// hours_per_day at power_load and idles for the rest of the day; its price is written off evenly.
struct Tariff {
  double electricity_per_kwh = 0.30;
  double price_per_usd = 1;  // list prices are in US dollars
  double hours_per_day = 8;
  double years = 3;
};

struct Comparison {
  std::string machine, stack, weights;
  std::string reason{};  // why there is no prediction; empty if there is one
  MemoryPlan memory{};   // of the point
  std::int64_t context_max = 0;  // largest that stays safe at the point's concurrency; 0: none
  std::optional<Prediction> prediction{};
  // Generated tokens; reading the prompts is part of the cost. Empty without a prediction.
  std::optional<double> tokens_per_joule{};
  std::optional<double> electricity_per_mtok{};  // of the busy hours
  std::optional<double> total_per_mtok{};  // electricity of the whole day and the price; if known
};

// The first of the machine's usual stacks that the catalogue has and that reads the format (any if
// empty). nullopt if there is none.
std::optional<Stack> usual_stack(const Machine& machine, const Catalogue& stacks,
                                 std::string_view weights);

// A model that does not fit is a Comparison with a reason. Throws what predict() throws, and
// Error::Invalid if the tariff is not finite, negative, or has no hours or more than 24.
Comparison compare(const TwinModel& twin, const Point& point, const Tariff& tariff);

}  // namespace tinderbox
