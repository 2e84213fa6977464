#include "box/durations.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"

namespace tinderbox {
namespace {

constexpr int kBits = 7;  // of a value, below its highest one, that choose its bucket
constexpr std::int64_t kPerOctave = 1 << kBits;

std::size_t bucket_of(std::int64_t value) {
  if (value < 2 * kPerOctave) return static_cast<std::size_t>(value);
  const auto shift =
      static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(value))) - (kBits + 1);
  return static_cast<std::size_t>(shift * kPerOctave + (value >> shift));
}

// Its middle.
std::int64_t value_of(std::size_t bucket) {
  const auto i = static_cast<std::int64_t>(bucket);
  if (i < 2 * kPerOctave) return i;
  const std::int64_t shift = i / kPerOctave - 1;
  return ((i - shift * kPerOctave) << shift) + (std::int64_t{1} << (shift - 1));
}

// Of samples in ascending order, given as runs of equal ones.
template <typename Runs>
Seconds percentile_of(const Runs& runs, std::int64_t n, double percent) {
  const double rank = percent / 100 * static_cast<double>(n - 1);
  const auto low = static_cast<std::int64_t>(std::floor(rank));
  const auto at = [&](std::int64_t i) {
    std::int64_t n_below = 0;
    for (const auto& run : runs) {
      n_below += run.n;
      if (i < n_below) return to_seconds(Duration(run.value));
    }
    return to_seconds(Duration(runs.back().value));
  };
  const Seconds below = at(low), above = at(std::min(low + 1, n - 1));
  return below + (above - below) * (rank - static_cast<double>(low));
}

}  // namespace

void Durations::add(Duration duration, std::int64_t n) {
  const std::int64_t value = duration.count();
  CHECK(value >= 0 && n >= 0);
  if (n == 0) return;
  low_ = n_ == 0 ? value : std::min(low_, value);
  high_ = std::max(high_, value);
  n_ += n;
  sum_s_ += value / 1'000'000'000 * n;
  sum_ns_ += value % 1'000'000'000 * n;
  if (!is_exact()) {
    if (!runs_.empty()) leave_exact();
    count(value, n);
  } else if (!runs_.empty() && runs_.back().value == value) {
    runs_.back().n += n;
  } else {
    runs_.push_back({value, n});
  }
}

void Durations::count(std::int64_t value, std::int64_t n) {
  const std::size_t i = bucket_of(value);
  if (i >= buckets_.size()) buckets_.resize(i + 1);
  buckets_[i] += n;
}

void Durations::leave_exact() {
  for (const Run& run : runs_) count(run.value, run.n);
  runs_ = {};
}

void Durations::merge(const Durations& other) {
  if (other.n_ == 0) return;
  low_ = n_ == 0 ? other.low_ : std::min(low_, other.low_);
  high_ = std::max(high_, other.high_);
  n_ += other.n_;
  sum_s_ += other.sum_s_;
  sum_ns_ += other.sum_ns_;
  runs_.insert(runs_.end(), other.runs_.begin(), other.runs_.end());
  if (buckets_.size() < other.buckets_.size()) buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  if (!is_exact()) leave_exact();
}

std::vector<Durations::Run> Durations::sorted() const {
  std::vector<Run> sorted = runs_;
  std::ranges::sort(sorted, {}, &Run::value);
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] > 0) sorted.push_back({std::clamp(value_of(i), low_, high_), buckets_[i]});
  }
  return sorted;
}

Seconds Durations::percentile(double percent) const {
  CHECK(percent >= 0 && percent <= 100);
  return n_ == 0 ? Seconds() : percentile_of(sorted(), n_, percent);
}

Seconds Durations::mean() const {
  if (n_ == 0) return Seconds();
  const auto n = static_cast<double>(n_);
  return Seconds(static_cast<double>(sum_s_) / n + static_cast<double>(sum_ns_) / n * 1e-9);
}

Distribution Durations::distribution() const {
  if (n_ == 0) return {};
  const std::vector<Run> runs = sorted();
  return {.n = n_,
          .mean = mean(),
          .p50 = percentile_of(runs, n_, 50),
          .p90 = percentile_of(runs, n_, 90),
          .p95 = percentile_of(runs, n_, 95),
          .p99 = percentile_of(runs, n_, 99)};
}

}  // namespace tinderbox
