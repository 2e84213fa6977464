// How many tokens prompts and answers have: drawn from a distribution.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace tinderbox {

inline constexpr std::int64_t kLengthMax = 1 << 24;  // tokens

struct Lengths {
  enum class Kind : std::uint8_t { Uniform, LogNormal, Empirical } kind = Kind::Uniform;
  std::int64_t low = 1, high = 1;  // both included; of LogNormal, where draws are cut off
  double mean = 1, spread = 0;     // LogNormal: before they are cut off; spread = deviation / mean
  std::vector<std::int32_t> values = {};  // Empirical: each as likely as the others

  std::int32_t draw(Random& random) const;
};

// Tokens; of LogNormal before draws are cut off.
double mean_length(const Lengths& lengths);

// Throws Error::Invalid, beginning with `name`, unless 1 <= low <= high <= kLengthMax and the rest fits the kind.
void verify(const Lengths& lengths, std::string_view name);

// "512", "uniform:100-900", "lognormal:MEAN,SPREAD[,HIGHEST]" (default 16 MEAN), or "file:NAME" with a length
// a line. Throws Error::Invalid, beginning with `name`; Error::NotFound for a file that is not there.
Lengths parse_lengths(std::string_view text, std::string_view name);

}  // namespace tinderbox
