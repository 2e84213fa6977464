#include "twin/power.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tinderbox {

double speed_ratio(const Load& load, Hertz clock, double memory) {
  CHECK(clock > Hertz(0) && memory > 0);
  if (load.clock <= Hertz(0)) return 1;
  const double rest = 1 - load.compute_share - load.memory_share;
  return 1 / (rest + load.compute_share * (load.clock / clock) + load.memory_share / memory);
}

Load load_of_smi(const BodyFacts& body, Watts smi) {
  const double works =
      std::clamp((smi - body.smi_waits) / (body.smi_works - body.smi_waits), 0.0, 1.0);
  const double computes =
      std::clamp((smi - body.smi_decodes) / (body.smi_computes - body.smi_decodes), 0.0, 1.0);
  Load load;
  load.memory_bytes = works * std::lerp(body.working_bytes.value(), body.computing_bytes.value(), computes);
  load.cpu_p_busy = works * body.host_share;
  load.gpu_busy = works;
  load.awake = smi > body.idle[index_of(Rail::Gpu)] + body.awake * 0.5;
  return load;
}

Rails rails(const BodyFacts& body, const Load& load, Hertz clock, double speed, Celsius gpu) {
  Rails out = body.idle;
  const auto rail = [&](Rail r) -> Watts& { return out[index_of(r)]; };
  const double heat = (gpu - body.leakage_temperature) / body.leakage_difference;
  const double v = body.voltage.at(clock.value());
  double switching = load.gpu_busy * clock.value() * body.cycle.value();
  for (std::size_t i = 0; i < kMathTypes; ++i)
    switching += load.flops[i] * speed * body.flop[i].value();
  const double bytes = load.memory_bytes * speed;
  rail(Rail::Gpu) += body.leakage * std::expm1(heat) + (load.awake ? body.awake : Watts(0)) +
                     Watts(v * v * switching + bytes * body.gpu_byte.value());
  rail(Rail::CpuP) += (body.cpu_p_full - body.idle[index_of(Rail::CpuP)]) * load.cpu_p_busy;
  rail(Rail::CpuE) += (body.cpu_e_full - body.idle[index_of(Rail::CpuE)]) * load.cpu_e_busy;
  rail(Rail::Memory) += Watts(bytes * body.memory_byte.value());
  rail(Rail::Soc) += Watts(bytes * body.soc_byte.value());
  rail(Rail::Network) += (load.link_up ? body.link_up : Watts(0)) +
                         Watts(load.link_bytes * speed * body.link_byte.value());
  rail(Rail::Drive) += Watts(load.drive_bytes * body.drive_byte.value());
  rail(Rail::Board) += (module_power(out) - module_power(body.idle)) * body.board_share;
  return out;
}

Watts module_power(const Rails& rails) {
  Watts sum{};
  for (const Rail r : {Rail::Gpu, Rail::CpuP, Rail::CpuE, Rail::Memory, Rail::Soc})
    sum += rails[index_of(r)];
  return sum;
}

Watts dc_power(const Rails& rails) {
  Watts sum{};
  for (const Watts w : rails) sum += w;
  return sum;
}

Watts wall_power(const BodyFacts& body, const Rails& rails) {
  return dc_power(rails) / body.adapter_share;
}

Watts smi_power(const BodyFacts& body, Watts gpu_rail) {
  const Watts idle = body.idle[index_of(Rail::Gpu)];
  return gpu_rail <= idle ? gpu_rail : idle + (gpu_rail - idle) / body.smi_ratio;
}

Watts rail_of_smi(const BodyFacts& body, Watts smi) {
  const Watts idle = body.idle[index_of(Rail::Gpu)];
  return smi <= idle ? smi : idle + (smi - idle) * body.smi_ratio;
}

}  // namespace tinderbox
