// Points of a sweep as simulations: the settings of its file read by the parser of the command
// line, so that an option means the same in both, and each point run as `tinderbox simulate` runs
// it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "box/sweep.h"
#include "box/sweep_run.h"
#include "cli/commands.h"

namespace tinderbox::cli {

// Reads settings as if they stood on the command line of simulate.
class SettingsParser {
 public:
  SettingsParser();
  SettingsParser(const SettingsParser&) = delete;
  SettingsParser& operator=(const SettingsParser&) = delete;

  std::vector<std::string> keys() const;
  // Throws Error::Invalid in the words of the command line.
  SimulateOptionsCli parse(const std::vector<SweepSetting>& settings);

 private:
  CLI::App app_;
  SimulateOptionsCli options_;
};

// The file, with every value read once, alone: what the command line refuses, and names of models,
// machines, traces and so on that do not exist, are refused here with their line. Combinations that
// cannot run are not.
Sweep read_sweep(const Context& context, const std::string& text, const std::string& name);

// "tinderbox simulate --model qwen3-8b --rate 2": what repeats a point.
std::string command_of(const std::vector<SweepSetting>& settings);

// Runs points, one thread's; keeps the models and traces of the last ones.
class PointRunner {
 public:
  // Both must outlive this.
  PointRunner(const Context& context, const Sweep& sweep) : context_(context), sweep_(sweep) {}
  // An Error becomes the row's.
  SweepRow run(std::int64_t point);

 private:
  struct TraceKey {
    std::string path;
    double speed = 1;
    bool strict = false;
    bool operator==(const TraceKey&) const = default;
  };
  const StepModel& model_of(const TwinOptions& options);
  std::shared_ptr<const Trace> trace_of(const SimulateOptionsCli& options);

  const Context& context_;
  const Sweep& sweep_;
  SettingsParser parser_;
  std::vector<std::pair<TwinOptions, std::unique_ptr<StepModel>>> models_;  // the last used last
  std::vector<std::pair<TraceKey, std::shared_ptr<const Trace>>> traces_;   // likewise
};

}  // namespace tinderbox::cli
