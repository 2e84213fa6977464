// A verb's question, answered by this program as a process of its own: what it prints with --json is the answer, and
// nothing that it does can harm the server.
#pragma once

#include <string>
#include <vector>

#include "http/deferred.h"

namespace tinderbox::cli {

// On a thread of its own; at most a few at a time, more are refused with 429. Kills what takes longer than half a
// minute.
void ask_verb(const std::string& verb, const std::vector<std::string>& arguments, const Deferred::Give& give);

}  // namespace tinderbox::cli
