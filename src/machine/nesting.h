// A guard before toml++: it builds dotted keys and its destructors walk them recursively, without a limit of its own,
// so files that nest deeply are refused before they are parsed.
#pragma once

#include <string_view>

namespace tinderbox {

// Throws Error::Invalid naming "name:line" where brackets or dots nest deeper than 16. Follows TOML's strings and
// comments; up to the first syntax error both agree.
void check_nesting(std::string_view toml, std::string_view name);

}  // namespace tinderbox
