#include "box/history.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tinderbox {
namespace {

const double kUnknown = std::nan("");
constexpr std::int64_t kClockWasSet = 60;  // s
constexpr std::int64_t kGap = 5;           // s without a sample: not a late one, but a box that was off
constexpr double kTimeMax = 1e12;          // s: far beyond any clock, far below what an integer holds

std::int64_t floor_to(std::int64_t at, std::int64_t step) { return at - ((at % step) + step) % step; }

}  // namespace

void HistoryRing::add_series() { columns_.emplace_back(at_.size(), kUnknown); }

void HistoryRing::push(std::int64_t at) {
  if (size_ == at_.size()) pop_front();
  at_[slot(size_)] = at;
  for (std::vector<double>& column : columns_) column[slot(size_)] = kUnknown;
  ++size_;
}

void HistoryRing::pop_front() {
  first_ = slot(1);
  --size_;
}

std::size_t History::index_of(std::string_view name) {
  const auto at = std::ranges::find(names_, name);
  if (at != names_.end()) return static_cast<std::size_t>(at - names_.begin());
  if (names_.size() < kHistorySeriesMax) {
    names_.emplace_back(name);
    for (Level& level : levels_) level.rows.add_series();
  }
  return names_.size() - (names_.back() == name ? 1 : 0);
}

void History::append(double at_unix, Sample sample) {
  if (!(std::abs(at_unix) < kTimeMax)) return;
  std::vector<double> values;
  for (const auto& [name, value] : sample) {
    const std::size_t i = index_of(name);
    if (i >= names_.size()) continue;
    if (values.size() <= i) values.resize(i + 1, kUnknown);
    values[i] = std::isfinite(value) ? value : kUnknown;
  }
  const auto at = static_cast<std::int64_t>(std::floor(at_unix));
  for (std::size_t level = 0; level < levels_.size(); ++level) take(level, at, values);
}

void History::take(std::size_t level, std::int64_t at, const std::vector<double>& values) {
  const auto [span_s, kept_s] = kHistorySpans[level];
  Level& l = levels_[level];
  const std::int64_t begin = floor_to(at, span_s);
  if (!l.rows.empty() && begin < l.rows.last_at() - kClockWasSet) {
    while (!l.rows.empty() && l.rows.last_at() >= begin) l.rows.pop_back();
    l.sums.clear();
    l.counts.clear();
  }
  if (l.rows.empty() || begin > l.rows.last_at()) {
    if (level > 0 && !l.rows.empty()) hand_on(level);
    l.rows.push(begin);
    l.sums.clear();
    l.counts.clear();
    while (l.rows.at(0) <= begin - kept_s) l.rows.pop_front();
  }
  const std::size_t n = std::max(values.size(), l.sums.size());
  l.sums.resize(n, 0.0);
  l.counts.resize(n, 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    l.sums[i] += values[i];
    l.rows.value(l.rows.size() - 1, i) = l.sums[i] / static_cast<double>(++l.counts[i]);
  }
  if (level == 0) hand_on(level);  // at once: the process may be killed before the second is over
}

void History::hand_on(std::size_t level) const {
  if (!keep_) return;
  const HistoryRing& rows = levels_[level].rows;
  HistoryRow out{.span_s = kHistorySpans[level].span_s, .at_unix = rows.last_at(), .values = {}};
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const double value = rows.value(rows.size() - 1, i);
    if (!std::isnan(value)) out.values.emplace_back(names_[i], value);
  }
  keep_(std::move(out));
}

void History::restore(std::vector<HistoryRow> rows) {
  for (const HistoryRow& row : rows) {
    const auto level = static_cast<std::size_t>(std::ranges::find(kHistorySpans, row.span_s, &HistorySpan::span_s) -
                                                kHistorySpans.begin());
    if (level == kHistorySpans.size()) continue;
    Level& l = levels_[level];
    if (!l.rows.empty() && l.rows.last_at() >= row.at_unix) continue;
    l.rows.push(row.at_unix);
    for (const auto& [name, value] : row.values) {
      const std::size_t i = index_of(name);
      if (i < names_.size()) l.rows.value(l.rows.size() - 1, i) = value;
    }
  }
  const HistoryRing& finest = levels_[0].rows;
  std::vector<double> values(names_.size());
  for (std::size_t level = 1; level < levels_.size(); ++level) {
    const Level& l = levels_[level];
    const std::int64_t from =
        l.rows.empty() ? std::numeric_limits<std::int64_t>::min() : l.rows.last_at() + kHistorySpans[level].span_s;
    for (std::size_t row = 0; row < finest.size(); ++row) {
      if (finest.at(row) < from) continue;
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = finest.value(row, i);
      take(level, finest.at(row), values);
    }
  }
}

HistoryColumns History::query(double now_unix, std::int64_t seconds) const {
  seconds = std::clamp<std::int64_t>(seconds, 1, kHistorySpans.back().kept_s);
  std::size_t level = 0;
  while (level + 1 < kHistorySpans.size() && kHistorySpans[level].kept_s < seconds) ++level;
  const std::int64_t span = kHistorySpans[level].span_s;
  // Some rows are left for gaps.
  const std::int64_t per_point = (seconds / span + kHistoryPointsMax - 1) / kHistoryPointsMax;
  const std::int64_t step = span * std::max<std::int64_t>(per_point, 1);
  const auto now = static_cast<std::int64_t>(std::floor(std::clamp(now_unix, -kTimeMax, kTimeMax)));

  HistoryColumns out;
  out.names = names_;
  out.values.resize(names_.size());
  const auto add_row = [&](std::int64_t at) {
    out.at_unix.push_back(at);
    for (auto& column : out.values) column.push_back(kUnknown);
  };
  std::vector<std::int64_t> counts(names_.size());
  const HistoryRing& rows = levels_[level].rows;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows.at(row) <= now - seconds || rows.at(row) > now) continue;
    const std::int64_t at = floor_to(rows.at(row), step);
    if (out.at_unix.empty() || out.at_unix.back() != at) {
      if (!out.at_unix.empty() && at - out.at_unix.back() > std::max(kGap, 2 * step))
        add_row(out.at_unix.back() + step);
      add_row(at);
      std::ranges::fill(counts, 0);
    }
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const double value = rows.value(row, i);
      if (std::isnan(value)) continue;
      double& mean = out.values[i].back();
      mean = counts[i] == 0 ? value : mean + (value - mean) / static_cast<double>(counts[i] + 1);
      ++counts[i];
    }
  }
  return out;
}

}  // namespace tinderbox
