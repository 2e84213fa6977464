// What a box shows of itself beside its traffic, for whatever publishes it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "machine/machine.h"
#include "twin/sensors.h"

namespace tinderbox {

struct GaugeReading {
  enum class Kind : unsigned char { Gauge, Counter };
  std::string name, help;  // of Prometheus
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
  Kind kind = Kind::Gauge;  // of all of one name
};

// The labels that NVIDIA's dcgm-exporter gives a GPU. What the machine file does not state is left empty, but the
// name, which is then the machine's; the UUID is this host's and machine's for ever.
struct GpuLabels {
  std::string uuid, bus, name, hostname, driver;
};
GpuLabels gpu_labels(const Machine& machine, const std::string& hostname);

// Memory by who holds it: "weights", "kv", "runtime", "page_cache", "free".
using MemoryOwners = std::vector<std::pair<std::string, Bytes>>;

// By dcgm-exporter's names, units as in the helps; what a real one of this machine leaves out is left out. sensors,
// memory: null where the twin knows none.
std::vector<GaugeReading> dcgm_readings(const Machine& machine, const GpuLabels& labels, const Sensors* sensors,
                                        const MemoryOwners* memory);
// tinderbox_*: rails, temperatures, fan, clock and what limits it, energies.
std::vector<GaugeReading> body_readings(const Sensors& sensors);
std::vector<GaugeReading> memory_readings(const MemoryOwners& memory);

// Of this process, by the names that Prometheus's client libraries use; measured.
struct ProcessUse {
  double cpu_s = 0, start_unix_s = 0;
  double resident_bytes = 0, virtual_bytes = 0;
  double open_files = 0, open_files_max = 0;
};
// Of Linux's /proc; nothing where that is not as expected.
std::optional<ProcessUse> read_process_use();
std::vector<GaugeReading> process_readings(const ProcessUse& use);

}  // namespace tinderbox
