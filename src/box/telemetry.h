// What somebody logged of a box over time, and the twin's body driven by the same watts. Files are
// described in data/telemetry/README.md.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twin/body.h"

namespace tinderbox {

struct TelemetrySample {
  double seconds = 0;
  Celsius gpu;
  std::optional<Watts> smi{};  // as nvidia-smi shows it
  std::optional<Hertz> clock{};
  std::optional<Celsius> drive{}, network{};
  std::vector<std::optional<Celsius>> zones{};  // as many as the file has columns
  // Of the time since the sample before, that the watts of that one lasted: a log does not say.
  double held_share = 0.5;
};

struct TelemetryRun {
  std::string name;      // "pulsar-nano-smoke-node1", "djangodevreng-x: test05"
  std::string source;    // the file's name up to its first '-'
  bool link_up = false;  // of the network card
  std::vector<TelemetrySample> samples{};
  bool has_power() const { return !samples.empty() && samples.front().smi.has_value(); }
};

// Of a file's text; name stands for it in messages. Throws Error::Invalid naming "file:line" for a
// cell that is no number, time that does not grow within a run, a gap of more than ten times the
// usual interval, a temperature or power that is none, or fewer than two samples.
std::vector<TelemetryRun> parse_telemetry(std::string_view text, std::string_view name);

// All runs of a folder's *.csv, by file name. Throws Error::NotFound if it has none.
std::vector<TelemetryRun> load_telemetry(const std::filesystem::path& folder);

struct Replay {
  Celsius room;                                    // given, or inferred
  std::vector<Celsius> gpu{}, drive{}, network{};  // one for each sample
  std::vector<Hertz> clock{};
  std::vector<std::vector<Celsius>> zones{};  // of samples that have them
  double rmse = 0;                                 // K, of the GPU over the whole run
};

// The body under a run's watts, from its first temperature on. room: none: inferred, so that the
// GPU is right on average, held to the body's room_prior. Requires a run with power.
Replay replay(const Body& at_rest, const TelemetryRun& run, std::optional<Celsius> room = {});

}  // namespace tinderbox
