// Published rows that contradict one another: a time to the first token that is shorter than reading the prompt takes
// at the rate that the same source states for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "box/validation_document.h"

namespace tinderbox {

struct Contradiction {
  std::string group;      // of the times
  std::string what;       // "qwen3.5-9b q4_k_m by llama.cpp on dgx-spark"
  std::string source;     // of one of them
  std::int64_t n = 0;     // pairs of a time and a rate, of one prompt read alone
  double low = 0, high = 0;  // time * rate / prompt of the shortest and of the longest; at least 1 if they agreed
};

// Groups whose median pair says that at most kAgrees of the prompt was read, by group.
inline constexpr double kAgrees = 0.85;
std::vector<Contradiction> contradictions(const Validation& validation);

// A Markdown section; empty if there is none.
std::string contradictions_section(const Validation& validation);

}  // namespace tinderbox
