#include "machine/body_facts.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "machine/sourced.h"

namespace tinderbox {
namespace {

constexpr std::array<std::string_view, kRails> kRailNames = {
    "gpu", "cpu_p", "cpu_e", "memory", "soc_rest", "network", "drive", "board"};

enum class Slope : std::uint8_t { Rising, Falling };

// A curve whose keys are quantities of `x`. Throws unless x grows and y never turns.
PointCurve read_points(SourcedFile& file, const std::string& section, Measure x, Measure y,
                       Slope slope) {
  PointCurve curve;
  for (const std::string& point : file.children(section)) {
    const std::string key = format("{}.{}", section, point);
    const std::string bare = point.starts_with('"') ? point.substr(1, point.size() - 2) : point;
    const double at = parse_measure(x, bare, file.where(key));
    const double value = file.number(key, y);
    if (!curve.points.empty()) {
      const auto& [last, before] = curve.points.back();
      const bool turns = slope == Slope::Rising ? value < before : value > before;
      if (at <= last || turns) {
        throw_invalid(
            format("{}: expected a curve whose points grow from line to line and whose "
                   "values never {}",
                   file.where(key), slope == Slope::Rising ? "fall" : "rise"));
      }
    }
    curve.points.emplace_back(at, value);
  }
  if (curve.points.empty()) throw_invalid(format("{}: expected a curve", file.where(section)));
  return curve;
}

int node_of(const BodyFacts& body, std::string_view name, const std::string& where) {
  const auto found = std::ranges::find(body.nodes, name, &HeatNode::name);
  if (found != body.nodes.end()) return static_cast<int>(found - body.nodes.begin());
  std::vector<std::string> known;
  for (const HeatNode& node : body.nodes) known.push_back(node.name);
  throw_invalid(format("{}: no node '{}'{}; known are {}", where, name, did_you_mean(name, known),
                       fmt::join(known, ", ")));
}

double conductance(SourcedFile& file, const std::string& key) {
  const double resistance = file.number(key, Measure::ThermalResistance);
  if (resistance > 0) return 1 / resistance;
  throw_invalid(format("{}: expected a resistance above 0", file.where(key)));
}

void read_nodes(SourcedFile& file, BodyFacts& body) {
  for (const std::string& name : file.children("body.capacity")) {
    body.nodes.push_back(
        {.name = name, .capacity = file.number("body.capacity." + name, Measure::HeatCapacity)});
  }
  for (const std::string& name : file.children("body.path_resistance")) {
    const std::string key = "body.path_resistance." + name;
    const std::vector<std::string> ends = split(name, '_');
    if (ends.size() != 2) throw_invalid(format("{}: expected NODE_NODE", file.where(key)));
    const HeatPath path{node_of(body, ends[0], file.where(key)),
                        node_of(body, ends[1], file.where(key)), conductance(file, key)};
    if (path.a == path.b) throw_invalid(format("{}: expected two nodes", file.where(key)));
    body.paths.push_back(path);
  }
  for (const auto& [section, member] :
       {std::pair{"body.air_resistance", &HeatNode::air_conductance},
        std::pair{"body.room_resistance", &HeatNode::room_conductance}}) {
    for (const std::string& name : file.children(section)) {
      const std::string key = format("{}.{}", section, name);
      body.nodes[static_cast<std::size_t>(node_of(body, name, file.where(key)))].*member =
          conductance(file, key);
    }
  }
  for (std::size_t i = 0; i < kRails; ++i) {
    const std::string key = format("body.heats.{}", kRailNames[i]);
    body.heats[i] = node_of(body, file.text(key), file.where(key));
  }
  for (const std::string& name : file.children("body.zones")) {
    const std::string key = "body.zones." + name;
    body.zones.push_back(
        {.name = name,
         .node = node_of(body, file.text(key + ".node"), file.where(key + ".node")),
         .resistance = file.number(key + ".spot_resistance", Measure::ThermalResistance)});
  }
  if (body.zones.empty()) throw_invalid(format("{}: expected a zone", file.where("body.zones")));
  for (const auto& [name, node] :
       {std::pair{"gpu", &body.gpu}, std::pair{"cpu", &body.cpu}, std::pair{"drive", &body.drive},
        std::pair{"network", &body.network}}) {
    *node = node_of(body, name, file.where("body.capacity"));
  }
}

// A node that no path joins to the air or the room would heat up without end.
void check_cooled(const SourcedFile& file, const BodyFacts& body) {
  std::vector<bool> cooled(body.nodes.size());
  for (std::size_t i = 0; i < cooled.size(); ++i) {
    cooled[i] = body.nodes[i].air_conductance > 0 || body.nodes[i].room_conductance > 0;
  }
  for (std::size_t pass = 0; pass < cooled.size(); ++pass) {
    for (const HeatPath& path : body.paths) {
      const auto a = static_cast<std::size_t>(path.a), b = static_cast<std::size_t>(path.b);
      cooled[a] = cooled[b] = cooled[a] || cooled[b];
    }
  }
  const auto lost = std::ranges::find(cooled, false);
  if (lost == cooled.end()) return;
  const HeatNode& node = body.nodes[static_cast<std::size_t>(lost - cooled.begin())];
  throw_invalid(
      format("{}: expected a path to the air or the room; add one to "
             "[body.path_resistance] or [body.air_resistance]",
             file.where("body.capacity." + node.name)));
}

void read_fan(SourcedFile& file, BodyFacts& body) {
  body.full_flow = file.number("body.fan.full_flow", Measure::Flow);
  body.fan =
      read_points(file, "body.fan_share", Measure::Temperature, Measure::Share, Slope::Rising);
  for (const auto& [at, share] : body.fan.points) {
    if (share > 0 && share <= 1) continue;
    throw_invalid(format("{}: expected shares above 0 and at most 1; got {} at {} °C",
                         file.where("body.fan_share"), share, at));
  }
  body.draft_share = file.share("body.fan.draft_share", 1e-3, 1);
  body.stacked_share = file.share("body.fan.stacked_share", 0, 1);
  body.slowdown_difference =
      Kelvins(file.number("body.clocks.slowdown_difference", Measure::TemperatureDifference));
  body.fan_lag = file.seconds("body.fan.lag_time");
  body.fan_slowing_lag = file.seconds("body.fan.slowing_lag_time");
  body.fan_interval = file.seconds("body.fan.controller_interval");
  body.gpu_slowdown =
      Celsius(file.number("thermal.gpu_slowdown_temperature", Measure::Temperature));
  body.zone_slowdown =
      Celsius(file.number("thermal.zone_slowdown_temperature", Measure::Temperature));
  body.zone_critical =
      Celsius(file.number("thermal.zone_critical_temperature", Measure::Temperature));
  if (body.zone_critical <= body.zone_slowdown) {
    throw_invalid(format("{}: expected more than thermal.zone_slowdown_temperature",
                         file.where("thermal.zone_critical_temperature")));
  }
}

void read_power(SourcedFile& file, BodyFacts& body) {
  for (std::size_t i = 0; i < kRails; ++i) {
    body.idle[i] = file.watts(format("body.idle_power.{}", kRailNames[i]));
  }
  const auto joules = [&](std::string_view name) {
    return Joules(file.number(format("body.energy.{}", name), Measure::Energy));
  };
  body.cycle = joules("cycle");
  for (std::size_t i = 0; i < kMathTypes; ++i) {
    body.flop[i] = joules(format("flop_{}", math_type_name(static_cast<MathType>(i))));
  }
  body.gpu_byte = joules("gpu_byte");
  body.memory_byte = joules("memory_byte");
  body.soc_byte = joules("soc_byte");
  body.link_byte = joules("link_byte");
  body.drive_byte = joules("drive_byte");
  body.awake = file.watts("body.power.gpu_awake_power");
  body.leakage = file.watts("body.power.gpu_leakage_power");
  body.leakage_temperature =
      Celsius(file.number("body.power.gpu_leakage_temperature", Measure::Temperature));
  body.leakage_difference =
      Kelvins(file.number("body.power.gpu_leakage_difference", Measure::TemperatureDifference));
  body.cpu_p_full = file.watts("body.power.cpu_p_full_power");
  body.cpu_e_full = file.watts("body.power.cpu_e_full_power");
  body.host_share = file.share("body.power.host_share", 0, 1);
  body.board_share = file.share("body.power.board_share", 0, 1);
  body.adapter_share = file.share("body.power.adapter_share", 0.1, 1);
  body.smi_low = file.share("body.interval.smi_low_ratio", 1e-3, 1);
  body.smi_high = file.share("body.interval.smi_high_ratio", 1, 1e3);
  body.smi_waits = file.watts("body.log.waits_power");
  body.smi_works = file.watts("body.log.works_power");
  body.smi_decodes = file.watts("body.log.decodes_power");
  body.smi_computes = file.watts("body.log.computes_power");
  body.working_bytes = file.bytes_per_second("body.log.working_bandwidth");
  body.computing_bytes = file.bytes_per_second("body.log.computing_bandwidth");
  body.room_prior = Celsius(file.number("body.log.room_temperature", Measure::Temperature));
  body.room_spread =
      Kelvins(file.number("body.log.room_difference", Measure::TemperatureDifference));
  if (body.room_spread <= Kelvins(0)) {
    throw_invalid(format("{}: expected more than 0 K", file.where("body.log.room_difference")));
  }
  const auto above = [&](const char* key, Watts value, const char* other, Watts least) {
    if (value <= least) throw_invalid(format("{}: expected more than {}", file.where(key), other));
  };
  above("body.log.works_power", body.smi_works, "body.log.waits_power", body.smi_waits);
  above("body.log.decodes_power", body.smi_decodes, "body.log.works_power", body.smi_works);
  above("body.log.computes_power", body.smi_computes, "body.log.decodes_power", body.smi_decodes);
  body.link_up = file.watts("power.network_link");
  body.smi_ratio = file.share("power.gpu_rail_to_smi_ratio", 1, 10);
  body.module_limit = file.watts("power.module_limit");
  body.loop = file.seconds("power.loop_interval");
  if (body.leakage > body.idle[index_of(Rail::Gpu)] || body.leakage_difference <= Kelvins(0)) {
    throw_invalid(format("{}: expected at most body.idle_power.gpu, and a difference above 0",
                         file.where("body.power.gpu_leakage_power")));
  }
  for (const auto& [key, time] : {std::pair{"power.loop_interval", body.loop},
                                  std::pair{"body.fan.controller_interval", body.fan_interval},
                                  std::pair{"body.fan.lag_time", body.fan_lag},
                                  std::pair{"body.fan.slowing_lag_time", body.fan_slowing_lag}}) {
    if (time < Seconds(1e-3)) throw_invalid(format("{}: expected at least 1 ms", file.where(key)));
  }
}

void read_clocks(SourcedFile& file, BodyFacts& body) {
  body.voltage =
      read_points(file, "body.voltage_ratio", Measure::Frequency, Measure::Share, Slope::Rising);
  body.boost = read_points(file, "body.boost_clock", Measure::Temperature, Measure::Frequency,
                           Slope::Falling);
  body.clock_step = file.hertz("body.clocks.step_clock");
  body.clock_idle = file.hertz("gpu.idle_clock");
  body.clock_awake = file.hertz("gpu.applications_clock");
  body.clock_min = file.hertz("body.clocks.min_clock");
}

}  // namespace

std::string_view rail_name(Rail rail) { return kRailNames[index_of(rail)]; }

double PointCurve::at(double x) const {
  CHECK(!points.empty());
  if (x <= points.front().first) return points.front().second;
  for (std::size_t i = 1; i < points.size(); ++i) {
    const auto& [low, low_y] = points[i - 1];
    const auto& [high, high_y] = points[i];
    if (x <= high) return low_y + (high_y - low_y) * ((x - low) / (high - low));
  }
  return points.back().second;
}

BodyFacts read_body(SourcedFile& file) {
  BodyFacts body;
  read_nodes(file, body);
  check_cooled(file, body);
  read_fan(file, body);
  read_power(file, body);
  read_clocks(file, body);
  return body;
}

}  // namespace tinderbox
