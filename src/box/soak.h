// A box under a load for minutes to days of virtual time: what it draws, how warm it gets, what it
// then sustains.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "box/time_chart.h"
#include "twin/fault.h"
#include "twin/load.h"
#include "twin/sensors.h"

namespace tinderbox {

// A load for some time; a log's watts instead of a load where smi is set.
struct SoakPhase {
  Duration lasts{};
  Load load{};
  std::optional<Watts> smi{};  // nvidia-smi's
};

struct SoakOptions {
  Surroundings surroundings{};
  std::optional<Hertz> clock_cap{};
  Duration every{std::chrono::seconds(10)};  // between samples
  std::vector<FaultEvent> faults{};
  // Boxes on top of each other, or one behind the other in a rack: each takes in some of the air
  // that the one before gives off. The last is reported.
  int stack_height = 1;
};

struct SoakSample {
  TimePoint time{};
  Sensors sensors;
  Rails rails{};
  std::vector<Celsius> nodes;  // as the body's facts name them
  Celsius inlet, air;          // in and out
  double speed = 0;            // over that at the load's own clock
  ClockLimit limit{};
};

struct SoakEvent {
  TimePoint time{};
  std::string what;  // "clock limited by power", "fault slow-memory begins", "trip: off"
};

struct SoakReport {
  std::vector<SoakSample> samples;  // the first before any load, then one every so often
  std::vector<SoakEvent> events;
  Duration total{};
  double joules = 0;  // DC
  double wall_joules = 0;
  double work = 0;                             // s of work at the load's own clock
  std::array<double, kClockLimits> limited{};  // s
  bool tripped = false;
  Celsius gpu_max, zone_max;
};

// Makes a report out of looks at a body as its time goes on.
class SoakRecorder {
 public:
  // Throws Error::Invalid if a sample every so long makes too many of them in `whole`, or there is no time at all.
  SoakRecorder(Duration every, Duration whole);
  void begin(const Body& body);  // at rest
  // true: a sample was due, and taken.
  bool see(const Body& body);
  void tell(SoakEvent event) { report_.events.push_back(std::move(event)); }
  TimePoint next_sample() const { return next_sample_; }
  SoakReport finish(const Body& body);

 private:
  Duration every_;
  SoakReport report_;
  TimePoint next_sample_{};
  ClockLimit limit_ = ClockLimit::Idle;
  std::array<TimePoint, kClockLimits> told_{};
};

// Called with the share done.
using SoakProgress = std::function<void(double)>;

// Begins with a box at rest. Throws Error::Invalid for surroundings, a cap or a number of boxes
// that are none, or no time at all.
SoakReport soak(const BodyFacts& body, const std::vector<SoakPhase>& phases,
                const SoakOptions& options, const SoakProgress& progress = {});

// Once everything has settled: what `predict --sustained` shows.
struct Sustained {
  Sensors sensors;
  ClockLimit limit{};
  bool tripped = false;
  double prefill_speed = 1,
         decode_speed = 1;  // over those of a box at the clocks of its machine file
  Watts prefill_smi{}, decode_smi{};
  Watts prefill_dc{}, decode_dc{}, prefill_wall{}, decode_wall{};
};
Sustained sustained(const BodyFacts& body, const PhaseLoads& phases,
                    const Surroundings& surroundings, std::optional<Hertz> clock_cap = {});

TimeChart soak_chart(const BodyFacts& body, const SoakReport& report, const std::string& title,
                     const std::string& subtitle);
std::string soak_csv(const BodyFacts& body, const SoakReport& report);

}  // namespace tinderbox
