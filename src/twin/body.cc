#include "twin/body.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kScaleHeight = 8434;  // m: pressure falls by e
constexpr double kKelvinAtZero = 273.15, kReferenceRoom = 25;
constexpr double kFanSteps = 100;  // speeds that a controller tells apart
constexpr int kSettleRounds = 200;

Hertz snapped(Hertz clock, Hertz step) {
  return step * std::max(1.0, std::floor(clock / step * (1 + 1e-12)));
}

}  // namespace

std::string_view clock_limit_name(ClockLimit limit) {
  static constexpr std::array<std::string_view, kClockLimits> kNames = {
      "none", "idle", "user-cap", "power", "heat", "fault", "off"};
  return kNames[static_cast<std::size_t>(limit)];
}

void check_surroundings(const Surroundings& s) {
  if (!(s.room >= Celsius(-40) && s.room <= Celsius(60))) {
    throw_invalid(format("ambient: expected -40 to 60 °C; got {:g} °C", s.room.degrees()));
  }
  if (!(s.altitude >= -500 && s.altitude <= 9000)) {
    throw_invalid(format("altitude: expected -500 to 9000 m; got {:g} m", s.altitude));
  }
}

Body::Body(const BodyFacts& facts, const Surroundings& surroundings, std::optional<Hertz> clock_cap)
    : facts_(facts), surroundings_(surroundings), network_(facts), clock_cap_(clock_cap) {
  check_surroundings(surroundings);
  if (clock_cap_) {
    if (!(*clock_cap_ >= facts_.clock_min)) {
      throw_invalid(format("clock cap: expected at least {:g} MHz; got {:g} MHz",
                           facts_.clock_min.value() * 1e-6, clock_cap_->value() * 1e-6));
    }
    clock_cap_ = snapped(*clock_cap_, facts_.clock_step);
  }
  tick_ = to_duration(facts_.loop);
  ticks_per_fan_ = std::max<std::int64_t>(1, std::llround(facts_.fan_interval / facts_.loop));
  heat_cap_ = Hertz(facts_.boost.points.front().second);
  set_room(surroundings.room);
  settle();
}

void Body::set_load(const Load& load) {
  load_ = load;
  logged_rail_.reset();
  choose_clock();
  refresh();
}

void Body::set_logged(Watts smi, bool link_up) {
  CHECK(smi >= Watts(0));
  load_ = load_of_smi(facts_, smi);
  load_.link_up = link_up;
  logged_rail_ = rail_of_smi(facts_, smi);
  refresh();
}

void Body::set_handicap(const Handicap& handicap) {
  if (handicap_.off && !handicap.off) state_.tripped = false;  // somebody turned it on again
  handicap_ = handicap;
  choose_clock();
  refresh();
}

void Body::set_room(Celsius room) {
  const double change = (room - surroundings_.room).value();
  surroundings_.room = room;
  check_surroundings(surroundings_);
  for (std::size_t i = 0; i < network_.size(); ++i) {
    state_.rise[i] -= change;
    state_.joules_held -= change * network_.capacity(i);
  }
  air_density_ = std::exp(-surroundings_.altitude / kScaleHeight) *
                 (kKelvinAtZero + kReferenceRoom) / (kKelvinAtZero + room.degrees());
}

void Body::begin_at(Celsius gpu) {
  const auto die = static_cast<std::size_t>(facts_.gpu);
  state_.fan = facts_.fan.at(gpu.degrees());
  // The die's rise above what carries its heat away settles in a second; the rest is as warm as
  // makes up the difference: the steady rises of this load, all scaled alike.
  for (int round = 0; round < 2; ++round) {
    NodeValues watts{};
    for (std::size_t r = 0; r < kRails; ++r) {
      watts[static_cast<std::size_t>(facts_.heats[r])] += state_.rails[r].value();
    }
    const NodeValues steady = network_.steady(flow(), watts);
    const double scale = (gpu - surroundings_.room).value() / steady[die];
    for (std::size_t i = 0; i < network_.size(); ++i)
      state_.rise[i] = std::max(0.0, steady[i] * scale);
    fan_zone_ = hottest_zone().degrees();
    state_.fan = std::round(kFanSteps * facts_.fan.at(fan_zone_)) / kFanSteps;
    refresh();
  }
  state_.joules_held = joules_stored() - state_.joules_in + state_.joules_out;
}

Celsius Body::temperature(int node) const {
  return surroundings_.room + Kelvins(state_.rise[static_cast<std::size_t>(node)]);
}
Celsius Body::air() const { return surroundings_.room + Kelvins(state_.rise[network_.air()]); }
Celsius Body::zone(std::size_t i) const {
  const HeatZone& zone = facts_.zones.at(i);
  return temperature(zone.node) +
         Kelvins(zone.resistance * state_.rails[index_of(Rail::Gpu)].value());
}
Celsius Body::hottest_zone() const {
  Celsius hottest = zone(0);
  for (std::size_t i = 1; i < facts_.zones.size(); ++i) hottest = std::max(hottest, zone(i));
  return hottest;
}
double Body::joules_stored() const {
  double sum = 0;
  for (std::size_t i = 0; i < network_.size(); ++i) sum += network_.capacity(i) * state_.rise[i];
  return sum;
}

double Body::fan() const {
  return state_.tripped || handicap_.off ? 0 : state_.fan * handicap_.fan;
}

double Body::flow() const {
  return std::max(facts_.draft_share, fan() * handicap_.intake) * air_density_;
}

Rails Body::rails_at(Hertz clock) const {
  if (handicap_.off || state_.tripped) return {};
  if (handicap_.frozen)
    return tinderbox::rails(facts_, {.awake = true}, facts_.clock_awake, 0,
                            temperature(facts_.gpu));
  Rails out = tinderbox::rails(facts_, load_, clock, speed_ratio(load_, clock, handicap_.memory),
                               temperature(facts_.gpu));
  if (logged_rail_) {
    const Watts change = *logged_rail_ - out[index_of(Rail::Gpu)];
    out[index_of(Rail::Gpu)] = *logged_rail_;
    out[index_of(Rail::Board)] += change * facts_.board_share;
  }
  return out;
}

void Body::refresh() {
  state_.rails = rails_at(state_.clock);
  const bool stands = handicap_.off || handicap_.frozen || state_.tripped;
  state_.speed = stands ? 0 : speed_ratio(load_, state_.clock, handicap_.memory);
}

bool Body::within_limit(Hertz clock) const {
  return module_power(rails_at(clock)) <= handicap_.module_limit.value_or(facts_.module_limit);
}

void Body::choose_clock() {
  if (handicap_.off || state_.tripped) {
    state_.limit = ClockLimit::Off;
    state_.clock = facts_.clock_idle;
    return;
  }
  if (handicap_.frozen) {
    state_.limit = ClockLimit::Fault;
    state_.clock = facts_.clock_awake;
    return;
  }
  if (load_.gpu_busy <= 0) {
    state_.limit = ClockLimit::Idle;
    state_.clock = load_.awake ? facts_.clock_awake : facts_.clock_idle;
    return;
  }
  Hertz highest(facts_.boost.at(temperature(facts_.gpu).degrees()));
  state_.limit = ClockLimit::None;
  const auto limit_to = [&](Hertz clock, ClockLimit limit) {
    if (clock >= highest) return;
    highest = clock;
    state_.limit = limit;
  };
  if (clock_cap_) limit_to(*clock_cap_, ClockLimit::UserCap);
  if (handicap_.clock_max) limit_to(*handicap_.clock_max, ClockLimit::Fault);
  limit_to(heat_cap_, ClockLimit::Heat);
  const Hertz step = facts_.clock_step;
  highest = snapped(highest, step);
  if (logged_rail_ || within_limit(highest)) {
    state_.clock = highest;
    return;
  }
  // The largest number of steps that fits, beginning where the clock was.
  state_.limit = handicap_.module_limit ? ClockLimit::Fault : ClockLimit::Power;
  auto low = static_cast<std::int64_t>(facts_.clock_min / step);
  auto high = static_cast<std::int64_t>(highest / step + 0.5);  // too much
  const auto was = std::clamp(static_cast<std::int64_t>(state_.clock / step + 0.5), low, high - 1);
  if (within_limit(step * static_cast<double>(was))) {
    low = was;
    if (was + 1 < high && !within_limit(step * static_cast<double>(was + 1))) high = was + 1;
  } else {
    high = std::max(was, low + 1);
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (within_limit(step * static_cast<double>(middle)) ? low : high) = middle;
  }
  state_.clock = step * static_cast<double>(low);
}

void Body::turn_fan() {
  const double warmer = hottest_zone().degrees() - fan_zone_;
  const Seconds lag = warmer > 0 ? facts_.fan_lag : facts_.fan_slowing_lag;
  fan_zone_ -= warmer * std::expm1(-(facts_.fan_interval / lag));
  state_.fan = std::round(kFanSteps * facts_.fan.at(fan_zone_)) / kFanSteps;
}

void Body::tick() {
  const Celsius gpu = temperature(facts_.gpu), zone = hottest_zone();
  const Hertz top(facts_.boost.points.front().second);
  if (gpu >= facts_.gpu_slowdown || zone >= facts_.zone_slowdown) {
    const Hertz from = std::min(heat_cap_, state_.clock);
    heat_cap_ = std::max(facts_.clock_min, from - facts_.clock_step);
  } else if (heat_cap_ < top && gpu < facts_.gpu_slowdown - facts_.slowdown_difference &&
             zone < facts_.zone_slowdown - facts_.slowdown_difference) {
    heat_cap_ = std::min(top, heat_cap_ + facts_.clock_step);
  }
  choose_clock();
  if (n_ticks_ % ticks_per_fan_ == 0) turn_fan();
  refresh();
  ++n_ticks_;
}

bool Body::too_hot() const {
  const double most = (facts_.zone_critical - surroundings_.room).value();
  return hottest_zone() >= facts_.zone_critical || *std::ranges::max_element(state_.rise) >= most;
}

// With watts, clock and flow as they are; at most until a zone or a part is too hot. Returns the
// time that passed.
Duration Body::run(Duration most) {
  NodeValues watts{};
  double drawn = 0;
  for (std::size_t r = 0; r < kRails; ++r) {
    watts[static_cast<std::size_t>(facts_.heats[r])] += state_.rails[r].value();
    drawn += state_.rails[r].value();
  }
  const NodeValues begin = state_.rise;
  double left = network_.advance(flow(), state_.rise, watts, to_seconds(most).value());
  if (!state_.tripped && too_hot()) {
    // The last nanosecond before.
    Duration low{0}, high = most;
    while (high - low > Duration(1)) {
      const Duration middle = low + (high - low) / 2;
      state_.rise = begin;
      network_.advance(flow(), state_.rise, watts, to_seconds(middle).value());
      (too_hot() ? high : low) = middle;
    }
    state_.rise = begin;
    most = low;
    left = network_.advance(flow(), state_.rise, watts, to_seconds(most).value());
    state_.tripped = true;
  }
  const double seconds = to_seconds(most).value();
  state_.joules_in += drawn * seconds;
  for (std::size_t r = 0; r < kRails; ++r) state_.rail_joules[r] += state_.rails[r].value() * seconds;
  state_.smi_joules += smi_power(facts_, state_.rails[index_of(Rail::Gpu)]).value() * seconds;
  state_.joules_out += left;
  state_.work += state_.speed * seconds;
  state_.limited[static_cast<std::size_t>(state_.limit)] += seconds;
  if (state_.tripped && state_.limit != ClockLimit::Off) {
    choose_clock();
    refresh();
  }
  return most;
}

void Body::advance(Duration duration) {
  CHECK(duration >= Duration(0));
  while (duration > Duration(0)) {
    if (into_tick_ == Duration(0)) tick();
    const Duration step = run(std::min(duration, tick_ - into_tick_));
    state_.time += step;
    duration -= step;
    into_tick_ += step;
    if (into_tick_ == tick_) into_tick_ = Duration(0);
  }
}

void Body::settle() {
  choose_clock();
  for (int round = 0; round < kSettleRounds; ++round) {
    refresh();
    NodeValues watts{};
    for (std::size_t r = 0; r < kRails; ++r) {
      watts[static_cast<std::size_t>(facts_.heats[r])] += state_.rails[r].value();
    }
    fan_zone_ = hottest_zone().degrees();
    state_.fan = std::round(kFanSteps * facts_.fan.at(fan_zone_)) / kFanSteps;
    state_.rise = network_.steady(flow(), watts);
  }
  refresh();
  state_.joules_held = joules_stored();
}

}  // namespace tinderbox
