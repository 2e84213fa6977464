// A machine as data: one TOML file each, every number with unit, kind and source. The loader
// rejects a number without any of the three, naming file, line and key. No number about hardware
// stands in C++. A machine without a GPU computes on its CPU: its cores are the units.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/catalogue.h"
#include "base/units.h"
#include "machine/body_facts.h"

namespace tinderbox {


enum class FactKind : std::uint8_t { Measured, Claimed, Derived, Assumed, Fitted };
std::string_view fact_kind_name(FactKind kind);  // "measured"

// Of a fitted number (`tinderbox calibrate`): what was believed before the measurements spoke, in
// base units, how widely (standard deviation of its logarithm), and what they left: the standard
// error of its logarithm and the rows that moved it.
struct FitResult {
  double prior = 0, spread = 0;
  double error = 0;
  std::int64_t n_rows = 0;
};

// One number of the file as written, for `machines show`: key path, text with unit, where from.
struct Fact {
  std::string key, text;
  FactKind kind{};
  std::string source, note;
  std::optional<FitResult> fit{};  // of Fitted
  double number = 0;               // in base units
};

// Where numbers come from; Fact::source lists keys, separated by ", ".
struct Source {
  std::string key, address, date;
};

// Times measured at some sizes of a message, in order of size.
struct Curve {
  std::vector<std::pair<Bytes, Seconds>> points{};
  bool empty() const { return points.empty(); }
  // Straight between two points; the first time below the first, in proportion beyond the last.
  // Requires a point.
  Seconds at(Bytes size) const;
};

struct Link {
  std::string name;  // "rail", "two-rails", "host-to-device", ...
  BytesPerSecond bandwidth;
  Seconds latency;
  std::string state_of{};  // the link that this is a faulty state of; empty: a link of its own
  // Between boxes, by the bytes that each box holds; empty: not measured.
  Curve all_reduce{};       // between two
  Curve all_reduce_four{};  // among four, as a ring
  Curve send{};             // from one to another
  bool joins_boxes() const { return !all_reduce.empty(); }
  // Between the devices of one box: an operation of all of them on a few bytes, its kernel and the
  // library's protocol included; `latency` where the file states none.
  Seconds operation_latency{};
  bool joins_devices() const { return name == "peer"; }
};

// What price and power cover: a whole computer, power at the wall; or a part (a graphics card, a
// processor) that needs one around it.
enum class Scope : std::uint8_t { Box, Part };
std::string_view scope_name(Scope scope);  // "box"

struct Machine {
  std::string id, name;
  // How the GPU's driver names it, where on the bus it is, and which driver that was; empty: not stated.
  std::string gpu_name, gpu_bus, gpu_driver;
  Scope scope = Scope::Box;
  std::vector<std::string> stacks;  // that usually run models on it, best first

  // Equal devices in one box ("rtx-3090-x2"). Memory sizes, price and power are then those of all;
  // units, clocks, caches and bandwidths are those of one: what a step sees that passes through the
  // devices one after the other. Splitting every layer instead is up to the twin, at the price of
  // the link "peer".
  int n_devices = 1;

  // Compute: peak = units * flops_per_clock[type] * clock.
  int n_units = 0;                                   // SMs, compute units, cores
  std::array<double, kMathTypes> flops_per_clock{};  // dense, a unit; 0: not available
  Hertz clock_light;                                 // decode, light load
  Hertz clock_heavy;                                 // dense matrix multiply at the power limit
  Bytes l2_size;                                     // a CPU's last level

  // Memory.
  Bytes memory_size, memory_visible, memory_safe, memory_freeze;
  Bytes memory_system;                   // what the operating system itself holds; 0: not stated
  bool memory_dedicated = false;         // a card's own: host processes and page cache are not in it
  BytesPerSecond memory_bandwidth;       // peak of the bus
  BytesPerSecond memory_read_bandwidth;  // best measured read, or derived from like machines

  // Costs of using the device.
  Seconds kernel_launch;  // one eager launch
  Seconds graph_gap;      // between two graph replays; 0: not known

  // What stacks reach of the numbers above beside what they reach on the machine that they were
  // fitted on; times of kernels likewise. Fitted by `tinderbox calibrate`; 1 where nothing is known.
  double memory_ratio = 1, compute_ratio = 1, kernel_ratio = 1;

  Watts power_idle;
  Watts power_load;          // while it answers one model, see the fact "power.load"
  Watts power_module_limit;  // chip and memory
  Watts power_system_limit;  // the whole of `scope`; the module's limit if there is no other
  double price_usd = 0;      // list; 0: not known
  BytesPerSecond storage_read, storage_write;  // 0: not part of `scope`
  std::vector<Link> links;
  std::string usual_link{};  // of several boxes; empty: no such link is known

  std::optional<BodyFacts> body{};  // none: its heat is not known

  std::vector<Fact> facts;  // everything in the file, in file order
  std::vector<Source> sources;

  FlopsPerSecond peak(MathType type, Hertz clock) const {
    return FlopsPerSecond(n_units * flops_per_clock[static_cast<std::size_t>(type)] *
                          clock.value());
  }
};

// name stands for the path in messages. Throws Error::Invalid (missing or wrong unit, missing kind
// or source, unknown key with the nearest known one), naming "file:line: key". A file that says
// inherits = "ID" takes what it does not state from that entry of `parents`.
Machine parse_machine(std::string_view toml, std::string_view name, const Catalogue* parents = nullptr);

// The machine of a catalogue entry; NAME-xN without a file of its own is N devices of NAME. Throws
// Error::NotFound with the nearest ids, Error::Invalid if NAME has no link "peer" or N is out of
// 2 to 64.
Machine machine_of(const Catalogue& machines, std::string_view id);

// What machine_of() takes an id for: so many devices of one entry, 1 unless it says -xN.
struct Devices {
  std::string id;
  std::int64_t n = 1;
};
Devices devices_of(const Catalogue& machines, std::string_view id);

}  // namespace tinderbox
