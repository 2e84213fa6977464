// The formats of strings that JSON Schema names and a grammar can hold: RFC 3339's date, time and date-time, RFC 9562's
// uuid.
#pragma once

#include <optional>
#include <string_view>

#include "model/grammar.h"

namespace tinderbox {

// Without quotes. Days are those that every month has; times are UTC. nullopt: a format that is not known here.
std::optional<Grammar::Sequence> json_format(Grammar& grammar, std::string_view name);

}  // namespace tinderbox
