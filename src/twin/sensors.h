// What tools on the box would read at this moment: nvidia-smi, the hwmon channels of the spbm
// driver, the ACPI zones, drive and network card. What a real GB10 does not answer is absent here
// too, so that a program that needs it fails on the twin as it would on the machine.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twin/body.h"

namespace tinderbox {

struct Sensors {
  // nvidia-smi. It under-reads power under load, and tells no reason for a clock held down by the
  // module's limit or by a fault.
  Celsius gpu_temperature;
  Watts gpu_power;
  Hertz sm_clock;
  double gpu_utilisation = 0;  // 0 to 1
  bool heat_slowed = false;    // clocks_event_reasons.sw_thermal_slowdown

  // hwmon, driver spbm: W by channel ("sys_total"), in the driver's order.
  std::vector<std::pair<std::string_view, Watts>> channels;
  std::vector<Celsius> zones;  // acpitz, in the kernel's order
  Celsius cpu, drive, network;
  Watts wall;      // what a meter at the socket would show; no sensor of the box does
  double fan = 0;  // share of full speed; no sensor of the box tells
  Joules gpu_energy;  // of gpu_power, since the box began

  // What no tool on the box tells.
  Rails rails{};
  std::array<Joules, kRails> rail_energy{};
  Joules wall_energy;
  std::vector<std::pair<std::string, Celsius>> nodes;  // parts of one temperature, in the machine file's order
  Celsius air, room;                                   // that leaves; that comes in
  ClockLimit limit = ClockLimit::Idle;
  std::array<double, kClockLimits> limited{};  // s spent under each limit
};
Sensors read_sensors(const Body& body);

// Fields of nvidia-smi that a GB10 answers with "N/A".
std::vector<std::string_view> fields_not_available();

}  // namespace tinderbox
