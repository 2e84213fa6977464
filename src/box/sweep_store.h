// The results of a sweep in one SQLite file, which any number of runs fill and which is valid
// whenever they end: table `points` has a row for each point that is finished (its number, its
// settings, the main figures of the report, the command line that repeats it, the whole report as
// JSON, or why it cannot run), table `sweep` the file and the design that it belongs to. A row that
// is there stays as it is. Several processes of one computer may fill one file; over a network file
// system give each its own and merge() them. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "box/sweep.h"
#include "box/sweep_run.h"

namespace tinderbox {

class Database;

class SweepStore {
 public:
  // Opens or makes the file. program: what makes the results, with its version; command: the
  // command line of a point. Throws Error::Invalid if the file is something else, is of another
  // design (naming what differs) or of another program, or cannot be read or written.
  SweepStore(const std::string& path, const Sweep& sweep, const std::string& program,
             std::function<std::string(std::int64_t)> command);
  ~SweepStore();
  SweepStore(const SweepStore&) = delete;
  SweepStore& operator=(const SweepStore&) = delete;

  // Of each point, whether its row is there.
  std::vector<bool> done() const;
  std::int64_t n_done() const;
  std::int64_t n_errors() const;

  // All of them or none; on disk when it returns. Throws Error::Invalid if they cannot be written
  // (a full disk); what was kept before stays.
  void add(std::span<const SweepRow> rows);

  // Takes the rows of another file of the same design and program. Returns how many were new.
  // Throws Error::Invalid as the constructor does, and if both have a point but not with the same
  // result.
  std::int64_t merge(const std::string& path);

  // Every row by point, with a header, without the report: given piece by piece.
  void csv(const std::function<void(const std::string&)>& write) const;
  // A table of the first rows for people: what varies, and the main latencies and rates.
  std::string table(std::int64_t n_rows) const;

 private:
  void make(const std::string& program);
  void check(const std::string& path, const std::string& schema, const std::string& program) const;

  std::string path_;
  const Sweep& sweep_;
  std::function<std::string(std::int64_t)> command_;
  std::unique_ptr<Database> database_;
};

}  // namespace tinderbox
