// Completions for shells, from the command line as the parser takes it. Each needs nothing but its shell.
#pragma once

#include <string>

#include "cli/verb_tree.h"

namespace tinderbox::cli {

std::string bash_completion(const VerbFacts& tree);
std::string zsh_completion(const VerbFacts& tree);
std::string fish_completion(const VerbFacts& tree);

}  // namespace tinderbox::cli
