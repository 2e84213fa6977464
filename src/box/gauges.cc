#include "box/gauges.h"

namespace tinderbox {

std::vector<Reading> readings(const Sensors& s) {
  std::vector<Reading> out = {
      {"DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C)", {}, s.gpu_temperature.degrees()},
      {"DCGM_FI_DEV_POWER_USAGE",
       "Power draw (in W), as the driver shows it",
       {},
       s.gpu_power.value()},
      {"DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz)", {}, s.sm_clock.value() * 1e-6},
      {"DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %)", {}, 100 * s.gpu_utilisation},
      {"tinderbox_wall_watts", "What a meter at the socket would show", {}, s.wall.value()},
      {"tinderbox_fan_ratio", "Speed of the fans over their highest", {}, s.fan}};
  for (const auto& [channel, watts] : s.channels) {
    out.push_back({"tinderbox_hwmon_watts",
                   "Channels of the spbm driver",
                   {{"channel", std::string(channel)}},
                   watts.value()});
  }
  for (std::size_t i = 0; i < s.zones.size(); ++i) {
    out.push_back({"tinderbox_zone_celsius",
                   "ACPI thermal zones",
                   {{"zone", std::to_string(i)}},
                   s.zones[i].degrees()});
  }
  return out;
}

}  // namespace tinderbox
