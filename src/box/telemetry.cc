#include "box/telemetry.h"

#include <algorithm>
#include <cmath>

#include "base/catalogue.h"
#include "base/check.h"
#include "base/csv.h"
#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kGapMax = 10;  // times the median interval
constexpr int kZonesMax = 16;
// Inferring a room: samples of one run are far from independent, and a good model is off by this
// much.
constexpr double kSamplesWorth = 20, kNoise = 2;  // K
constexpr int kRoomSteps = 5;
constexpr double kRoomStep = 0.5, kRoomConverged = 0.02;  // K

// Of a column that may be absent, a cell that may be empty.
std::optional<double> cell(const Csv& csv, std::size_t row, const std::string& column, double low,
                           double high) {
  if (!csv.has(column) || csv.at(row, column).empty()) return std::nullopt;
  const auto value = parse_double(csv.at(row, column));
  if (value && *value >= low && *value <= high) return value;
  throw_invalid(format("{}: {}: expected a number from {:g} to {:g}; got '{}'", csv.where(row),
                       column, low, high, csv.at(row, column)));
}

double required(const Csv& csv, std::size_t row, const std::string& column, double low,
                double high) {
  const auto value = cell(csv, row, column, low, high);
  if (value) return *value;
  throw_invalid(format("{}: {}: expected a number; the cell is empty", csv.where(row), column));
}

TelemetrySample sample_of(const Csv& csv, std::size_t row, int n_zones) {
  const auto celsius = [&](const std::string& column) -> std::optional<Celsius> {
    const auto value = cell(csv, row, column, -40, 150);
    return value ? std::optional(Celsius(*value)) : std::nullopt;
  };
  TelemetrySample sample{.seconds = required(csv, row, "t_s", 0, 1e9),
                         .gpu = Celsius(required(csv, row, "gpu_temp_c", -40, 150))};
  if (const auto watts = cell(csv, row, "gpu_power_w", 0, 1000)) sample.smi = Watts(*watts);
  if (const auto clock = cell(csv, row, "gpu_clock_mhz", 0, 1e5))
    sample.clock = Hertz(*clock * 1e6);
  sample.drive = celsius("nvme_temp_c");
  sample.network = celsius("nic_temp_c");
  for (int i = 0; i < n_zones; ++i) sample.zones.push_back(celsius(format("zone{}_c", i)));
  return sample;
}

void check_intervals(const TelemetryRun& run, std::string_view name) {
  if (run.samples.size() < 2)
    throw_invalid(format("{}: {}: expected at least 2 samples", name, run.name));
  std::vector<double> intervals;
  for (std::size_t i = 1; i < run.samples.size(); ++i) {
    intervals.push_back(run.samples[i].seconds - run.samples[i - 1].seconds);
  }
  const double usual = quantile(intervals, 0.5);
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    if (intervals[i] <= kGapMax * usual) continue;
    throw_invalid(format(
        "{}: {}: nothing for {:g} s after {:g} s where samples are {:g} s apart; split it into "
        "runs (column run)",
        name, run.name, intervals[i], run.samples[i].seconds, usual));
  }
  const bool power = run.has_power();
  for (const TelemetrySample& sample : run.samples) {
    if (sample.smi.has_value() == power) continue;
    throw_invalid(format("{}: {}: gpu_power_w at {:g} s: expected in every sample or in none", name,
                         run.name, sample.seconds));
  }
}

}  // namespace

std::vector<TelemetryRun> parse_telemetry(std::string_view text, std::string_view name) {
  const Csv csv = Csv::parse(text, name);
  int n_zones = 0;
  while (n_zones < kZonesMax && csv.has(format("zone{}_c", n_zones))) ++n_zones;
  const std::string stem(name.substr(0, name.rfind(".csv")));
  std::vector<TelemetryRun> runs;
  std::string last;
  for (std::size_t row = 0; row < csv.size(); ++row) {
    const std::string run = csv.has("run") ? csv.at(row, "run") : "";
    if (runs.empty() || run != last) {
      runs.push_back({.name = run.empty() ? stem : format("{}: {}", stem, run),
                      .source = stem.substr(0, stem.find('-')),
                      .link_up = cell(csv, row, "link_up", 0, 1).value_or(0) > 0,
                      .samples = {}});
      last = run;
    }
    std::vector<TelemetrySample>& samples = runs.back().samples;
    samples.push_back(sample_of(csv, row, n_zones));
    if (samples.size() > 1 && samples.back().seconds <= samples[samples.size() - 2].seconds) {
      throw_invalid(format(
          "{}: t_s: expected more than {:g} s, the sample before; got {:g} s. Time does not run "
          "backwards: sort the rows, or name another run",
          csv.where(row), samples[samples.size() - 2].seconds, samples.back().seconds));
    }
  }
  if (runs.empty()) throw_invalid(format("{}: expected samples below the header", name));
  for (const TelemetryRun& run : runs) check_intervals(run, name);
  return runs;
}

std::vector<TelemetryRun> load_telemetry(const std::filesystem::path& folder) {
  const Catalogue files = Catalogue::from_folder("telemetry file", folder, ".csv");
  std::vector<TelemetryRun> runs;
  for (const std::string& id : files.ids()) {
    std::vector<TelemetryRun> more = parse_telemetry(files.text(id), id + ".csv");
    std::ranges::move(more, std::back_inserter(runs));
  }
  if (runs.empty()) throw_not_found(format("{}: no *.csv with telemetry", folder.string()));
  return runs;
}

namespace {

Replay run_through(Body body, const TelemetryRun& run, Celsius room) {
  Replay out{.room = room};
  body.set_room(room);
  body.set_logged(*run.samples.front().smi, run.link_up);
  body.begin_at(run.samples.front().gpu);
  double squares = 0;
  for (std::size_t i = 0; i < run.samples.size(); ++i) {
    if (i > 0) {
      const Seconds all(run.samples[i].seconds - run.samples[i - 1].seconds);
      const Duration held = to_duration(all * run.samples[i].held_share);
      body.advance(held);
      body.set_logged(*run.samples[i].smi, run.link_up);
      body.advance(to_duration(all) - held);
    }
    out.gpu.push_back(body.temperature(body.facts().gpu));
    out.drive.push_back(body.temperature(body.facts().drive));
    out.network.push_back(body.temperature(body.facts().network));
    out.clock.push_back(body.state().clock);
    out.zones.emplace_back();
    for (std::size_t z = 0; z < run.samples[i].zones.size(); ++z) out.zones.back().push_back(body.zone(z));
    squares += std::pow((out.gpu.back() - run.samples[i].gpu).value(), 2);
  }
  out.rmse = std::sqrt(squares / static_cast<double>(run.samples.size()));
  return out;
}

}  // namespace

Replay replay(const Body& at_rest, const TelemetryRun& run, std::optional<Celsius> room) {
  CHECK(run.has_power());
  if (room) return run_through(at_rest, run, *room);
  const BodyFacts& body = at_rest.facts();
  const auto n = static_cast<double>(run.samples.size());
  const double weight = std::min(1.0, kSamplesWorth / n) / (kNoise * kNoise);
  const double held = 1 / std::pow(body.room_spread.value(), 2);
  Celsius at = body.room_prior;
  for (int step = 0; step < kRoomSteps; ++step) {
    const Replay here = run_through(at_rest, run, at);
    const Replay there = run_through(at_rest, run, at + Kelvins(kRoomStep));
    double slope_error = 0, slope_slope = 0;
    for (std::size_t i = 0; i < run.samples.size(); ++i) {
      const double slope = (there.gpu[i] - here.gpu[i]).value() / kRoomStep;
      slope_error += slope * (here.gpu[i] - run.samples[i].gpu).value();
      slope_slope += slope * slope;
    }
    const double change = -(weight * slope_error + held * (at - body.room_prior).value()) /
                          (weight * slope_slope + held);
    at = Celsius(std::clamp(at.degrees() + change, -20.0, 50.0));
    if (std::abs(change) < kRoomConverged) break;
  }
  return run_through(at_rest, run, at);
}

}  // namespace tinderbox
