// What a machine file says of the body of a box ([body.*]): where its watts arise, how its clock
// follows voltage, temperature and limits, how its heat leaves. twin/power.h, twin/governor.h and
// twin/thermal.h have the formulas that the numbers stand in.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"

namespace tinderbox {

class SourcedFile;

// Arithmetic a matrix unit runs at: decides which peak applies.
enum class MathType : std::uint8_t { F32, TF32, F16, FP8, FP4, INT8 };  // F16 stands for bf16 too
inline constexpr int kMathTypes = 6;
std::string_view math_type_name(MathType type);

// Where watts are measured. The first four and Soc are the module (PL1).
enum class Rail : std::uint8_t { Gpu, CpuP, CpuE, Memory, Soc, Network, Drive, Board };
inline constexpr int kRails = 8;
std::string_view rail_name(Rail rail);  // "cpu_p"
constexpr std::size_t index_of(Rail rail) { return static_cast<std::size_t>(rail); }

// y over x: straight between points, constant beyond the ends. Points in order of x.
struct PointCurve {
  std::vector<std::pair<double, double>> points{};
  double at(double x) const;  // requires a point
};

// A part with one temperature.
struct HeatNode {
  std::string name;
  double capacity = 0;          // J/K
  double air_conductance = 0;   // W/K to the air stream at full fan speed, sea level
  double room_conductance = 0;  // W/K to the room, through the chassis
};

struct HeatPath {
  int a = 0, b = 0;        // nodes
  double conductance = 0;  // W/K
};

// A sensor that reads a node and the rise above it of a spot that no node stands for.
struct HeatZone {
  std::string name;
  int node = 0;
  double resistance = 0;  // K per W of the GPU's rail
};

struct BodyFacts {
  // Heat.
  std::vector<HeatNode> nodes;  // without the air
  std::vector<HeatPath> paths;
  std::vector<HeatZone> zones;                   // "zone0" ... in the order of the kernel
  std::array<int, kRails> heats{};               // node that each rail heats
  int gpu = 0, cpu = 0, drive = 0, network = 0;  // nodes that have sensors of their own
  double full_flow = 0;                          // m3/s of air at full fan speed
  double draft_share = 0;                        // of it, that moves when no fan turns
  double stacked_share = 0;       // of the warmth of its air, that a box on top takes in
  PointCurve fan;                 // share of full speed over the hottest zone, °C
  Seconds fan_lag, fan_slowing_lag;  // of the controller's filter where it gets warmer, and cooler
  Seconds fan_interval;              // of its clock
  Celsius gpu_slowdown, zone_slowdown, zone_critical;
  Kelvins slowdown_difference;  // below the slowdown's temperature before the clock rises again

  // Power. Energies at the voltage of the highest clock of `voltage`.
  std::array<Watts, kRails> idle{};
  Watts awake;    // GPU, more while a program holds it
  Watts leakage;  // GPU, at `leakage_temperature`, in `idle`
  Celsius leakage_temperature;
  Kelvins leakage_difference;  // that multiplies it by e
  Joules cycle;                // GPU: of one clock while it works
  std::array<Joules, kMathTypes> flop{};
  Joules gpu_byte, memory_byte, soc_byte;  // for each byte read or written
  Joules link_byte, drive_byte;
  Watts link_up;                 // network, while a link is up
  Watts cpu_p_full, cpu_e_full;  // all cores of a kind busy
  double host_share = 0;         // of the P cores, while the GPU serves
  double board_share = 0;        // of what the module draws, lost in regulators
  double adapter_share = 0;      // of the wall's watts that arrive
  double smi_ratio = 1;          // GPU's rail above idle over what nvidia-smi shows of it
  // Nine of ten means that nvidia-smi showed lie between these times what is predicted, of models
  // that the fit has not seen.
  double smi_low = 1, smi_high = 1;
  // Of a log that has only nvidia-smi's watts: below smi_waits the GPU waits; from smi_works to
  // smi_decodes memory binds it, and working_bytes are what it reads and writes a second; at
  // smi_computes arithmetic does.
  Watts smi_waits, smi_works, smi_decodes, smi_computes;
  BytesPerSecond working_bytes, computing_bytes;
  Celsius room_prior;   // of a log that does not state its room
  Kelvins room_spread;  // standard deviation
  Seconds loop;         // of the power limit
  Watts module_limit;

  // Clocks.
  PointCurve voltage;  // relative, over Hz
  PointCurve boost;    // highest clock, Hz, over the GPU's temperature, °C
  Hertz clock_step, clock_idle, clock_awake, clock_min;
};

// Reads and checks [body.*], and what it needs of [power], [thermal] and [gpu]. Throws
// Error::Invalid naming "file:line: key": a missing key, an unknown node, a curve that is not
// monotone.
BodyFacts read_body(SourcedFile& file);

}  // namespace tinderbox
