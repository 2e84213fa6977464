#include "box/validation_body.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <numbers>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"
#include "box/body_answers.h"
#include "box/markdown.h"

namespace tinderbox {
namespace {

constexpr double kRmseMost = 2, kWorkloadMost = 3;  // K
constexpr double kPowerMost = 0.08, kClockMost = 0.02, kCoolMost = 0.15;
constexpr double kFallLeast = 1200;     // s without load after one
constexpr std::size_t kEndSamples = 5;  // whose mean is where a fall ends
constexpr int kEndSteps = 10;           // that halve the interval in which a load ended

std::string workload_of(const PhaseLoads& phases, const std::string& streams) {
  if (phases.prefill_share > 0.5) return "mostly prefill";
  return streams == "1" ? "decode, one stream" : "decode, several streams";
}

std::string file_of(const std::string& run) { return run.substr(0, run.find(": ")); }

// Samples from the first without load to the end of the run; 0: the load does not end, or not early
// enough.
std::size_t begin_of_fall(const TelemetryRun& run, Watts works) {
  std::size_t begin = run.samples.size();
  while (begin > 0 && *run.samples[begin - 1].smi < works) --begin;
  if (begin == 0 || begin == run.samples.size()) return 0;
  return run.samples.back().seconds - run.samples[begin].seconds >= kFallLeast ? begin : 0;
}

// Requires two values or more.
double fall_time(const std::vector<double>& seconds, const std::vector<double>& values) {
  double end = 0;
  const std::size_t n_end = std::min<std::size_t>(kEndSamples, values.size());
  for (std::size_t i = values.size() - n_end; i < values.size(); ++i)
    end += values[i] / static_cast<double>(n_end);
  const double left = (values.front() - end) / std::numbers::e;
  for (std::size_t i = 1; i < values.size(); ++i) {
    const double now = values[i] - end, before = values[i - 1] - end;
    if (now > left) continue;
    return seconds[i - 1] - seconds.front() +
           (seconds[i] - seconds[i - 1]) * (before - left) / (before - now);
  }
  return seconds.back() - seconds.front();
}

// A log does not say when between two samples its load ended, and the first minute of a fall hangs
// on it: when the GPU would then be as warm as the first sample without load says.
Replay replay_fall(const Body& at_rest, TelemetryRun run, std::size_t begin, Celsius room) {
  double& held = run.samples[begin].held_share;
  double low = 0, high = 1;
  for (int step = 0; step < kEndSteps; ++step) {
    held = (low + high) / 2;
    const bool colder = replay(at_rest, run, room).gpu[begin] < run.samples[begin].gpu;
    (colder ? low : high) = held;
  }
  return replay(at_rest, run, room);
}

std::vector<CoolDown> cool_downs(const Body& at_rest, const TelemetryRun& run, Celsius room) {
  std::vector<CoolDown> out;
  const std::size_t begin = begin_of_fall(run, at_rest.facts().smi_works);
  if (begin == 0) return out;
  const Replay replay = replay_fall(at_rest, run, begin, room);
  const auto part = [&](const std::string& name, auto measured, auto modelled) {
    std::vector<double> seconds, m, t;
    for (std::size_t i = begin; i < run.samples.size(); ++i) {
      const std::optional<Celsius> value = measured(run.samples[i]);
      if (!value) continue;
      seconds.push_back(run.samples[i].seconds);
      m.push_back(value->degrees());
      t.push_back(modelled(i).degrees());
    }
    if (m.size() >= kEndSamples)
      out.push_back({run.name, name, fall_time(seconds, m), fall_time(seconds, t)});
  };
  using Sample = TelemetrySample;
  part(
      "GPU", [](const Sample& s) { return std::optional(s.gpu); },
      [&](std::size_t i) { return replay.gpu[i]; });
  if (!run.samples.front().zones.empty()) {
    part(
        "zone 0", [](const Sample& s) { return s.zones.front(); },
        [&](std::size_t i) { return replay.zones[i].front(); });
  }
  part(
      "network card", [](const Sample& s) { return s.network; },
      [&](std::size_t i) { return replay.network[i]; });
  part(
      "drive", [](const Sample& s) { return s.drive; },
      [&](std::size_t i) { return replay.drive[i]; });
  return out;
}

std::vector<BodyRow> temperature_rows(const Csv& csv, const TwinCatalogues& catalogues) {
  std::vector<BodyRow> out;
  Questioner questioner(catalogues);
  BodyAnswers answers(catalogues, questioner);
  for (std::size_t i = 0; i < csv.size(); ++i) {
    if (csv.at(i, "test") != "temperature" || !csv.at(i, "exclude_reason").empty()) continue;
    const auto measured = parse_double(csv.at(i, "value"));
    const Answer answer = answers.answer(csv, i);
    if (!measured || answer.refused != nullptr) continue;
    out.push_back(
        {csv.at(i, "id"), csv.at(i, "base"), csv.at(i, "reading"), *measured, answer.value});
  }
  return out;
}

// ---- tables ----

std::string kelvins(double k) { return format("{:.2f} K", k); }

std::string verdict(bool met) { return met ? "yes" : "**no**"; }

std::vector<double> errors_of(const std::vector<RunScore>& runs, const std::string& source,
                              bool left_out) {
  std::vector<double> out;
  for (const RunScore& run : runs) {
    if (!source.empty() && run.source != source) continue;
    if (!left_out) out.push_back(run.rmse);
    if (left_out && run.left_out) out.push_back(*run.left_out);
  }
  return out;
}

double share_within(const std::vector<double>& errors, double most) {
  const auto n = std::ranges::count_if(errors, [&](double e) { return e <= most; });
  return static_cast<double>(n) / static_cast<double>(errors.size());
}

std::string heat_by_source(const BodyValidation& v) {
  std::string out =
      markdown_header({"source of logs", "runs", "samples", "median", "90th percentile",
                       "runs within 2 K", "source left out, median"},
                      1);
  std::map<std::string, std::size_t> samples;
  for (const RunScore& run : v.heat.runs) samples[run.source] += run.n_samples;
  for (const auto& [source, n] : samples) {
    const std::vector<double> seen = errors_of(v.heat.runs, source, false),
                              unseen = errors_of(v.heat.runs, source, true);
    out += markdown_row({markdown_text(source), format("{}", seen.size()), format("{}", n),
                         kelvins(quantile(seen, 0.5)), kelvins(quantile(seen, 0.9)),
                         percent(share_within(seen, kRmseMost)),
                         unseen.empty() ? "-" : kelvins(quantile(unseen, 0.5))});
  }
  return out + "\n";
}

std::string heat_by_file(const BodyValidation& v, const std::string& folder) {
  std::string out =
      markdown_header({"log", "runs", "RMSE, median", "worst", "room, inferred", "plot"}, 1);
  std::map<std::string, std::vector<std::size_t>> files;
  for (std::size_t i = 0; i < v.runs.size(); ++i) files[file_of(v.runs[i].name)].push_back(i);
  for (const auto& [file, runs] : files) {
    std::vector<double> errors, rooms;
    for (const std::size_t i : runs) {
      errors.push_back(v.replays[i].rmse);
      rooms.push_back(v.replays[i].room.degrees());
    }
    const auto [low, high] = std::ranges::minmax_element(rooms);
    out += markdown_row(
        {markdown_text(file), format("{}", runs.size()), kelvins(quantile(errors, 0.5)),
         kelvins(*std::ranges::max_element(errors)),
         runs.size() == 1 ? format("{:.0f} °C", *low) : format("{:.0f} to {:.0f} °C", *low, *high),
         format("[curves]({}/heat-{}.svg)", folder, file)});
  }
  return out + "\n";
}

struct WorkloadScore {
  std::size_t n = 0;
  double fitted = 0, left_out = 0;  // median errors
  double bias = 0;
};

std::map<std::string, WorkloadScore> power_scores(const BodyValidation& v) {
  std::map<std::string, std::array<std::vector<double>, 3>> errors;
  for (std::size_t i = 0; i < v.power.rows.size(); ++i) {
    const PowerScore& row = v.power.rows[i];
    auto& [fitted, left_out, with_sign] = errors[v.workloads[i]];
    fitted.push_back(std::abs(row.fitted / row.measured - 1));
    if (row.left_out) left_out.push_back(std::abs(*row.left_out / row.measured - 1));
    with_sign.push_back(row.left_out.value_or(row.fitted) / row.measured - 1);
  }
  std::map<std::string, WorkloadScore> out;
  for (const auto& [name, e] : errors) {
    out[name] = {e[0].size(), quantile(e[0], 0.5), e[1].empty() ? 0 : quantile(e[1], 0.5),
                 quantile(e[2], 0.5)};
  }
  return out;
}

std::string power_by_workload(const BodyValidation& v) {
  std::string out = markdown_header({"workload", "rows", "in sample", "model left out", "bias"}, 1);
  for (const auto& [name, s] : power_scores(v)) {
    out += markdown_row(
        {name, format("{}", s.n), percent(s.fitted), percent(s.left_out), signed_percent(s.bias)});
  }
  out += "\n" +
         markdown_header({"row", "workload", "measured", "fitted", "model left out", "error"}, 2);
  for (std::size_t i = 0; i < v.power.rows.size(); ++i) {
    const PowerScore& row = v.power.rows[i];
    const double unseen = row.left_out.value_or(row.fitted);
    out += markdown_row({markdown_text(row.model), v.workloads[i], format("{:.1f} W", row.measured),
                         format("{:.1f} W", row.fitted), format("{:.1f} W", unseen),
                         signed_percent(unseen / row.measured - 1)});
  }
  return out + "\n";
}

// Relative, of samples in which the GPU works.
std::vector<double> clock_errors(const BodyValidation& v) {
  std::vector<double> out;
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    for (std::size_t k = 0; k < v.runs[i].samples.size(); ++k) {
      const TelemetrySample& s = v.runs[i].samples[k];
      if (!s.clock || *s.smi < v.facts.smi_works) continue;
      out.push_back(std::abs(v.replays[i].clock[k] / *s.clock - 1));
    }
  }
  return out;
}

struct SideError {
  std::string part;
  std::size_t n = 0;
  double squares = 0, sum = 0;
  void add(Kelvins error) {
    ++n;
    squares += error.value() * error.value();
    sum += error.value();
  }
};

// Zones, drive and network card on the runs that log them.
std::string side_table(const BodyValidation& v) {
  std::map<std::string, SideError> parts;
  const auto part = [&](const std::string& name) -> SideError& {
    SideError& e = parts[name];
    e.part = name;
    return e;
  };
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    for (std::size_t k = 0; k < v.runs[i].samples.size(); ++k) {
      const TelemetrySample& s = v.runs[i].samples[k];
      const Replay& r = v.replays[i];
      for (std::size_t z = 0; z < s.zones.size(); ++z) {
        if (s.zones[z]) part(format("zone {}", z)).add(r.zones[k][z] - *s.zones[z]);
      }
      if (s.drive) part("drive").add(r.drive[k] - *s.drive);
      if (s.network) part("network card").add(r.network[k] - *s.network);
    }
  }
  std::string out = markdown_header({"part", "samples", "RMSE", "bias"}, 1);
  for (const auto& [name, e] : parts) {
    const auto n = static_cast<double>(e.n);
    out += markdown_row({name, format("{}", e.n), kelvins(std::sqrt(e.squares / n)),
                         format("{:+.2f} K", e.sum / n)});
  }
  return out + "\n";
}

std::string temperature_table(const BodyValidation& v) {
  std::string out = markdown_header({"row", "reading", "measured", "predicted", "error"}, 2);
  for (const BodyRow& row : v.temperatures) {
    out += markdown_row({markdown_text(row.id), row.workload, format("{:.1f} °C", row.measured),
                         format("{:.1f} °C", row.predicted),
                         format("{:+.1f} K", row.predicted - row.measured)});
  }
  return out + "\n";
}

double workload_error(const BodyValidation& v) {
  std::vector<double> errors;
  for (const BodyRow& row : v.temperatures)
    errors.push_back(std::abs(row.predicted - row.measured));
  return errors.empty() ? 0 : quantile(errors, 0.5);
}

std::string target_table(const BodyValidation& v) {
  std::string out = markdown_header({"what", "target", "measured", "met"}, 1);
  const auto row = [&](const std::string& what, const std::string& target,
                       const std::string& figure,
                       bool met) { out += markdown_row({what, target, figure, verdict(met)}); };
  row("GPU temperature from logged watts, RMSE of whole runs, source left out, median", "<= 2 K",
      kelvins(v.heat.left_out_rmse), v.heat.left_out_rmse <= kRmseMost);
  row("GPU temperature from the workload alone, room not stated, median", "<= 3 K",
      kelvins(workload_error(v)), workload_error(v) <= kWorkloadMost);
  for (const auto& [name, s] : power_scores(v)) {
    row("power, " + name + ", model left out, median", "<= 8 %", percent(s.left_out),
        s.left_out <= kPowerMost);
  }
  const std::vector<double> clocks = clock_errors(v);
  if (!clocks.empty()) {
    const double median = quantile(clocks, 0.5);
    row(format("clock while it works, of {} samples, median", clocks.size()), "<= 2 %",
        percent(median), median <= kClockMost);
  }
  for (const CoolDown& c : v.cool_downs) {
    const double error = c.modelled / c.measured - 1;
    row(format("cool-down of the {}: {:.0f} s, measured {:.0f} s", c.part, c.modelled, c.measured),
        "within 15 %", signed_percent(error), std::abs(error) <= kCoolMost);
  }
  out += markdown_row({"onset of throttling", "within 10 s", "no published log resolves it", "-"});
  if (!v.cool_downs.empty()) {
    out +=
        "\nCool-down: from the first sample without load, until the warmth above where it ends has "
        "fallen by e. When the load\nended between two samples no log says: the twin's ends when its "
        "GPU is then as warm as that first sample's.\n";
  }
  return out + "\n";
}

}  // namespace

BodyValidation validate_body(std::string_view toml, const std::string& id,
                             std::vector<TelemetryRun> runs, const Csv& powers,
                             const TwinCatalogues& catalogues,
                             const CalibrationProgress& progress) {
  const Machine machine = parse_machine(toml, id, &catalogues.machines);
  BodyValidation v;
  v.machine = machine.name;
  v.facts = *machine.body;
  v.heat = calibrate_heat(toml, id, runs, {}, progress);
  v.power = calibrate_power(toml, id, powers, catalogues, {}, progress);
  BodyFacts coarse = v.facts;
  coarse.loop = coarse.fan_interval = Seconds(1);
  const Body at_rest(coarse);
  for (TelemetryRun& run : runs) {
    if (!run.has_power()) continue;
    v.replays.push_back(replay(at_rest, run));
    v.runs.push_back(std::move(run));
  }
  for (const PowerRow& row : read_power_rows(powers, catalogues).rows) {
    v.workloads.push_back(workload_of(row.phases, powers.at(row.index, "concurrency")));
  }
  v.temperatures = temperature_rows(powers, catalogues);
  for (std::size_t i = 0; i < v.runs.size(); ++i) {
    std::ranges::move(cool_downs(at_rest, v.runs[i], v.replays[i].room),
                      std::back_inserter(v.cool_downs));
  }
  return v;
}

std::string body_markdown(const BodyValidation& v, const std::string& folder) {
  std::string out = format(
      "## The body: heat and power\n\n"
      "Of the {}. Heat: {} runs by {} owners, of whom none states room, fan or power at the wall; "
      "the twin is given what\n"
      "nvidia-smi showed and infers the room of each run (prior {:.0f} °C, standard deviation "
      "{:.0f} K). Power: {} published\n"
      "means of nvidia-smi, predicted from the model, its load and its stack. *Left out*: by a fit "
      "that has not seen the\n"
      "source (heat) or the model (power).\n\n",
      markdown_text(v.machine), v.heat.runs.size(), v.heat.machine.n_groups,
      v.facts.room_prior.degrees(), v.facts.room_spread.value(), v.power.rows.size());
  out += target_table(v);
  out += "### GPU temperature from logged watts\n\nRMSE over whole runs.\n\n" + heat_by_source(v) +
         heat_by_file(v, folder);
  out +=
      "### Power by workload\n\nWhat nvidia-smi shows, mean of a run.\n\n" + power_by_workload(v);
  out +=
      "### Temperature from the workload alone\n\nIn a room of the prior; no source states its "
      "own.\n\n" +
      temperature_table(v);
  out += "### Zones, drive and network card\n\nFrom logged watts, where they are logged.\n\n" +
         side_table(v);
  return out;
}

}  // namespace tinderbox
