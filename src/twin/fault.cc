#include "twin/fault.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kRateMax = 3600;  // an hour
constexpr int kEventsMax = 10'000;
constexpr Duration kUnstatedLength = std::chrono::minutes(10);

// The facts of one machine's [faults], with where they are from.
class Facts {
 public:
  explicit Facts(const Machine& machine) : machine_(machine) {}

  const Fact* find(std::string_view key) const {
    const auto found = std::ranges::find(machine_.facts, key, &Fact::key);
    return found == machine_.facts.end() ? nullptr : &*found;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  double number(std::string_view key) const {
    const Fact* fact = find(key);
    CHECK(fact != nullptr);
    return fact->number;
  }
  std::string sources(std::string_view key) const {
    const Fact* fact = find(key);
    return fact == nullptr ? "" : fact->source;
  }

 private:
  const Machine& machine_;
};

// Slow and lost parts of the module.
void add_power_faults(const Facts& facts, std::vector<Fault>& out) {
  if (facts.has("faults.stuck_clock")) {
    out.push_back(
        {.name = "stuck-low-power",
         .what =
             "the clock stays near 650 MHz under load, 9 to 20 W, about 0.4 of the speed, and no "
             "throttle flag is set",
         .ends = "when AC power is removed for 1 to 10 min",
         .sources = facts.sources("faults.stuck_clock"),
         .handicap = {.clock_max = Hertz(facts.number("faults.stuck_clock"))}});
  }
  if (facts.has("faults.safety_mode_module_power")) {
    out.push_back(
        {.name = "pd-safety-mode",
         .what =
             "USB-C power negotiation failed: module limited to 20 W, system to 30 W, clock near "
             "500 MHz",
         .ends = "by a cold power drain: unplug for minutes",
         .sources = facts.sources("faults.safety_mode_module_power"),
         .handicap = {.module_limit = Watts(facts.number("faults.safety_mode_module_power")),
                      .clock_max = Hertz(facts.number("faults.safety_mode_clock"))}});
  }
  if (facts.has("faults.power_off_low_power")) {
    out.push_back({.name = "power-off",
                   .what = "the box goes off at once, at a sustained GPU power of 75 to 92 W or a "
                           "step from 14 to "
                           "85 W; here: at the time given",
                   .ends = "by the power button; a clock cap of 2000 to 2200 MHz avoids it",
                   .sources = facts.sources("faults.power_off_low_power"),
                   .handicap = {.off = true}});
  }
}

void add_heat_faults(const Facts& facts, std::vector<Fault>& out) {
  if (facts.has("thermal.throttling_box_after_clock")) {
    out.push_back(
        {.name = "thermal-slowdown",
         .what =
             "a box that throttles where others do not: clocks of 2190 to 2379 MHz at 85 to 90 °C",
         .ends = "with cleaning, new paste or a good controller firmware",
         .sources = facts.sources("thermal.throttling_box_after_clock"),
         .handicap = {.clock_max = Hertz(facts.number("thermal.throttling_box_after_clock"))}});
  }
  out.push_back(
      {.name = "fan-failure",
       .what = "no fan turns: the box heats up to its slowdown, then to its critical trip",
       .ends = "with a new fan; a display that blanks can stop it on some boxes",
       .sources = facts.sources("faults.fan_stop_power"),
       .handicap = {.fan = 0}});
  if (facts.has("faults.blocked_intake_share")) {
    out.push_back(
        {.name = "blocked-intake",
         .what = "dust, foam or a wall before the grille: the fans move a third of the air",
         .ends = "when the intake is freed",
         .sources = facts.sources("faults.blocked_intake_share"),
         .handicap = {.intake = facts.number("faults.blocked_intake_share")}});
  }
}

void add_memory_and_link_faults(const Machine& machine, const Facts& facts,
                                std::vector<Fault>& out) {
  if (facts.has("faults.slow_memory_bandwidth")) {
    const double mean = (facts.number("faults.slow_memory_short_time") +
                         facts.number("faults.slow_memory_long_time")) /
                        2;
    out.push_back(
        {.name = "slow-memory",
         .what = "memory reads fall to 66 to 80 GB/s for 7 to 32 s; the GPU draws 14 to 16 W",
         .ends = "by itself",
         .sources = facts.sources("faults.slow_memory_bandwidth"),
         .handicap = {.memory = facts.number("faults.slow_memory_bandwidth") /
                                machine.memory_read_bandwidth.value()},
         .lasts = to_duration(Seconds(mean))});
  }
  out.push_back({.name = "memory-exhaustion",
                 .what = "unified memory is full: the box stops answering, without an OOM kill",
                 .ends = "by a power cycle",
                 .sources = facts.sources("memory.freeze_size"),
                 .handicap = {.frozen = true}});
  for (const auto& [name, link, what] :
       {std::tuple{"hot-plug-nic-cap", "hot-plug-cap",
                   "the network card came up capped: 13 to 14 Gb/s"},
        std::tuple{"single-rail-link", "rail",
                   "one of the two paths between boxes is down or unused"}}) {
    const auto found = std::ranges::find(machine.links, link, &Link::name);
    if (found == machine.links.end()) continue;
    out.push_back({.name = name,
                   .what = what,
                   .ends = "with its cause: cable, port, firmware or settings",
                   .sources = facts.sources(format("links.{}.bandwidth", link)),
                   .link = link});
  }
}

const Fault& named(const std::vector<Fault>& faults, std::string_view name,
                   const Machine& machine) {
  const auto found = std::ranges::find(faults, name, &Fault::name);
  if (found != faults.end()) return *found;
  std::vector<std::string> known;
  for (const Fault& fault : faults) known.push_back(fault.name);
  throw_not_found(known.empty()
                      ? format("fault '{}': {} documents none", name, machine.id)
                      : format("no fault '{}'{}; {} has {}", name, did_you_mean(name, known),
                               machine.id, fmt::join(known, ", ")));
}

Duration time_of(std::string_view text, std::string_view plan, Duration most) {
  const Seconds seconds = parse_seconds(text, format("fault '{}'", plan));
  if (seconds >= Seconds(0) && seconds <= to_seconds(most)) return to_duration(seconds);
  throw_invalid(format("fault '{}': expected times from 0 to the end of the run, {}; got {}", plan,
                       human(to_seconds(most)), text));
}

void draw(const Fault& fault, double rate, Duration total, Random& random,
          std::vector<FaultEvent>& out) {
  const Duration length = fault.lasts > Duration(0) ? fault.lasts : kUnstatedLength;
  const double hours = to_seconds(total).value() / 3600;
  for (double at = 0;;) {
    at += random.exponential(1 / rate);
    if (at >= hours) return;
    const TimePoint begin{to_duration(Seconds(at * 3600))};
    out.push_back({begin, std::min(begin + length, TimePoint(total)), fault});
    at += to_seconds(length).value() / 3600;
  }
}

}  // namespace

std::vector<Fault> faults_of(const Machine& machine) {
  std::vector<Fault> out;
  if (!machine.body) return out;
  const Facts facts(machine);
  add_power_faults(facts, out);
  add_heat_faults(facts, out);
  add_memory_and_link_faults(machine, facts, out);
  return out;
}

std::vector<FaultEvent> plan_faults(const std::vector<std::string>& plans, const Machine& machine,
                                    Duration total, std::uint64_t seed) {
  const std::vector<Fault> faults = faults_of(machine);
  std::vector<FaultEvent> out;
  std::uint32_t stream = 0;
  for (const std::string& plan : plans) {
    Random random(seed, Stream::Faults, stream++);
    const std::size_t mark = plan.find_first_of("@~");
    const Fault& fault = named(faults, std::string_view(plan).substr(0, mark), machine);
    if (mark == std::string::npos) {
      out.push_back({TimePoint{}, TimePoint(total), fault});
      continue;
    }
    const std::string rest = plan.substr(mark + 1);
    if (plan[mark] == '~') {
      const auto rate =
          rest.ends_with("/h") ? parse_double(rest.substr(0, rest.size() - 2)) : std::nullopt;
      if (!rate || !(*rate > 0 && *rate <= kRateMax)) {
        throw_invalid(
            format("fault '{}': expected NAME~RATE/h with a rate above 0 and at most {:g}", plan,
                   kRateMax));
      }
      if (*rate * to_seconds(total).value() / 3600 > kEventsMax) {
        throw_invalid(format("fault '{}': more than {} times within {}; choose a lower rate", plan, kEventsMax,
                             human(to_seconds(total))));
      }
      draw(fault, *rate, total, random, out);
      continue;
    }
    const std::size_t plus = rest.find('+');
    const TimePoint begin(time_of(rest.substr(0, plus), plan, total));
    const Duration length = plus != std::string::npos ? time_of(rest.substr(plus + 1), plan, total)
                            : fault.lasts > Duration(0) ? fault.lasts
                                                        : total;
    out.push_back({begin, std::min(begin + length, TimePoint(total)), fault});
  }
  std::ranges::stable_sort(out, {}, &FaultEvent::begin);
  return out;
}

Handicap handicap_at(const std::vector<FaultEvent>& events, TimePoint now) {
  Handicap out;
  for (const FaultEvent& event : events) {
    if (now < event.begin || now >= event.end) continue;
    const Handicap& h = event.fault.handicap;
    if (h.module_limit)
      out.module_limit = std::min(out.module_limit.value_or(*h.module_limit), *h.module_limit);
    if (h.clock_max) out.clock_max = std::min(out.clock_max.value_or(*h.clock_max), *h.clock_max);
    out.fan *= h.fan;
    out.intake *= h.intake;
    out.memory *= h.memory;
    out.frozen = out.frozen || h.frozen;
    out.off = out.off || h.off;
  }
  return out;
}

std::string link_at(const std::vector<FaultEvent>& events, TimePoint now) {
  std::string link;
  for (const FaultEvent& event : events) {
    if (!event.fault.link.empty() && now >= event.begin && now < event.end) link = event.fault.link;
  }
  return link;
}

TimePoint next_change(const std::vector<FaultEvent>& events, TimePoint now) {
  TimePoint next = TimePoint::max();
  for (const FaultEvent& event : events) {
    for (const TimePoint at : {event.begin, event.end}) {
      if (at > now) next = std::min(next, at);
    }
  }
  return next;
}

}  // namespace tinderbox
