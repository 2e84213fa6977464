// A simulation as a trace that ui.perfetto.dev and chrome://tracing open: the Chrome trace event
// format (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU), times
// in microseconds.
//
// A box is a process, or each of its models. Its thread "steps" has a slice for each run of steps; counters tell
// requests running and waiting, KV in use and, of a body, watts, temperature and clock; instants tell who
// was preempted, refused, cancelled or past its deadline. A request is an async slice, and within
// it queued, prefill and decode follow one another, after a preemption anew. A request's slices are
// written when it is over, so that what has begun has always ended, wherever the trace is cut.
//
// Text goes to a sink in pieces of whole events: memory holds one piece and the requests that live.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "box/box_watch.h"

namespace tinderbox {

class PerfettoTrace {
 public:
  // All pieces in order, between these two, are one JSON document; so are the first few of them.
  static constexpr std::string_view kBegin = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  static constexpr std::string_view kEnd = "\n]}\n";

  // bytes_max: then nothing is added any more.
  PerfettoTrace(std::function<void(std::string_view)> sink, std::int64_t bytes_max);
  ~PerfettoTrace();
  PerfettoTrace(const PerfettoTrace&) = delete;
  PerfettoTrace& operator=(const PerfettoTrace&) = delete;
  // Of one box, or one of its models, for the loop; valid as long as this. name: of what runs there.
  BoxWatch* box(std::int64_t i, std::string_view name);
  // Hands on what is left; requests that still live end here.
  void finish();

  std::int64_t n_events() const { return n_events_; }
  std::int64_t n_bytes() const { return n_bytes_; }
  // Since when nothing is added any more, if so.
  std::optional<TimePoint> cut() const { return cut_; }

 private:
  class Box;
  bool add(TimePoint now, std::string_view event);

  std::function<void(std::string_view)> sink_;
  std::string piece_;
  std::int64_t bytes_max_, n_events_ = 0, n_bytes_ = 0;
  std::optional<TimePoint> cut_;
  std::deque<Box> boxes_;  // do not move
};

}  // namespace tinderbox
