#include "box/gauges.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/siphash.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;
constexpr double kMib = 1024.0 * 1024.0;

// What /proc/self/stat counts from 0 after the name of the program, less one: utime, stime, starttime, vsize, rss.
constexpr std::size_t kUserTicks = 11, kSystemTicks = 12, kStartTicks = 19, kVirtualBytes = 20, kResidentPages = 21;

std::string whole_file(const char* path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

// When this computer started, of /proc/stat.
std::optional<double> boot_unix_s() {
  for (const std::string& line : split(whole_file("/proc/stat"), '\n')) {
    if (line.starts_with("btime ")) return parse_double(std::string_view(line).substr(6));
  }
  return std::nullopt;
}

}  // namespace

GpuLabels gpu_labels(const Machine& machine, const std::string& hostname) {
  const std::string seed = machine.id + "\n" + hostname;
  const auto [low, high] = siphash128({}, std::as_bytes(std::span(seed)));
  return {.uuid = format("GPU-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff, high & 0xffff,
                         low >> 48, low & 0xffff'ffff'ffff),
          .bus = machine.gpu_bus,
          .name = machine.gpu_name.empty() ? machine.name : machine.gpu_name,
          .hostname = hostname,
          .driver = machine.gpu_driver};
}

std::vector<GaugeReading> dcgm_readings(const Machine& machine, const GpuLabels& gpu, const Sensors* s,
                                        const MemoryOwners* memory) {
  Labels labels = {{"gpu", "0"},          {"UUID", gpu.uuid},      {"pci_bus_id", gpu.bus},
                   {"device", "nvidia0"}, {"modelName", gpu.name}, {"Hostname", gpu.hostname}};
  if (!gpu.driver.empty()) labels.emplace_back("DCGM_FI_DRIVER_VERSION", gpu.driver);
  std::vector<GaugeReading> out;
  const auto add = [&](const char* name, const char* help, double value,
                       GaugeReading::Kind kind = GaugeReading::Kind::Gauge) {
    out.push_back({name, help, labels, value, kind});
  };
  // Rounded as the driver rounds: whole degrees, percents, MHz and mJ; power in mW.
  if (s != nullptr) {
    add("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz); modelled", std::round(s->sm_clock.value() * 1e-6));
    add("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C); modelled", std::round(s->gpu_temperature.degrees()));
    add("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W) as the driver shows it; modelled",
        std::round(s->gpu_power.value() * 1e3) / 1e3);
    add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Total energy consumption since boot (in mJ); modelled",
        std::round(s->gpu_energy.value() * 1e3), GaugeReading::Kind::Counter);
    add("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %); modelled", std::round(100 * s->gpu_utilisation));
  }
  if (!machine.memory_dedicated) {
    // The driver has no counters of a memory that the GPU shares with the CPU, and says 0 or nothing.
    if (s != nullptr) {
      add("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %); always 0 on unified memory", 0);
      add("DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C); always 0 on unified memory", 0);
    }
    return out;
  }
  if (memory == nullptr) return out;
  double used = 0, free = 0;
  for (const auto& [owner, size] : *memory) (owner == "free" ? free : used) += size.value();
  add("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB); modelled", std::floor(free / kMib));
  add("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB); modelled", std::ceil(used / kMib));
  add("DCGM_FI_DEV_FB_RESERVED", "Framebuffer memory that the driver holds back (in MiB); modelled",
      std::round((machine.memory_size - machine.memory_visible).value() / kMib));
  return out;
}

std::vector<GaugeReading> body_readings(const Sensors& s) {
  using enum GaugeReading::Kind;
  std::vector<GaugeReading> out = {
      {"tinderbox_wall_watts", "What a meter at the socket would show; modelled", {}, s.wall.value()},
      {"tinderbox_wall_joules_total", "Energy drawn at the socket; modelled", {}, s.wall_energy.value(), Counter},
      {"tinderbox_fan_ratio", "Speed of the fans over their highest; modelled", {}, s.fan},
      {"tinderbox_sm_clock_hertz", "Clock of the GPU; modelled", {}, s.sm_clock.value()},
      {"tinderbox_gpu_busy_ratio", "Share of the time that the GPU works; modelled", {}, s.gpu_utilisation},
      {"tinderbox_room_celsius", "Air that the box takes in, as it was told", {}, s.room.degrees()},
      {"tinderbox_exhaust_celsius", "Air that leaves the box; modelled", {}, s.air.degrees()}};
  for (int i = 0; i < kRails; ++i) {
    const auto r = static_cast<std::size_t>(i);
    const Labels rail = {{"rail", std::string(rail_name(static_cast<Rail>(i)))}};
    out.push_back({"tinderbox_rail_watts", "Power of each part, behind the adapter; modelled", rail,
                   s.rails[r].value()});
    out.push_back({"tinderbox_rail_joules_total", "Energy drawn by each part, behind the adapter; modelled", rail,
                   s.rail_energy[r].value(), Counter});
  }
  for (const auto& [node, temperature] : s.nodes) {
    out.push_back({"tinderbox_node_celsius", "Temperature of each part; modelled", {{"node", node}},
                   temperature.degrees()});
  }
  for (std::size_t i = 0; i < s.zones.size(); ++i) {
    out.push_back({"tinderbox_zone_celsius", "ACPI thermal zones, as the kernel counts them; modelled",
                   {{"zone", std::to_string(i)}}, s.zones[i].degrees()});
  }
  for (const auto& [channel, watts] : s.channels) {
    out.push_back({"tinderbox_hwmon_watts", "Channels of the spbm driver; modelled",
                   {{"channel", std::string(channel)}}, watts.value()});
  }
  for (int i = 0; i < kClockLimits; ++i) {
    const auto limit = static_cast<ClockLimit>(i);
    const Labels label = {{"limit", std::string(clock_limit_name(limit))}};
    out.push_back({"tinderbox_clock_limit", "1 for what holds the GPU's clock where it is; modelled", label,
                   s.limit == limit ? 1.0 : 0.0});
    out.push_back({"tinderbox_clock_limited_seconds_total", "Time under each limit of the clock; modelled", label,
                   s.limited[static_cast<std::size_t>(i)], Counter});
  }
  return out;
}

std::vector<GaugeReading> memory_readings(const MemoryOwners& memory) {
  std::vector<GaugeReading> out;
  for (const auto& [owner, size] : memory) {
    out.push_back({"tinderbox_memory_bytes", "Memory of the box by who holds it; modelled", {{"owner", owner}},
                   size.value()});
  }
  return out;
}

std::optional<ProcessUse> read_process_use() {
  // The name stands in brackets and may hold anything.
  const std::string stat = whole_file("/proc/self/stat");
  const std::size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields = split(stat.substr(name_end + 2), ' ');
  const auto field = [&](std::size_t i) { return i < fields.size() ? parse_double(fields[i]) : std::nullopt; };
  const auto user = field(kUserTicks), system = field(kSystemTicks), start = field(kStartTicks);
  const auto size = field(kVirtualBytes), pages = field(kResidentPages), boot = boot_unix_s();
  if (!user || !system || !start || !size || !pages || !boot) return std::nullopt;
  const auto ticks_per_s = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessUse use{.cpu_s = (*user + *system) / ticks_per_s,
                 .start_unix_s = *boot + *start / ticks_per_s,
                 .resident_bytes = *pages * static_cast<double>(sysconf(_SC_PAGESIZE)),
                 .virtual_bytes = *size};
  std::error_code unreadable;
  for (std::filesystem::directory_iterator it("/proc/self/fd", unreadable), end; !unreadable && it != end;
       it.increment(unreadable)) {
    use.open_files += 1;
  }
  use.open_files -= use.open_files > 0 ? 1 : 0;  // the one that counted them
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) use.open_files_max = static_cast<double>(limit.rlim_cur);
  return use;
}

std::vector<GaugeReading> process_readings(const ProcessUse& use) {
  using enum GaugeReading::Kind;
  return {{"process_cpu_seconds_total", "Processor time of this process; measured", {}, use.cpu_s, Counter},
          {"process_resident_memory_bytes", "Memory of this process; measured", {}, use.resident_bytes},
          {"process_virtual_memory_bytes", "Address space of this process; measured", {}, use.virtual_bytes},
          {"process_open_fds", "Open files and sockets of this process; measured", {}, use.open_files},
          {"process_max_fds", "Most of them that it may have", {}, use.open_files_max},
          {"process_start_time_seconds", "When this process started, Unix time; measured", {}, use.start_unix_s}};
}

}  // namespace tinderbox
