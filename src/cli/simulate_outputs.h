// The files that `simulate` writes: a row for each request, a trace for Perfetto, a chart of time
// lines.
#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "box/perfetto.h"
#include "box/time_lines.h"
#include "cli/commands.h"

namespace tinderbox::cli {

// A row for each request that finished, as it does.
class RequestFile {
 public:
  explicit RequestFile(const std::string& path);
  void add(const RequestTimes& times) { file_ << requests_csv_row(times); }
  void close();

 private:
  void check(std::string_view what);
  std::string path_;
  std::ofstream file_;
};

// Ends as JSON must after every piece, and goes on by writing over that end: whoever kills the
// program keeps a trace that opens, unless it is within a write.
class TraceFile {
 public:
  explicit TraceFile(const std::string& path);
  void write(std::string_view piece);
  void close();

 private:
  void check(std::string_view what);
  std::string path_;
  std::ofstream file_;
  std::streamoff end_ = 0;
};

// Those that were asked for. All throw Error::Invalid, naming option and file, if one cannot be
// written.
class SimulationOutputs {
 public:
  // models: all that a box holds.
  SimulationOutputs(const SimulateOptionsCli& options, const std::vector<const TwinModel*>& models);
  // What the simulation is to tell; this must outlive it.
  void attach(SimulateOptions& simulation);
  // Writes what is left, and tells the log what there is.
  void close();

 private:
  const SimulateOptionsCli& options_;
  std::vector<std::string> names_;  // of each model, and where
  std::string what_, how_;          // is simulated
  std::optional<RequestFile> requests_;
  std::optional<TraceFile> trace_file_;
  std::optional<PerfettoTrace> trace_;
  std::optional<TimeLines> lines_;
};

}  // namespace tinderbox::cli
