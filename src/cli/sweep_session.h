// One process's part of a sweep: the file of results, what is left to do, progress on stderr, and
// what is said in the end. Shared by `simulate --sweep`, which runs the points on threads, and by
// the program that runs them under MPI. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "box/sweep_store.h"
#include "cli/commands.h"

namespace tinderbox::cli {

// How far a sweep is and how long it will take: on a terminal one line that is written over,
// elsewhere a line now and then.
class SweepProgress {
 public:
  SweepProgress(std::int64_t n_before, std::int64_t n_total);
  ~SweepProgress();
  SweepProgress(const SweepProgress&) = delete;
  SweepProgress& operator=(const SweepProgress&) = delete;
  void add(std::size_t n_points);

 private:
  WallClock clock_;
  bool terminal_;
  bool shown_ = false;
  std::int64_t n_before_, n_now_ = 0, n_total_;
  Seconds next_;  // when to say something again
};

class SweepSession {
 public:
  // Opens the results. Throws Error.
  SweepSession(const Sweep& sweep, const SweepOptionsCli& options);
  const std::vector<std::int64_t>& to_do() const { return to_do_; }
  void keep(std::span<const SweepRow> rows);
  // Merges, if so asked; writes the CSV; prints. Returns the exit code: 1 if a merge leaves points
  // out.
  int finish();

 private:
  std::string path_;
  const Sweep& sweep_;
  SweepOptionsCli options_;
  Shard shard_;
  SweepStore store_;
  std::vector<std::int64_t> to_do_;
  std::int64_t n_mine_ = 0;
  std::optional<SweepProgress> progress_;
};

}  // namespace tinderbox::cli
