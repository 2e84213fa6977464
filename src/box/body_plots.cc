// The body's curves over time: logs beside the twin, and an hour of serving in rooms of several
// temperatures.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"
#include "box/soak.h"
#include "box/validation_body.h"

namespace tinderbox {
namespace {

constexpr double kBetweenRuns = 300;  // s that part a file's runs
constexpr Duration kHour = std::chrono::hours(1), kEvery = std::chrono::seconds(15);

std::string file_of(const std::string& run) { return run.substr(0, run.find(": ")); }

PlotFile heat_plot(const BodyValidation& v, const std::string& file,
                   const std::vector<std::size_t>& runs) {
  TimeCurve measured{.name = "measured"}, modelled{.name = "twin"}, watts{.name = "nvidia-smi"};
  double begin = 0;
  std::vector<double> errors;
  for (const std::size_t i : runs) {
    const TelemetryRun& run = v.runs[i];
    const double first = run.samples.front().seconds;
    double at = begin;
    for (std::size_t k = 0; k < run.samples.size(); ++k) {
      at = begin + run.samples[k].seconds - first;
      measured.points.emplace_back(at, run.samples[k].gpu.degrees());
      modelled.points.emplace_back(at, v.replays[i].gpu[k].degrees());
      watts.points.emplace_back(at, run.samples[k].smi->value());
    }
    for (TimeCurve* curve : {&measured, &modelled, &watts}) curve->points.emplace_back(NAN, NAN);
    begin = at + kBetweenRuns;
    errors.push_back(v.replays[i].rmse);
  }
  const auto [least, most] = std::ranges::minmax_element(errors);
  const std::string error =
      runs.size() == 1 ? format("RMSE {:.2f} K", *least)
                       : format("{} runs, RMSE {:.2f} to {:.2f} K", runs.size(), *least, *most);
  const TimeChart chart{
      .title = file,
      .subtitle = "GPU temperature from the logged watts, room inferred: " + error,
      .panels = {{.label = "°C", .curves = {measured, modelled}, .height = 220},
                 {.label = "W", .curves = {watts}, .height = 110, .from_zero = true}}};
  return {"heat-" + file + ".svg", time_chart_svg(chart)};
}

}  // namespace

std::vector<PlotFile> body_plots(const BodyValidation& v) {
  std::map<std::string, std::vector<std::size_t>> files;
  for (std::size_t i = 0; i < v.runs.size(); ++i) files[file_of(v.runs[i].name)].push_back(i);
  std::vector<PlotFile> out;
  for (const auto& [file, runs] : files) out.push_back(heat_plot(v, file, runs));
  return out;
}

TimeChart rooms_chart(const BodyFacts& body, const Load& load, double tokens_per_s,
                      const std::string& what, const std::vector<Celsius>& rooms) {
  TimePanel gpu{.label = "GPU, °C"}, clock{.label = "clock, MHz"}, speed{.label = "tokens/s"};
  for (const Celsius room : rooms) {
    const SoakReport report = soak(body, {{.lasts = kHour, .load = load}},
                                   {.surroundings = {.room = room}, .every = kEvery});
    TimeCurve curve{.name = format("{:g} °C", room.degrees())};
    TimeCurve t = curve, f = curve, s = curve;
    for (const SoakSample& sample : report.samples) {
      const double at = since_start(sample.time).value();
      t.points.emplace_back(at, sample.sensors.gpu_temperature.degrees());
      if (at == 0) continue;  // at rest
      f.points.emplace_back(at, sample.sensors.sm_clock.value() * 1e-6);
      s.points.emplace_back(at, sample.speed * tokens_per_s);
    }
    gpu.curves.push_back(std::move(t));
    clock.curves.push_back(std::move(f));
    speed.curves.push_back(std::move(s));
  }
  return {.title = "An hour of serving in rooms of 20 to 35 °C",
          .subtitle = what,
          .panels = {gpu, clock, speed}};
}

}  // namespace tinderbox
