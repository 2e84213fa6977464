// Integers and numbers of JSON within bounds, as rules of a grammar.
#pragma once

#include <cstdint>
#include <optional>

#include "model/grammar.h"

namespace tinderbox {

// No less than low, no more than high, if there are such bounds. Requires low <= high.
Grammar::Rule add_json_integers(Grammar& grammar, std::optional<std::int64_t> low, std::optional<std::int64_t> high);
// Likewise, with digits after the point, without exponents.
Grammar::Rule add_json_numbers(Grammar& grammar, std::optional<std::int64_t> low, std::optional<std::int64_t> high);

}  // namespace tinderbox
