// Models by what a user writes for them: the environment and the catalogue brought to box/model_store.h.
#pragma once

#include <string>
#include <vector>

#include "box/model_store.h"
#include "box/pull_catalogue.h"

namespace tinderbox::cli {

// A variable of the environment; "" if it is not set.
std::string environment_variable(const std::string& name);
std::vector<PullEntry> pull_catalogue();

// The file that is meant by FILE of run, serve and bench: a path, a name in the store or of the catalogue, or
// org/repo[:quant] in Hugging Face's cache. Throws Error::NotFound, with how to get it.
std::string find_model_file(const std::string& text);

}  // namespace tinderbox::cli
