// Integers and numbers of JSON within bounds, as rules of a grammar.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/grammar.h"

namespace tinderbox {

// No less than low, no more than high, if there are such bounds. Requires low <= high.
Grammar::Rule add_json_integers(Grammar& grammar, std::optional<std::int64_t> low, std::optional<std::int64_t> high);

// A decimal number as digits, and whether it is itself beyond the bound.
struct NumberBound {
  bool negative = false;  // below zero
  std::uint64_t whole = 0;
  std::string fraction = {};  // without zeros at the end
  bool open = false;

  bool is_zero() const { return whole == 0 && fraction.empty(); }
};
// The shortest decimal number that stands for x. Requires |x| <= 1e15.
NumberBound number_bound(double x, bool open = false);

// Likewise, with digits after the point, without exponents. Requires that a number is within the bounds.
Grammar::Rule add_json_numbers(Grammar& grammar, const std::optional<NumberBound>& low,
                               const std::optional<NumberBound>& high);

}  // namespace tinderbox
