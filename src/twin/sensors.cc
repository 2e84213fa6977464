#include "twin/sensors.h"

#include <algorithm>

namespace tinderbox {

Sensors read_sensors(const Body& body) {
  const BodyFacts& facts = body.facts();
  const BodyState& state = body.state();
  const Rails& rails = state.rails;
  const auto rail = [&](Rail r) { return rails[index_of(r)]; };
  Sensors out;
  out.gpu_temperature = body.temperature(facts.gpu);
  out.gpu_power = smi_power(facts, rail(Rail::Gpu));
  out.sm_clock = state.clock;
  out.gpu_utilisation = state.speed > 0 ? body.load().gpu_busy : 0;
  // Through a cap by the module's controller the reasons stay "not active".
  out.heat_slowed = state.limit == ClockLimit::Heat;
  const Watts module = module_power(rails), dc = dc_power(rails);
  out.channels = {{"sys_total", dc},
                  {"soc_pkg", module},
                  {"cpu_gpu", rail(Rail::CpuP) + rail(Rail::CpuE) + rail(Rail::Gpu)},
                  {"cpu_p", rail(Rail::CpuP)},
                  {"cpu_e", rail(Rail::CpuE)},
                  {"gpu", rail(Rail::Gpu)},
                  {"pl1", module},
                  {"syspl1", dc}};
  for (std::size_t i = 0; i < facts.zones.size(); ++i) out.zones.push_back(body.zone(i));
  out.cpu = body.temperature(facts.cpu);
  out.drive = body.temperature(facts.drive);
  out.network = body.temperature(facts.network);
  out.wall = wall_power(facts, rails);
  out.fan = body.fan();
  out.gpu_energy = Joules(state.smi_joules);
  out.rails = rails;
  for (std::size_t r = 0; r < kRails; ++r) out.rail_energy[r] = Joules(state.rail_joules[r]);
  out.wall_energy = Joules(state.joules_in / facts.adapter_share);
  for (std::size_t i = 0; i < facts.nodes.size(); ++i) {
    out.nodes.emplace_back(facts.nodes[i].name, body.temperature(static_cast<int>(i)));
  }
  out.air = body.air();
  out.room = body.surroundings().room;
  out.limit = state.limit;
  out.limited = state.limited;
  return out;
}

std::vector<std::string_view> fields_not_available() {
  return {"memory.total",     "memory.used",        "memory.free",
          "fan.speed",        "power.limit",        "clocks.mem",
          "clocks.max.sm",    "temperature.memory", "temperature.gpu.tlimit",
          "ecc.mode.current", "utilization.memory"};
}

}  // namespace tinderbox
