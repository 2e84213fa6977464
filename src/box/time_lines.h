// What a simulation was like over time: rates, queues, memory and latencies in windows of equal
// length, of all boxes together, as a chart. However long the run, there are at most kWindowsMax of
// them: when time outgrows them, each two become one. Owned by whoever simulates, used by its
// thread.
//
// Latencies are of the requests that came within a window: what a user who comes then meets. Their
// percentiles are within 2.2 % (buckets of sixteen to a power of two).
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "box/box_watch.h"
#include "box/report.h"
#include "box/time_chart.h"

namespace tinderbox {

class TimeLines {
 public:
  static constexpr std::size_t kWindowsMax = 240;

  TimeLines();
  ~TimeLines();
  TimeLines(const TimeLines&) = delete;
  TimeLines& operator=(const TimeLines&) = delete;
  // Of one box, or one of its models, for the loop; valid as long as this.
  BoxWatch* box(std::int64_t i);
  // Of every request that finishes.
  void finished(const RequestTimes& times);

  // How often a duration fell into a bucket.
  class Histogram {
   public:
    void add(Duration duration);
    void merge(const Histogram& other);
    std::int64_t n() const { return n_; }
    // Seconds; NaN of none. 0 <= percent <= 100.
    double percentile(double percent) const;

   private:
    std::vector<std::uint32_t> buckets_;
    std::int64_t n_ = 0;
  };

  struct Window {
    double output_tokens = 0, prompt_tokens = 0;
    double running_s = 0, waiting_s = 0;  // requests times how long
    double kv_s = 0;                      // shares of a model's KV on a box likewise
    double busy_s = 0;
    double wall_joules = 0, clock_s = 0, body_s = 0;  // Hz times how long, and how long
    double gpu_max = 0;                               // °C; hottest box
    Histogram ttft{}, tpot{};
    void merge(const Window& other);
  };
  const std::vector<Window>& windows() const {
    return windows_;
  }  // up to the last in which something was
  Duration window_length() const { return length_; }

  TimeChart chart(const std::string& title, const std::string& subtitle) const;

 private:
  class Box;
  Window& at(TimePoint time);
  // Calls add(window, seconds of it) for what lies between the two.
  template <typename Add>
  void spread(TimePoint from, TimePoint to, Add add);

  Duration length_;
  std::vector<Window> windows_;
  TimePoint end_{};
  std::deque<Box> boxes_;  // do not move
  std::int64_t n_boxes_ = 1;
};

}  // namespace tinderbox
