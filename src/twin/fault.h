// What goes wrong with a box in the field, as its documented signature: what each fault takes from
// a healthy body, how long, and what ends it. The numbers are those of the machine file's [faults].
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "machine/machine.h"
#include "twin/body.h"

namespace tinderbox {

struct Fault {
  std::string name;     // "slow-memory"
  std::string what;     // what an owner sees
  std::string ends;     // what clears it
  std::string sources;  // keys of the machine's sources
  Handicap handicap{};
  Duration lasts{};    // usual; 0: until somebody clears it
  std::string link{};  // the state of the link between boxes that it is (--link); empty: none
};

// Those that the machine's file documents; none if it has no body.
std::vector<Fault> faults_of(const Machine& machine);

// One fault at a time, or again and again at random.
struct FaultEvent {
  TimePoint begin{}, end{};
  Fault fault{};
};

// Each of `plans` is NAME (from the beginning), NAME@TIME ("fan-failure@10min"),
// NAME@TIME+DURATION, or NAME~RATE/h (at random times, drawn from the seed, each as long as the
// fault usually lasts or 10 min). Sorted by begin; ends are at most `total`. Throws Error::NotFound
// for an unknown fault with the nearest name, Error::Invalid for a plan that is none.
std::vector<FaultEvent> plan_faults(const std::vector<std::string>& plans, const Machine& machine,
                                    Duration total, std::uint64_t seed);

// All that is wrong at a time: the lowest limits, shares multiplied.
Handicap handicap_at(const std::vector<FaultEvent>& events, TimePoint now);
// The faulty link between boxes at a time; empty: the healthy one. The last to begin counts.
std::string link_at(const std::vector<FaultEvent>& events, TimePoint now);
// The next time after now at which something begins or ends; TimePoint::max() if nothing does.
TimePoint next_change(const std::vector<FaultEvent>& events, TimePoint now);

}  // namespace tinderbox
