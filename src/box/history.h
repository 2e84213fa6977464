// How a box was, second by second: samples of named values, kept for an hour as they come and for longer as means of
// 10 s and 60 s. In memory, in bounded space; rows can be handed on to be kept. Any thread, one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tinderbox {

// The means of a span of time that begins at at_unix, a multiple of span_s.
struct HistoryRow {
  int span_s = 1;
  std::int64_t at_unix = 0;
  std::vector<std::pair<std::string, double>> values;  // names differ; NaN: unknown
};

struct HistorySpan {
  int span_s;
  std::int64_t kept_s;
  constexpr std::int64_t rows() const { return kept_s / span_s; }
};
inline constexpr std::array<HistorySpan, 3> kHistorySpans = {HistorySpan{1, 3600}, HistorySpan{10, 6 * 3600},
                                                             HistorySpan{60, 24 * 3600}};
inline constexpr std::int64_t kHistoryPointsMax = 2000;
inline constexpr std::size_t kHistorySeriesMax = 64;  // more names are ignored

// Equally long columns; NaN: unknown. After a time without samples comes one row of nothing.
struct HistoryColumns {
  std::vector<std::int64_t> at_unix;
  std::vector<std::string> names;
  std::vector<std::vector<double>> values;  // values[name][row]
};

// Rows by time, of which the oldest makes room. All its memory is taken when a series is added.
class HistoryRing {
 public:
  explicit HistoryRing(std::int64_t rows_max) : at_(static_cast<std::size_t>(rows_max)) {}
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Requires i < size().
  std::int64_t at(std::size_t i) const { return at_[slot(i)]; }
  double& value(std::size_t i, std::size_t series) { return columns_[series][slot(i)]; }
  double value(std::size_t i, std::size_t series) const { return columns_[series][slot(i)]; }
  std::int64_t last_at() const { return at(size_ - 1); }

  void add_series();          // unknown in every row
  void push(std::int64_t at);  // a row of nothing
  void pop_front();
  void pop_back() { --size_; }

 private:
  std::size_t slot(std::size_t i) const { return (first_ + i) % at_.size(); }

  std::vector<std::int64_t> at_;
  std::vector<std::vector<double>> columns_;
  std::size_t first_ = 0, size_ = 0;
};

class History {
 public:
  using Sample = std::span<const std::pair<std::string_view, double>>;
  // keep: is given every row that is new or has changed, in the thread of append(). Optional.
  explicit History(std::function<void(HistoryRow)> keep = {}) : keep_(std::move(keep)) {}

  // What was kept, before anything is appended: rows of one span after another, oldest first within a span. A coarse
  // row that was not finished is made again from the fine ones.
  void restore(std::vector<HistoryRow> rows);
  // A value that is no number is unknown. Time that goes back by more than a minute (the clock was set) drops what
  // would come after it.
  void append(double at_unix, Sample sample);
  // What is known of the last `seconds` before now, at most kHistoryPointsMax rows.
  HistoryColumns query(double now_unix, std::int64_t seconds) const;

 private:
  struct Level {
    HistoryRing rows;  // the last one may be unfinished
    std::vector<double> sums{};
    std::vector<std::int64_t> counts{};  // of the last row
  };

  std::size_t index_of(std::string_view name);
  void take(std::size_t level, std::int64_t at, const std::vector<double>& values);
  void hand_on(std::size_t level) const;

  std::function<void(HistoryRow)> keep_;
  std::vector<std::string> names_;
  std::array<Level, kHistorySpans.size()> levels_ = {Level{HistoryRing(kHistorySpans[0].rows())},
                                                     Level{HistoryRing(kHistorySpans[1].rows())},
                                                     Level{HistoryRing(kHistorySpans[2].rows())}};
};

}  // namespace tinderbox
