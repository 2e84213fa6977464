// What a load draws. Of a GPU at clock f with voltage v(f), relative to that of the highest clock:
//
//   idle + awake + leakage (exp((T - T0) / dT) - 1)
//        + v² (busy f cycle + sum of flops * flop) + bytes * gpu_byte
//
// memory, the rest of the module and the network pay for bytes; CPU clusters for the share of their
// cores that work; the board loses a share of what the module draws in its regulators. What
// nvidia-smi shows is a quantity of its own: right at idle, too low under load.
#pragma once

#include <array>

#include "base/units.h"
#include "machine/body_facts.h"

namespace tinderbox {

// What runs, in units a second of wall time, as long as the clock is `clock` and nothing slows it.
struct Load {
  Hertz clock{};                           // of the GPU, that the rates hold at; 0: no GPU work
  std::array<double, kMathTypes> flops{};  // a second
  double memory_bytes = 0;                 // read and written, a second
  double link_bytes = 0, drive_bytes = 0;  // a second
  double gpu_busy = 0;                     // share of the time that the GPU works
  double compute_share = 0;                // of the time that grows as the clock falls
  double memory_share = 0;                 // of the time that grows as memory slows
  double cpu_p_busy = 0, cpu_e_busy = 0;   // share of the cores of a kind
  bool awake = false;                      // a program holds the GPU
  bool link_up = false;
};

// Work done in a second over that at the load's own clock: 1 / (1 - c - m + c f0/f + m / memory).
// memory: bandwidth over the healthy one. 0 if the GPU stands still. Requires clock > 0, memory >
// 0.
double speed_ratio(const Load& load, Hertz clock, double memory = 1);

// The load that usually draws what nvidia-smi shows: between the readings of a GPU that waits and
// of one that works (`smi_waits`, `smi_works`) host and memory set in, in proportion; between those
// of one that memory binds and one that arithmetic does (`smi_decodes`, `smi_computes`) it needs
// memory less and less.
Load load_of_smi(const BodyFacts& body, Watts smi);

using Rails = std::array<Watts, kRails>;

// Of a load that runs at `speed` (speed_ratio) of its own rates.
Rails rails(const BodyFacts& body, const Load& load, Hertz clock, double speed, Celsius gpu);

Watts module_power(const Rails& rails);  // what PL1 limits
Watts dc_power(const Rails& rails);      // all of them
Watts wall_power(const BodyFacts& body, const Rails& rails);
Watts smi_power(const BodyFacts& body, Watts gpu_rail);  // as nvidia-smi shows it
Watts rail_of_smi(const BodyFacts& body, Watts smi);     // the other way round

}  // namespace tinderbox
