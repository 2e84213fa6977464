// Where a box keeps its state: what --state says, or the folder that systemd or the XDG base directories name.
#pragma once

#include <string>

namespace tinderbox::cli {

// asked: --state. "": nowhere ("none", or there is no home).
std::string state_folder(const std::string& asked);

}  // namespace tinderbox::cli
