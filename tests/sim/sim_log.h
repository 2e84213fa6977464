// What a simulated run says of itself: a law that is broken, as an exception, and everything that
// happened, as a hash that two runs of one seed must share (and as lines, for people).
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/text.h"

namespace tinderbox::sim {

struct Broken : std::runtime_error {
  Broken(std::string_view law, const std::string& detail)
      : std::runtime_error(std::string(law) + ": " + detail) {}
};

// detail: called only if the law is broken.
template <typename F>
void require(bool holds, std::string_view law, F&& detail) {
  if (!holds) throw Broken(law, detail());
}
inline void require(bool holds, std::string_view law) {
  if (!holds) throw Broken(law, "does not hold");
}

inline std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15;  // odd, with evenly spread bits
  return hash ^ (hash >> 29);
}

class Log {
 public:
  explicit Log(bool print) : print_(print) {}
  void note(std::string_view what, TimePoint at, std::initializer_list<std::int64_t> numbers,
            std::string_view text = {}) {
    hash_ = mixed(hash_, static_cast<std::uint64_t>(at.time_since_epoch().count()));
    for (const char c : what) hash_ = mixed(hash_, static_cast<unsigned char>(c));
    for (const std::int64_t n : numbers) hash_ = mixed(hash_, static_cast<std::uint64_t>(n));
    for (const char c : text) hash_ = mixed(hash_, static_cast<unsigned char>(c));
    if (!print_) return;
    std::string line = format("{:>16} ns  {}", at.time_since_epoch().count(), what);
    for (const std::int64_t n : numbers) line += format(" {}", n);
    if (!text.empty()) line += format(" {}", text);
    std::puts(line.c_str());
  }
  // Of steps alone: which sequences, with what, when.
  void step(std::uint64_t word) { steps_ = mixed(steps_, word); }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t steps() const { return steps_; }

 private:
  bool print_;
  std::uint64_t hash_ = 1, steps_ = 1;
};

}  // namespace tinderbox::sim
