// A machine as data: one TOML file each, every number with unit, kind and source. The loader
// rejects a number without any of the three, naming file, line and key. No number about hardware
// stands in C++.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace tinderbox {

// Arithmetic a matrix unit runs at: decides which peak applies.
enum class MathType : std::uint8_t { F32, TF32, F16, FP8, FP4, INT8 };  // F16 stands for bf16 too
inline constexpr int kMathTypes = 6;
std::string_view math_type_name(MathType type);

enum class FactKind : std::uint8_t { Measured, Claimed, Derived, Assumed };
std::string_view fact_kind_name(FactKind kind);  // "measured"

// One number of the file as written, for `machines show`: key path, text with unit, where from.
struct Fact {
  std::string key, text;
  FactKind kind{};
  std::string source, note;
};

// Where numbers come from; Fact::source lists keys, separated by ", ".
struct Source {
  std::string key, address, date;
};

struct Link {
  std::string name;  // "rail", "two-rails", "host-to-device", ...
  BytesPerSecond bandwidth;
  Seconds latency;
};

struct Machine {
  std::string id, name;

  // Compute: peak = units * flops_per_clock[type] * clock.
  int n_units = 0;                                   // SMs
  std::array<double, kMathTypes> flops_per_clock{};  // dense, a unit; 0: not available
  Hertz clock_light;                                 // decode, light load
  Hertz clock_heavy;                                 // dense matrix multiply at the power limit
  Bytes l2_size;

  // Memory.
  Bytes memory_size, memory_visible, memory_safe, memory_freeze;
  Bytes memory_system;                   // what the operating system itself holds; 0: not stated
  BytesPerSecond memory_bandwidth;       // peak of the bus
  BytesPerSecond memory_read_bandwidth;  // best measured read

  // Costs of using the device.
  Seconds kernel_launch;  // one eager launch
  Seconds graph_gap;      // between two graph replays

  Watts power_idle, power_module_limit, power_system_limit;
  double price_usd = 0;
  BytesPerSecond storage_read, storage_write;
  std::vector<Link> links;

  std::vector<Fact> facts;  // everything in the file, in file order
  std::vector<Source> sources;

  FlopsPerSecond peak(MathType type, Hertz clock) const {
    return FlopsPerSecond(n_units * flops_per_clock[static_cast<std::size_t>(type)] *
                          clock.value());
  }
};

// name stands for the path in messages. Throws Error::Invalid (missing or wrong unit, missing kind
// or source, unknown key with the nearest known one), naming "file:line: key".
Machine parse_machine(std::string_view toml, std::string_view name);

}  // namespace tinderbox
