#include "machine/machine.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "machine/body_facts.h"
#include "machine/sourced.h"

namespace tinderbox {
namespace {

constexpr int kDevicesMax = 64;

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
    Noun{"capacity", Measure::HeatCapacity},
    Noun{"flow", Measure::Flow},
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
                                            "chassis", "price",   "serving", "faults",
                                            "reach",   "body"};

void read_compute(SourcedFile& file, Machine& machine) {
  const bool gpu = !file.children("gpu").empty();
  const auto key = [&](std::string_view word) {
    return format("{}.{}", gpu ? "gpu" : "cpu", word);
  };
  machine.n_units = static_cast<int>(file.count(key(gpu ? "n_units" : "n_cores"), 1, 1e6));
  for (int i = 0; i < kMathTypes; ++i) {
    const auto type = static_cast<MathType>(i);
    const std::string rate = key(format("flops_per_clock.{}", math_type_name(type)));
    if (type != MathType::F32 && !file.has(rate)) continue;  // not available
    machine.flops_per_clock[static_cast<std::size_t>(i)] =
        file.number(rate, Measure::FlopsPerClock);
  }
  machine.clock_light = file.hertz(key("light_clock"));
  machine.clock_heavy = file.hertz(key("heavy_clock"));
  machine.l2_size = file.bytes(key(gpu ? "l2_size" : "l3_size"));
  machine.kernel_launch = file.seconds(key("kernel_launch_time"));
  if (file.has(key("graph_gap_time"))) machine.graph_gap = file.seconds(key("graph_gap_time"));
}

void read_names(SourcedFile& file, Machine& machine) {
  machine.id = file.text("id");
  machine.name = file.text("name");
  for (const auto& [key, text] : {std::pair{"gpu.name", &machine.gpu_name},
                                  std::pair{"gpu.bus", &machine.gpu_bus},
                                  std::pair{"gpu.driver", &machine.gpu_driver}}) {
    if (file.has(key)) *text = file.text(key);
  }
  const std::string scope = file.text("scope");
  if (scope != "box" && scope != "part") {
    throw_invalid(
        format("{}: expected \"box\" or \"part\"; got \"{}\"", file.where("scope"), scope));
  }
  machine.scope = scope == "box" ? Scope::Box : Scope::Part;
  for (const std::string& stack : split(file.text("stacks"), ',')) {
    machine.stacks.emplace_back(trim(stack));
  }
}

void read_power_and_price(SourcedFile& file, Machine& machine) {
  machine.power_idle = file.watts("power.idle");
  machine.power_load = file.watts("power.load");
  machine.power_module_limit = file.watts("power.module_limit");
  machine.power_system_limit = file.has("power.system_limit") ? file.watts("power.system_limit")
                                                              : machine.power_module_limit;
  if (machine.power_load < machine.power_idle) {
    throw_invalid(format("{}: expected at least power.idle ({} W); got {} W",
                         file.where("power.load"), machine.power_idle.value(),
                         machine.power_load.value()));
  }
  if (file.has("price.list")) machine.price_usd = file.number("price.list", Measure::Price);
}

void read_memory(SourcedFile& file, Machine& machine) {
  machine.memory_size = file.bytes("memory.size");
  machine.memory_visible = file.bytes("memory.visible_size");
  machine.memory_safe = file.bytes("memory.safe_size");
  machine.memory_freeze = file.bytes("memory.freeze_size");
  if (file.has("memory.system_size")) machine.memory_system = file.bytes("memory.system_size");
  machine.memory_dedicated = file.has("memory.dedicated") && file.flag("memory.dedicated");
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

Curve read_curve(SourcedFile& file, const std::string& section) {
  Curve curve;
  for (const std::string& size : file.children(section)) {
    const std::string key = format("{}.{}", section, size);
    // Keys that are no words stand in quotes.
    const std::string bare = size.starts_with('"') ? size.substr(1, size.size() - 2) : size;
    const Bytes bytes = parse_bytes(bare, file.where(key));
    const Seconds time = file.seconds(key);
    if (bytes <= (curve.empty() ? Bytes(0) : curve.points.back().first) || time <= Seconds(0)) {
      throw_invalid(format("{}: expected sizes that grow from line to line, and times above 0",
                           file.where(key)));
    }
    curve.points.emplace_back(bytes, time);
  }
  return curve;
}

const Link* find_link(const Machine& machine, std::string_view name) {
  const auto found = std::ranges::find(machine.links, name, &Link::name);
  return found == machine.links.end() ? nullptr : &*found;
}

void read_links(SourcedFile& file, Machine& machine) {
  for (const std::string& name : file.children("links")) {
    const auto key = [&](std::string_view word) { return format("links.{}.{}", name, word); };
    Link link{.name = name,
              .bandwidth = file.bytes_per_second(key("bandwidth")),
              .latency = file.seconds(key("latency"))};
    link.operation_latency =
        file.has(key("operation_latency")) ? file.seconds(key("operation_latency")) : link.latency;
    if (file.has(key("state_of"))) {
      link.state_of = file.text(key("state_of"));
      const Link* healthy = find_link(machine, link.state_of);
      if (healthy == nullptr) {
        throw_invalid(format("{}: expected a link above it; got '{}'",
                             file.where(key("state_of")), link.state_of));
      }
      link.all_reduce = healthy->all_reduce;
      link.all_reduce_four = healthy->all_reduce_four;
      link.send = healthy->send;
    } else {
      link.all_reduce = read_curve(file, key("all_reduce_time"));
      link.all_reduce_four = read_curve(file, key("all_reduce_four_time"));
      link.send = read_curve(file, key("send_time"));
    }
    machine.links.push_back(std::move(link));
  }
  if (!file.has("network.usual_link")) return;
  machine.usual_link = file.text("network.usual_link");
  const Link* usual = find_link(machine, machine.usual_link);
  if (usual == nullptr || !usual->joins_boxes()) {
    throw_invalid(format("{}: expected a link with [links.NAME.all_reduce_time]; got '{}'",
                         file.where("network.usual_link"), machine.usual_link));
  }
}

// n_devices of it in one box.
Machine with_devices(Machine machine, std::int64_t n) {
  if (n < 2 || n > kDevicesMax) {
    throw_invalid(format("{}-x{}: expected 2 to {} devices", machine.id, n, kDevicesMax));
  }
  if (std::ranges::find(machine.links, "peer", &Link::name) == machine.links.end()) {
    throw_invalid(format("{}-x{}: {} has no [links.peer] to put several in one box; use one",
                         machine.id, n, machine.id));
  }
  machine.id += format("-x{}", n);
  machine.name = format("{} x {}", n, machine.name);
  machine.n_devices = static_cast<int>(n);
  const auto times = static_cast<double>(n);
  for (Bytes* size : {&machine.memory_size, &machine.memory_visible, &machine.memory_safe,
                      &machine.memory_freeze}) {
    *size *= times;
  }
  // One works while the others wait.
  machine.power_load += machine.power_idle * (times - 1);
  machine.power_idle *= times;
  machine.power_module_limit *= times;
  machine.power_system_limit *= times;
  machine.price_usd *= times;
  return machine;
}

// One level: a variant of a variant would hide what it is a variant of.
void inherit(SourcedFile& file, const Catalogue* parents) {
  const std::string id = file.text("inherits");
  if (parents == nullptr) throw_invalid(format("{}: no machines to inherit from", file.where("inherits")));
  SourcedFile parent(parents->text(id), id, kNouns);
  if (parent.has("inherits")) {
    throw_invalid(format("{}: {} inherits itself; name what it inherits from", file.where("inherits"), id));
  }
  file.inherit(parent);
}

void read_reach(SourcedFile& file, Machine& machine) {
  for (const auto& [key, value] : {std::pair{"reach.memory_ratio", &machine.memory_ratio},
                                   std::pair{"reach.compute_ratio", &machine.compute_ratio},
                                   std::pair{"reach.kernel_ratio", &machine.kernel_ratio}}) {
    if (file.has(key)) *value = file.share(key, 1e-3, 1e3);
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

std::string_view scope_name(Scope scope) { return scope == Scope::Box ? "box" : "part"; }

Seconds Curve::at(Bytes size) const {
  CHECK(!empty());
  if (size <= points.front().first) return points.front().second;
  for (std::size_t i = 1; i < points.size(); ++i) {
    const auto& [low, low_time] = points[i - 1];
    const auto& [high, high_time] = points[i];
    if (size <= high) return low_time + (high_time - low_time) * ((size - low) / (high - low));
  }
  return points.back().second * (size / points.back().first);
}

Machine parse_machine(std::string_view toml, std::string_view name, const Catalogue* parents) {
  SourcedFile file(toml, name, kNouns);
  if (file.has("inherits")) inherit(file, parents);
  Machine machine;
  read_names(file, machine);
  read_compute(file, machine);
  read_memory(file, machine);
  if (!file.children("storage").empty()) {
    machine.storage_read = file.bytes_per_second("storage.read_bandwidth");
    machine.storage_write = file.bytes_per_second("storage.write_bandwidth");
  }
  read_links(file, machine);
  read_power_and_price(file, machine);
  read_reach(file, machine);
  if (!file.children("body").empty()) machine.body = read_body(file);
  file.reject_unread_text();
  file.reject_sections_but(kSections);
  machine.facts = file.facts();
  machine.sources = file.sources();
  return machine;
}

Devices devices_of(const Catalogue& machines, std::string_view id) {
  const std::size_t x = id.rfind("-x");
  const auto n = x == std::string_view::npos ? std::nullopt : parse_int(id.substr(x + 2));
  if (machines.has(id) || !n) return {.id = std::string(id)};
  return {.id = std::string(id.substr(0, x)), .n = *n};
}

Machine machine_of(const Catalogue& machines, std::string_view id) {
  const Devices devices = devices_of(machines, id);
  Machine machine = parse_machine(machines.text(devices.id), devices.id, &machines);
  return devices.id == id ? machine : with_devices(std::move(machine), devices.n);
}

}  // namespace tinderbox
