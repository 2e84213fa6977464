// What --help and the manual pages show of how verbs are used.
#pragma once

#include <string>
#include <string_view>

namespace tinderbox::cli {

inline constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 the answer is no, 2 wrong usage or bad input, 3 internal error.";

// "Examples:", a line or more each; of the whole program if verb is empty; empty if there are none.
std::string examples_of(std::string_view verb);

}  // namespace tinderbox::cli
