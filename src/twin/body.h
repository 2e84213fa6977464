// A box that draws power and gets warm: power (twin/power.h), clocks and heat (twin/thermal.h) tied
// together. Time passes in ticks of the power limit's loop. At each tick the clock is set to the
// highest that every limit allows (boost at this temperature, the user's cap, module power, heat);
// at every so many ticks the fan follows the hottest zone. Between ticks watts, clock and flow are
// constant, so that the heat is exact and it does not matter in which portions time is asked for.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "twin/power.h"
#include "twin/thermal.h"

namespace tinderbox {

// What holds the clock where it is.
enum class ClockLimit : std::uint8_t { None, Idle, UserCap, Power, Heat, Fault, Off };
inline constexpr int kClockLimits = 7;
std::string_view clock_limit_name(ClockLimit limit);  // "power"

struct Surroundings {
  Celsius room{25};
  double altitude = 0;  // m
};
// Throws Error::Invalid outside -40 to 60 °C and -500 to 9000 m, or if not finite.
void check_surroundings(const Surroundings& surroundings);

// What is wrong with a box (twin/fault.h); the healthy one as it stands.
struct Handicap {
  std::optional<Watts> module_limit{};
  std::optional<Hertz> clock_max{};
  double fan = 1;       // of what the controller asks for; 0: no fan turns
  double intake = 1;    // of the air that the fans would move
  double memory = 1;    // of the bandwidth
  bool frozen = false;  // answers nothing, until it is off and on again
  bool off = false;     // no power
};

struct BodyState {
  TimePoint time{};
  Hertz clock;       // of the GPU
  double speed = 1;  // work done a second over that at the load's own clock
  double fan = 0;    // share of full speed that the controller asks for
  ClockLimit limit = ClockLimit::Idle;
  bool tripped = false;  // a zone reached its critical temperature: off
  Rails rails{};
  NodeValues rise{};  // K above the room
  // Drawn behind the adapter; given to the room; held at the begin, against the room as it is now.
  // What it holds is always held + in - out.
  double joules_in = 0, joules_out = 0, joules_held = 0;
  std::array<double, kRails> rail_joules{};    // drawn at each rail; in all joules_in
  double smi_joules = 0;                       // of what nvidia-smi shows
  double work = 0;                             // integral of speed over time, s
  std::array<double, kClockLimits> limited{};  // s spent under each limit
};

class Body {
 public:
  // Idle for so long that nothing changes any more. clock_cap: as `nvidia-smi -lgc` asks for it; it
  // snaps down to a step. Throws Error::Invalid for surroundings or a cap that are none.
  explicit Body(const BodyFacts& facts, const Surroundings& surroundings = {},
                std::optional<Hertz> clock_cap = {});

  void set_load(const Load& load);
  // Of the GPU, known from a log instead: the clock then takes no part, and the other rails run as
  // they do under a load that draws as much.
  void set_logged(Watts smi, bool link_up = false);
  void set_handicap(const Handicap& handicap);
  void set_room(Celsius room);
  // The temperature that a log begins with: moves GPU and its spreader there, and what cools them
  // as far as it would be if this load had lasted.
  void begin_at(Celsius gpu);

  void advance(Duration duration);  // requires duration >= 0

  const BodyFacts& facts() const { return facts_; }
  const Load& load() const { return load_; }
  const BodyState& state() const { return state_; }
  const Surroundings& surroundings() const { return surroundings_; }
  const ThermalNetwork& network() const { return network_; }
  Celsius temperature(int node) const;
  double fan() const;   // share of full speed that turns
  Celsius air() const;  // that leaves
  Celsius zone(std::size_t i) const;
  Celsius hottest_zone() const;
  double joules_stored() const;  // above the room's temperature

 private:
  void tick();
  Duration run(Duration most);
  bool too_hot() const;
  void choose_clock();
  void turn_fan();
  void refresh();  // rails and speed at this clock
  Rails rails_at(Hertz clock) const;
  bool within_limit(Hertz clock) const;
  double flow() const;
  void settle();

  BodyFacts facts_;
  Surroundings surroundings_;
  ThermalNetwork network_;
  Load load_{};
  std::optional<Watts> logged_rail_{};
  Handicap handicap_{};
  double air_density_ = 1;  // over that of 25 °C at sea level
  std::optional<Hertz> clock_cap_;
  Hertz heat_cap_;       // lowered while too hot
  double fan_zone_ = 0;  // °C, as the controller's filter sees it
  Duration tick_{}, into_tick_{};
  std::int64_t n_ticks_ = 0, ticks_per_fan_ = 1;
  BodyState state_;
};

}  // namespace tinderbox
