#include "machine/machine.h"

#include <array>

#include "base/error.h"
#include "base/text.h"
#include "machine/sourced.h"

namespace tinderbox {
namespace {

// The glossary of machine files: what the last word of a key measures.
constexpr std::array kNouns = {
    Noun{"time", Measure::Time},
    Noun{"latency", Measure::Time},
    Noun{"interval", Measure::Time},
    Noun{"clock", Measure::Frequency},
    Noun{"size", Measure::Size},
    Noun{"bandwidth", Measure::Bandwidth},
    Noun{"compute", Measure::Compute},
    Noun{"power", Measure::Power},
    Noun{"energy", Measure::Energy},
    Noun{"temperature", Measure::Temperature},
    Noun{"difference", Measure::TemperatureDifference},
    Noun{"resistance", Measure::ThermalResistance},
    Noun{"share", Measure::Share},
    Noun{"ratio", Measure::Share},
    Noun{"length", Measure::Length},
    Noun{"width", Measure::Length},
    Noun{"height", Measure::Length},
    Noun{"depth", Measure::Length},
    Noun{"altitude", Measure::Length},
    Noun{"mass", Measure::Mass},
    Noun{"price", Measure::Price},
    Noun{"flops_per_clock", Measure::FlopsPerClock},
    Noun{"bytes_per_clock", Measure::BytesPerClock},
    Noun{"flops_per_joule", Measure::FlopsPerJoule},
    Noun{"transfer_rate", Measure::TransferRate},
    Noun{"packet_rate", Measure::PacketRate},
    Noun{"token_rate", Measure::TokenRate},
};

const std::vector<std::string> kSections = {"cpu",     "gpu",     "memory",  "storage",
                                            "links",   "network", "power",   "thermal",
                                            "chassis", "price",   "serving", "faults"};

void read_gpu(SourcedFile& file, Machine& machine) {
  machine.n_units = static_cast<int>(file.count("gpu.n_units", 1, 1e6));
  for (int i = 0; i < kMathTypes; ++i) {
    const std::string key =
        format("gpu.flops_per_clock.{}", math_type_name(static_cast<MathType>(i)));
    machine.flops_per_clock[static_cast<std::size_t>(i)] = file.number(key, Measure::FlopsPerClock);
  }
  machine.clock_light = file.hertz("gpu.light_clock");
  machine.clock_heavy = file.hertz("gpu.heavy_clock");
  machine.l2_size = file.bytes("gpu.l2_size");
  machine.kernel_launch = file.seconds("gpu.kernel_launch_time");
  machine.graph_gap = file.seconds("gpu.graph_gap_time");
}

void read_memory(SourcedFile& file, Machine& machine) {
  machine.memory_size = file.bytes("memory.size");
  machine.memory_visible = file.bytes("memory.visible_size");
  machine.memory_safe = file.bytes("memory.safe_size");
  machine.memory_freeze = file.bytes("memory.freeze_size");
  if (file.has("memory.system_size")) machine.memory_system = file.bytes("memory.system_size");
  machine.memory_bandwidth = file.bytes_per_second("memory.bandwidth");
  machine.memory_read_bandwidth = file.bytes_per_second("memory.read_bandwidth");
  const auto at_most = [&](std::string_view smaller, Bytes a, std::string_view larger, Bytes b) {
    if (a <= b) return;
    throw_invalid(format("{}: expected at most {} ({}); got {}", file.where(smaller), larger,
                         human(b), human(a)));
  };
  at_most("memory.visible_size", machine.memory_visible, "memory.size", machine.memory_size);
  at_most("memory.freeze_size", machine.memory_freeze, "memory.visible_size",
          machine.memory_visible);
  at_most("memory.safe_size", machine.memory_safe, "memory.freeze_size", machine.memory_freeze);
  at_most("memory.system_size", machine.memory_system, "memory.safe_size", machine.memory_safe);
  if (machine.memory_read_bandwidth > machine.memory_bandwidth) {
    throw_invalid(format("{}: expected at most memory.bandwidth ({}); got {}",
                         file.where("memory.read_bandwidth"), human(machine.memory_bandwidth),
                         human(machine.memory_read_bandwidth)));
  }
}

void read_links(SourcedFile& file, Machine& machine) {
  for (const std::string& name : file.children("links")) {
    machine.links.push_back({name, file.bytes_per_second(format("links.{}.bandwidth", name)),
                             file.seconds(format("links.{}.latency", name))});
  }
}

}  // namespace

std::string_view math_type_name(MathType type) {
  switch (type) {
    case MathType::F32:
      return "f32";
    case MathType::TF32:
      return "tf32";
    case MathType::F16:
      return "f16";
    case MathType::FP8:
      return "fp8";
    case MathType::FP4:
      return "fp4";
    case MathType::INT8:
      return "int8";
  }
  std::abort();
}

Machine parse_machine(std::string_view toml, std::string_view name) {
  SourcedFile file(toml, name, kNouns);
  Machine machine;
  machine.id = file.text("id");
  machine.name = file.text("name");
  read_gpu(file, machine);
  read_memory(file, machine);
  machine.storage_read = file.bytes_per_second("storage.read_bandwidth");
  machine.storage_write = file.bytes_per_second("storage.write_bandwidth");
  read_links(file, machine);
  machine.power_idle = file.watts("power.idle");
  machine.power_module_limit = file.watts("power.module_limit");
  machine.power_system_limit = file.watts("power.system_limit");
  machine.price_usd = file.number("price.list", Measure::Price);
  file.reject_unread_text();
  file.reject_sections_but(kSections);
  machine.facts = file.facts();
  machine.sources = file.sources();
  return machine;
}

}  // namespace tinderbox
