// The forms of a probe: machine file, JSON.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/probe.h"

namespace tinderbox {
namespace {

// As the inside of a TOML basic string.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : to_valid_utf8(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return out;
}

std::string fact(std::string_view key, std::string_view value, std::string_view kind, std::string_view note) {
  return format("{} = {{ value = {}, kind = \"{}\", source = \"HERE\", note = \"{}\" }}\n", key, value, kind,
                escaped(note));
}

std::string unit(double value, std::string_view unit_name) {
  return format("\"{} {}\"", human_number(value, 5), unit_name);
}

std::string whole_bytes(Bytes bytes) {
  return format("\"{} B\"", static_cast<std::int64_t>(std::max(1.0, bytes.value())));
}

// "best of 12, median 4.2 % off"
std::string spread(const ProbeReading& reading, std::string_view what) {
  const double off = reading.best > 0 ? std::abs(reading.median / reading.best - 1) : 0;
  return format("{}; best of {}, median {:.1f} % off", what, reading.n, 100 * off);
}

// All of the caches of the last level that the cores have.
Bytes last_level(const Probe& probe) {
  if (probe.caches.empty()) return {};
  const CacheLevel& last = *std::ranges::max_element(probe.caches, {}, &CacheLevel::level);
  return last.size * std::ceil(probe.n_cores / static_cast<double>(std::max(1, last.n_cores)));
}

std::string cpu_section(const Probe& probe) {
  std::string out = "[cpu]\n";
  out += fact("n_cores", format("{}", probe.n_cores), "measured", "that this process may use");
  const std::string clock = unit(probe.clock.best / 1e6, "MHz");
  out += fact("light_clock", clock, "measured", spread(probe.clock, "all cores in a chain of products of 3 clocks"));
  out += fact("heavy_clock", clock, "measured", "taken as the light one: only clock times rate counts");
  for (const CacheLevel& c : probe.caches) {
    if (c.level == 3) continue;
    out += fact(format("l{}_size", c.level), whole_bytes(c.size), "claimed",
                format("of one, shared by {}; as the system tells", c.n_cores));
  }
  const Bytes last = last_level(probe);
  out += fact("l3_size", whole_bytes(last), last.value() > 0 ? "claimed" : "assumed",
              last.value() > 0 ? "last level, all cores together, as the system tells" : "the system does not tell");
  out += fact("kernel_launch_time", unit(probe.fork_join.best * 1e6, "us"), "measured",
              spread(probe.fork_join, "fork and join of the thread pool"));
  out += "\n# What the engine's products reach.\n[cpu.flops_per_clock]\n";
  const double clocks = std::max(1.0, probe.n_cores * probe.clock.best);
  out += fact("f32", unit(probe.f32.best / clocks, "FLOP/clk"), "measured",
              spread(probe.f32, "product with F32 weights, many rows"));
  out += fact("int8", unit(probe.int8.best / clocks, "FLOP/clk"), "measured",
              spread(probe.int8, "product with Q8_0 weights and activations of 14 bits in 16-bit lanes, many rows"));
  return out;
}

std::string memory_section(const Probe& probe) {
  std::string out = "[memory]\n";
  const std::string size = whole_bytes(probe.memory_size);
  out += fact("size", size, "measured", "as the system tells; of the container, if it is less");
  out += fact("visible_size", size, "measured", "all of it");
  out += fact("safe_size", whole_bytes(probe.memory_available), "measured", "available when measured");
  out += fact("freeze_size", size, "assumed", "beyond, the system ends processes");
  out += fact("bandwidth", unit(probe.memory_read.best / 1e9, "GB/s"), "measured",
              spread(probe.memory_read, "all cores read an array far beyond the caches"));
  out += fact("read_bandwidth", unit(probe.memory_read.median / 1e9, "GB/s"), "measured", "median of the same runs");
  return out;
}

nlohmann::ordered_json json_of(const ProbeReading& r) {
  return {{"best", r.best}, {"median", r.median}, {"n", r.n}};
}

}  // namespace

std::string machine_toml(const Probe& probe, std::string_view id, std::string_view date) {
  std::string out =
      "# Measured by `tinderbox probe`. What other programs did meanwhile makes rates too low, never too high.\n\n";
  out += format("id = \"{}\"\nname = \"{}\"\nscope = \"part\"\nstacks = \"tinderbox, llama.cpp\"\n\n", escaped(id),
                escaped(probe.cpu));
  out += cpu_section(probe) + "\n" + memory_section(probe) + "\n[storage]\n";
  out += fact("read_bandwidth", unit(probe.storage_read.best / 1e6, "MB/s"), "measured",
              spread(probe.storage_read, "one file, past the page cache where the file system allows it"));
  out += fact("write_bandwidth", unit(probe.storage_write.best / 1e6, "MB/s"), "measured",
              spread(probe.storage_write, "one file, until it is synchronised"));
  out += "\n[power]\n";
  for (const char* key : {"idle", "load", "module_limit"}) {
    out += fact(key, "\"0 W\"", "assumed", "not measured");
  }
  out += format("\n[sources]\nHERE = {{ address = \"this computer: {}, {} cores\", date = \"{}\" }}\n",
                escaped(probe.cpu), probe.n_cores, escaped(date));
  return out;
}

std::string probe_json(const Probe& probe) {
  nlohmann::ordered_json out = {{"cpu", to_valid_utf8(probe.cpu)},
                                {"n_cores", probe.n_cores},
                                {"memory_bytes", probe.memory_size.value()},
                                {"memory_available_bytes", probe.memory_available.value()}};
  out["caches"] = nlohmann::ordered_json::array();
  for (const CacheLevel& c : probe.caches) {
    out["caches"].push_back({{"level", c.level}, {"bytes", c.size.value()}, {"n_cores", c.n_cores}});
  }
  out["clock_hz"] = json_of(probe.clock);
  out["memory_read_bytes_per_s"] = json_of(probe.memory_read);
  out["f32_flops_per_s"] = json_of(probe.f32);
  out["int8_flops_per_s"] = json_of(probe.int8);
  out["fork_join_s"] = json_of(probe.fork_join);
  out["storage_read_bytes_per_s"] = json_of(probe.storage_read);
  out["storage_write_bytes_per_s"] = json_of(probe.storage_write);
  return out.dump();
}

}  // namespace tinderbox
