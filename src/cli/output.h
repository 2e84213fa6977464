// Where results and progress go: data to stdout, progress and logs to stderr, a bar only on a
// terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/clock.h"

namespace tinderbox::cli {

// Writes to stdout; a reader that has gone away ends the process quietly.
void print(std::string_view text);
// One JSON document and a line break.
void print_json(const nlohmann::ordered_json& document);
void log(std::string_view line);  // stderr

// "[#####     ] 51 %  what, 12 s left"; drawn at most every percent, only if stderr is a terminal; erased when it
// is over.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void at(std::int64_t done, std::int64_t total);

 private:
  std::string what_;
  bool terminal_;
  int percent_ = -1;
  WallClock clock_;
};

}  // namespace tinderbox::cli
