// What the readers of trace formats (box/trace.h) hand their rows to: checks, notes, order. Used by one thread.
#pragma once

#include <optional>

#include "box/trace.h"

namespace tinderbox {

// One row as it stands in a file.
struct TraceRow {
  std::optional<double> time_ns;  // of any origin; none: untimed
  double prompt = 0, gen = 0;     // tokens
  std::vector<Content> contents = {};
};

class TraceRows {
 public:
  TraceRows(std::string_view name, std::string_view format, const TraceOptions& options)
      : name_(name), options_(options) {
    trace_.format = format;
  }
  void add(std::int64_t line, TraceRow row);
  // A row that cannot be used; throws it if strict.
  void skip(std::int64_t line, std::string_view why);
  void set_rate(double rate) { trace_.rate = rate; }
  // Throws Error::Invalid if there is no row.
  Trace finish();

 private:
  std::string name_;
  TraceOptions options_;
  Trace trace_;
  std::vector<double> times_;
  std::int64_t n_timed_ = 0;
};

// The formats that are JSON. `text` begins with '{' or '['.
Trace read_json_trace(std::string_view text, std::string_view name, const TraceOptions& options);

}  // namespace tinderbox
