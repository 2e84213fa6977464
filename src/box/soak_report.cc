// The forms of a soak: a chart and a CSV file.
#include <algorithm>

#include "base/text.h"
#include "box/soak.h"

namespace tinderbox {
namespace {

template <typename F>
TimeCurve curve(const SoakReport& report, std::string name, F&& value) {
  TimeCurve out{.name = std::move(name)};
  for (const SoakSample& sample : report.samples) {
    out.points.emplace_back(since_start(sample.time).value(), value(sample));
  }
  return out;
}

Celsius hottest(const SoakSample& sample) {
  return *std::ranges::max_element(sample.sensors.zones);
}

}  // namespace

TimeChart soak_chart(const BodyFacts& body, const SoakReport& report, const std::string& title,
                     const std::string& subtitle) {
  const auto node = [&](int index) {
    return
        [index](const SoakSample& s) { return s.nodes[static_cast<std::size_t>(index)].degrees(); };
  };
  TimeChart chart{.title = title, .subtitle = subtitle};
  chart.panels.push_back(
      {.label = "°C",
       .curves = {curve(report, "hottest zone",
                        [](const SoakSample& s) { return hottest(s).degrees(); }),
                  curve(report, "GPU", node(body.gpu)), curve(report, "CPU", node(body.cpu)),
                  curve(report, "network card", node(body.network)),
                  curve(report, "drive", node(body.drive)),
                  curve(report, "air out", [](const SoakSample& s) { return s.air.degrees(); }),
                  curve(report, "air in", [](const SoakSample& s) { return s.inlet.degrees(); })},
       .height = 230});
  chart.panels.push_back(
      {.label = "W",
       .curves = {curve(report, "wall", [](const SoakSample& s) { return s.sensors.wall.value(); }),
                  curve(report, "module",
                        [](const SoakSample& s) { return module_power(s.rails).value(); }),
                  curve(report, "GPU",
                        [](const SoakSample& s) { return s.rails[index_of(Rail::Gpu)].value(); }),
                  curve(report, "nvidia-smi",
                        [](const SoakSample& s) { return s.sensors.gpu_power.value(); })},
       .height = 150,
       .from_zero = true});
  chart.panels.push_back(
      {.label = "MHz",
       .curves = {curve(report, "GPU clock",
                        [](const SoakSample& s) { return s.sensors.sm_clock.value() * 1e-6; })},
       .height = 110,
       .from_zero = true});
  chart.panels.push_back(
      {.label = "%",
       .curves = {curve(report, "speed", [](const SoakSample& s) { return 100 * s.speed; }),
                  curve(report, "fan", [](const SoakSample& s) { return 100 * s.sensors.fan; })},
       .height = 110,
       .from_zero = true});
  for (const SoakEvent& event : report.events) {
    if (event.what.starts_with("fault") || event.what.starts_with("critical")) {
      chart.marks.push_back({since_start(event.time).value(), event.what});
    }
  }
  return chart;
}

std::string soak_csv(const BodyFacts& body, const SoakReport& report) {
  std::string out = "t_s,gpu_power_w,gpu_temp_c,gpu_clock_mhz";
  for (std::size_t i = 0; i < body.zones.size(); ++i) out += format(",zone{}_c", i);
  out += ",nvme_temp_c,nic_temp_c,speed,limit,fan_share,inlet_c,air_c,module_w,dc_w,wall_w";
  for (int i = 0; i < kRails; ++i) out += format(",{}_w", rail_name(static_cast<Rail>(i)));
  for (const HeatNode& node : body.nodes) out += format(",{}_c", node.name);
  out += "\n";
  for (const SoakSample& s : report.samples) {
    out +=
        format("{:g},{:.2f},{:.2f},{:g}", since_start(s.time).value(), s.sensors.gpu_power.value(),
               s.sensors.gpu_temperature.degrees(), s.sensors.sm_clock.value() * 1e-6);
    for (const Celsius zone : s.sensors.zones) out += format(",{:.2f}", zone.degrees());
    out += format(",{:.2f},{:.2f},{:.4f},{},{:.2f},{:.2f},{:.2f},{:.2f},{:.2f},{:.2f}",
                  s.sensors.drive.degrees(), s.sensors.network.degrees(), s.speed,
                  clock_limit_name(s.limit), s.sensors.fan, s.inlet.degrees(), s.air.degrees(),
                  module_power(s.rails).value(), dc_power(s.rails).value(), s.sensors.wall.value());
    for (const Watts watts : s.rails) out += format(",{:.3f}", watts.value());
    for (const Celsius node : s.nodes) out += format(",{:.2f}", node.degrees());
    out += "\n";
  }
  return out;
}

}  // namespace tinderbox
