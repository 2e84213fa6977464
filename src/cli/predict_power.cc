#include "cli/predict_power.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/output.h"

namespace tinderbox::cli {

std::optional<PredictedPower> predicted_power(const StepModel& model, const Point& point,
                                              const Prediction& p,
                                              const SurroundingsOptions& surroundings) {
  const TwinModel& twin = model.twin();
  if (!twin.machine.body) return std::nullopt;
  const BodyFacts& body = *twin.machine.body;
  const PhaseLoads phases = phase_loads(model, point, p);
  PredictedPower out{.sustained = sustained(body, phases, surroundings_of(surroundings),
                                            clock_cap_of(surroundings))};
  const Sustained& s = out.sustained;
  out.prefill_tok_per_s = p.prefill_tok_per_s * s.prefill_speed;
  out.decode_tok_per_s = p.decode_tok_per_s * s.decode_speed;
  const double tokens = static_cast<double>(point.gen * point.concurrency);
  const double total = p.total.value(), prefill = phases.prefill_share * total,
               decode = total - prefill;
  if (!s.tripped && s.prefill_speed > 0 && s.decode_speed > 0) {
    out.joules_per_token = (s.prefill_wall.value() * prefill / s.prefill_speed +
                            s.decode_wall.value() * decode / s.decode_speed) *
                           twin.parallel.boxes() / tokens;
    // Power and time err independently of one another; a rate's interval bounds the time's the
    // other way round.
    const Interval speed =
        interval_of(twin, point.concurrency > 1 ? Metric::DecodeBatch : Metric::Decode, point);
    const auto both = [](double a, double b) {
      return std::exp(std::hypot(std::log(a), std::log(b)));
    };
    out.low = out.joules_per_token / both(body.smi_low, speed.high);
    out.high = out.joules_per_token * both(body.smi_high, speed.low);
  }
  out.hottest =
      static_cast<std::size_t>(std::ranges::max_element(s.sensors.zones) - s.sensors.zones.begin());
  return out;
}

std::string power_text(const PredictedPower& power, const PredictOptions& options) {
  const Sustained& s = power.sustained;
  const std::string room =
      surroundings_of(options.surroundings).room.degrees() == 25 &&
              options.surroundings.altitude == 0
          ? "25 °C"
          : format("{:g} °C, {:g} m", surroundings_of(options.surroundings).room.degrees(),
                   options.surroundings.altitude);
  const auto watts = [](Watts w) { return format("{:.0f} W", w.value()); };
  Table table({"power of a box, warm", "nvidia-smi", "DC", "wall"}, "lrrr");
  if (s.prefill_dc > Watts(0))
    table.add({"prefill", watts(s.prefill_smi), watts(s.prefill_dc), watts(s.prefill_wall)});
  if (s.decode_dc > Watts(0))
    table.add({"decode", watts(s.decode_smi), watts(s.decode_dc), watts(s.decode_wall)});
  std::string out = table.str();
  if (power.joules_per_token > 0) {
    out += format(
        "energy of an output token with its prompt, at the wall: {:.3g} J, 90 % interval {:.3g} to "
        "{:.3g}\n",
        power.joules_per_token, power.low, power.high);
  }
  out +=
      s.tripped
          ? format("in a room of {} it reaches its critical temperature and goes off\n", room)
          : format(
                "in a room of {}: GPU {:.0f} °C, hottest zone {:.0f} °C, fan {:.0f} %, clock "
                "{:.0f} MHz held "
                "by {}\n",
                room, s.sensors.gpu_temperature.degrees(), s.sensors.zones[power.hottest].degrees(),
                100 * s.sensors.fan, s.sensors.sm_clock.value() * 1e-6, clock_limit_name(s.limit));
  if (!options.sustained) return out;
  const auto speed = [](double rate, double ratio) {
    return format("{} tok/s ({:+.1f} %)", human_number(rate), 100 * (ratio - 1));
  };
  out += format("sustained, against the first seconds: prefill {}, decode {}\n",
                speed(power.prefill_tok_per_s, s.prefill_speed),
                speed(power.decode_tok_per_s, s.decode_speed));
  std::string zones;
  for (std::size_t i = 0; i < s.sensors.zones.size(); ++i) {
    zones += format("{}{:.0f}", i == 0 ? "" : ", ", s.sensors.zones[i].degrees());
  }
  return out + format("zones {} °C; CPU {:.0f} °C, network card {:.0f} °C, drive {:.0f} °C\n",
                      zones, s.sensors.cpu.degrees(), s.sensors.network.degrees(),
                      s.sensors.drive.degrees());
}

nlohmann::ordered_json power_json(const PredictedPower& power) {
  const Sustained& s = power.sustained;
  nlohmann::ordered_json zones = nlohmann::ordered_json::array();
  for (const Celsius zone : s.sensors.zones) zones.push_back(zone.degrees());
  return {{"prefill_smi_w", s.prefill_smi.value()},
          {"decode_smi_w", s.decode_smi.value()},
          {"prefill_dc_w", s.prefill_dc.value()},
          {"decode_dc_w", s.decode_dc.value()},
          {"prefill_wall_w", s.prefill_wall.value()},
          {"decode_wall_w", s.decode_wall.value()},
          {"energy_per_token_j", power.joules_per_token},
          {"energy_per_token_low_j", power.low},
          {"energy_per_token_high_j", power.high},
          {"gpu_c", s.sensors.gpu_temperature.degrees()},
          {"zones_c", std::move(zones)},
          {"fan_share", s.sensors.fan},
          {"clock_hz", s.sensors.sm_clock.value()},
          {"clock_limit", clock_limit_name(s.limit)},
          {"tripped", s.tripped},
          {"sustained_prefill_tok_per_s", power.prefill_tok_per_s},
          {"sustained_decode_tok_per_s", power.decode_tok_per_s}};
}

}  // namespace tinderbox::cli
