#include "box/body_answers.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "twin/sensors.h"

namespace tinderbox {
namespace {

// What lasts: all but the case has settled.
constexpr Duration kWarmUp = std::chrono::minutes(20);
constexpr double kTick = 1;        // s: means over minutes need no ticks of a tenth
constexpr double kNinety = 1.645;  // standard deviations that hold nine in ten
// K: how far single readings of a temperature lie from the body's under known watts
// (VALIDATION.md). The highest of many readings lies twice as far above.
constexpr double kSensorError = 1.5;

constexpr const char* kNoBody = "machine without a body";
constexpr const char* kReading = "reading";
constexpr const char* kNoLoad = "load not stated";

std::optional<Celsius> sensor(const Sensors& s, const std::string& reading) {
  if (reading == "gpu" || reading == "gpu-max") return s.gpu_temperature;
  if (reading == "zone" || reading == "zone-max") return *std::ranges::max_element(s.zones);
  if (reading == "nvme" || reading == "nvme-max") return s.drive;
  if (reading == "cx7") return s.network;
  if (reading == "cpu" || reading == "cpu-max") return s.cpu;
  return std::nullopt;
}

std::optional<Watts> power(const Body& body, const std::string& reading) {
  const Sensors s = read_sensors(body);
  if (reading == "gpu-smi" || reading == "gpu-smi-peak" || reading == "gpu-smi-idle")
    return s.gpu_power;
  if (reading == "gpu-rail-peak") return body.state().rails[index_of(Rail::Gpu)];
  if (reading == "wall" || reading == "wall-peak" || reading == "wall-idle") return s.wall;
  if (reading == "dc-total-idle") return dc_power(body.state().rails);
  return std::nullopt;
}

Answer around(double value, double low, double high) {
  return {.value = value, .low = low, .high = high};
}

Answer watts_of(const BodyFacts& facts, double value) {
  return around(value, value * facts.smi_low, value * facts.smi_high);
}

Answer celsius_of(const BodyFacts& facts, Celsius value) {
  const double width = kNinety * std::hypot(facts.room_spread.value(), kSensorError);
  return around(value.degrees(), value.degrees() - width, value.degrees() + width);
}

struct LoadShare {
  const Load* load;
  double share;
};
std::vector<LoadShare> phases_of(const PhaseLoads& phases) {
  std::vector<LoadShare> out;
  if (phases.prefill_share > 0) out.push_back({&phases.prefill, phases.prefill_share});
  if (phases.decode_share > 0) out.push_back({&phases.decode, phases.decode_share});
  return out;
}

bool peaks(const std::string& reading) {
  return reading.ends_with("-peak") || reading.ends_with("-max");
}

}  // namespace

std::vector<Sensors> warm_sensors(Body body, const PhaseLoads& phases, Seconds total) {
  body.set_load(mixed(phases));
  body.advance(kWarmUp);
  std::vector<Sensors> out;
  for (const LoadShare& phase : phases_of(phases)) {
    body.set_load(*phase.load);
    body.advance(std::min(to_duration(total * phase.share), kWarmUp));
    out.push_back(read_sensors(body));
  }
  return out;
}

const Body& BodyAnswers::at_rest(const std::string& machine) {
  auto found = bodies_.find(machine);
  if (found == bodies_.end()) {
    BodyFacts facts = *machine_of(catalogues_.machines, machine).body;
    facts.loop = facts.fan_interval = Seconds(kTick);
    const Surroundings usual{.room = facts.room_prior};
    found = bodies_.emplace(machine, Body(facts, usual)).first;
  }
  return found->second;
}

Answer BodyAnswers::idle(const Body& body, const std::string& metric,
                         const std::string& reading) const {
  const BodyFacts& facts = body.facts();
  if (metric == "temperature_c") {
    const auto value = sensor(read_sensors(body), reading);
    return value ? celsius_of(facts, *value) : Answer{.refused = kReading};
  }
  const auto value = power(body, reading);
  return value ? watts_of(facts, value->value()) : Answer{.refused = kReading};
}

Answer BodyAnswers::loaded(const Csv& csv, std::size_t row, const std::string& reading) {
  const std::string& metric = csv.at(row, "metric");
  const bool lengths = !csv.at(row, "prompt_tokens").empty();
  if (!lengths && (metric == "energy_j_per_tok" || (metric == "power_w" && peaks(reading))))
    return {.refused = "missing column"};
  const LoadedRow loaded = loaded_row(questioner_, csv, row);
  if (!loaded.refused.empty()) {
    // Why in one of few texts: what the twin itself says of a row is in the message of its error.
    for (const char* known : {"missing column", kBadCell}) {
      if (loaded.refused == known) return {.refused = known};
    }
    return {.refused = kNoLoad};
  }
  Body body = at_rest(csv.at(row, "machine"));
  const BodyFacts& facts = body.facts();
  if (metric == "temperature_c" && peaks(reading)) {
    std::optional<Celsius> most;
    for (const Sensors& s : warm_sensors(body, loaded.phases, loaded.prediction.total)) {
      most = std::max(most, sensor(s, reading));  // none is less than any
    }
    return most ? celsius_of(facts, *most + Kelvins(2 * kSensorError))
                : Answer{.refused = kReading};
  }
  body.set_load(mixed(loaded.phases));
  body.advance(kWarmUp);
  if (metric == "temperature_c") {
    const auto value = sensor(read_sensors(body), reading);
    return value ? celsius_of(facts, *value) : Answer{.refused = kReading};
  }
  const double boxes = metric == "energy_j_per_tok" ? loaded.model->twin().parallel.boxes() : 1;
  const std::string of = metric == "energy_j_per_tok" ? "gpu-smi" : reading;
  double mean = 0, most = 0;
  for (const LoadShare& phase : phases_of(loaded.phases)) {
    body.set_load(*phase.load);
    const auto value = power(body, of);
    if (!value) return {.refused = kReading};
    mean += value->value() * phase.share;
    most = std::max(most, value->value());
  }
  if (metric == "power_w") return watts_of(facts, peaks(reading) ? most : mean);
  if (metric != "energy_j_per_tok") return {.refused = "metric"};
  // A second's energy over a second's tokens.
  const Point& point = loaded.point;
  const double tokens = static_cast<double>(point.gen * point.concurrency);
  return watts_of(facts, mean * boxes * loaded.prediction.total.value() / tokens);
}

Answer BodyAnswers::answer(const Csv& csv, std::size_t row) {
  const std::string &machine = csv.at(row, "machine"), &reading = csv.at(row, "reading");
  if (!catalogues_.machines.has(machine)) return {.refused = "unknown machine"};
  if (!machine_of(catalogues_.machines, machine).body) return {.refused = kNoBody};
  if (reading.empty() && csv.at(row, "metric") == "power_w") return {.refused = kReading};
  if (reading.ends_with("idle")) return idle(at_rest(machine), csv.at(row, "metric"), reading);
  if (csv.at(row, "concurrency").empty() || csv.at(row, "base").empty())
    return {.refused = kNoLoad};
  return loaded(csv, row, reading);
}

}  // namespace tinderbox
