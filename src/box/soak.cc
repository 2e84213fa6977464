#include "box/soak.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr int kStackMax = 16;
constexpr std::size_t kSamplesMax = 10'000'000;
// A limit that comes and goes is told once in so long.
constexpr Duration kQuiet = std::chrono::minutes(5);
constexpr Duration kWatch = std::chrono::seconds(1);
constexpr Seconds kWatchSeconds(1);
// The case, the slowest part, has a time constant of about ten minutes.
constexpr Duration kSettled = std::chrono::hours(2);

SoakSample sample_of(const Body& body) {
  SoakSample out{.time = body.state().time,
                 .sensors = read_sensors(body),
                 .rails = body.state().rails,
                 .nodes = {},
                 .inlet = body.surroundings().room,
                 .air = body.air(),
                 .speed = body.state().speed,
                 .limit = body.state().limit};
  for (std::size_t i = 0; i < body.facts().nodes.size(); ++i)
    out.nodes.push_back(body.temperature(static_cast<int>(i)));
  return out;
}

// Boxes that warm each other's air.
class Tower {
 public:
  Tower(const BodyFacts& facts, const SoakOptions& options) : room_(options.surroundings.room) {
    if (options.stack_height < 1 || options.stack_height > kStackMax) {
      throw_invalid(
          format("stack height: expected 1 to {} boxes; got {}", kStackMax, options.stack_height));
    }
    boxes_.assign(static_cast<std::size_t>(options.stack_height),
                  Body(facts, options.surroundings, options.clock_cap));
  }
  Body& last() { return boxes_.back(); }
  template <typename F>
  void each(F&& f) {
    for (Body& box : boxes_) f(box);
  }
  void advance(Duration time) {
    for (Body& box : boxes_) box.advance(time);
    for (std::size_t i = 1; i < boxes_.size(); ++i) {
      const Kelvins rise = boxes_[i - 1].air() - room_;
      boxes_[i].set_room(room_ + rise * boxes_[i].facts().stacked_share);
    }
  }

 private:
  Celsius room_;
  std::vector<Body> boxes_;
};

class Run {
 public:
  Run(const BodyFacts& facts, const SoakOptions& options, Duration whole)
      : options_(options), whole_(whole), boxes_(facts, options), recorder_(options.every, whole) {
    recorder_.begin(boxes_.last());
  }

  void phase(const SoakPhase& phase, const SoakProgress& progress) {
    boxes_.each([&](Body& box) {
      if (phase.smi) {
        box.set_logged(*phase.smi, phase.load.link_up);
      } else {
        box.set_load(phase.load);
      }
    });
    const TimePoint end = now_ + phase.lasts;
    while (now_ < end) {
      apply_faults();
      const TimePoint next =
          std::min({end, now_ + kWatch, recorder_.next_sample(), next_change(options_.faults, now_)});
      boxes_.advance(next - now_);
      now_ = next;
      if (recorder_.see(boxes_.last()) && progress) progress(to_seconds(now_ - TimePoint{}) / to_seconds(whole_));
    }
  }

  SoakReport finish() { return recorder_.finish(boxes_.last()); }

 private:
  void apply_faults() {
    const Handicap handicap = handicap_at(options_.faults, now_);
    boxes_.each([&](Body& box) { box.set_handicap(handicap); });
    for (const FaultEvent& event : options_.faults) {
      if (event.begin == now_)
        recorder_.tell({now_, format("fault {} begins", event.fault.name)});
      if (event.end == now_)
        recorder_.tell({now_, format("fault {} ends", event.fault.name)});
    }
  }

  const SoakOptions& options_;
  Duration whole_;
  Tower boxes_;
  SoakRecorder recorder_;
  TimePoint now_{};
};

}  // namespace

SoakRecorder::SoakRecorder(Duration every, Duration whole) : every_(every), next_sample_(every) {
  if (whole <= Duration(0)) throw_invalid("soak: expected more than no time at all");
  if (every <= Duration(0) || static_cast<std::size_t>(whole / every) > kSamplesMax) {
    throw_invalid(format("soak: expected a time between samples that gives at most {} of them", kSamplesMax));
  }
}

void SoakRecorder::begin(const Body& body) {
  report_.samples.push_back(sample_of(body));
  report_.gpu_max = report_.samples.back().sensors.gpu_temperature;
  report_.zone_max = body.hottest_zone();
}

bool SoakRecorder::see(const Body& body) {
  const TimePoint now = body.state().time;
  report_.gpu_max = std::max(report_.gpu_max, body.temperature(body.facts().gpu));
  report_.zone_max = std::max(report_.zone_max, body.hottest_zone());
  if (body.state().limit != limit_) {
    limit_ = body.state().limit;
    TimePoint& told = told_[static_cast<std::size_t>(limit_)];
    const bool holds = limit_ != ClockLimit::None && limit_ != ClockLimit::Idle;
    if (holds && (told == TimePoint{} || now - told >= kQuiet)) {
      told = now;
      report_.events.push_back({now, body.state().tripped ? "critical temperature: the box goes off"
                                                          : format("clock limited by: {}", clock_limit_name(limit_))});
    }
  }
  if (now < next_sample_) return false;
  report_.samples.push_back(sample_of(body));
  while (next_sample_ <= now) next_sample_ += every_;
  return true;
}

SoakReport SoakRecorder::finish(const Body& body) {
  const BodyState& state = body.state();
  report_.total = state.time - TimePoint{};
  report_.joules = state.joules_in;
  report_.wall_joules = report_.joules / body.facts().adapter_share;
  report_.work = state.work;
  report_.limited = state.limited;
  report_.tripped = state.tripped;
  std::ranges::stable_sort(report_.events, {}, &SoakEvent::time);
  return std::move(report_);
}

SoakReport soak(const BodyFacts& body, const std::vector<SoakPhase>& phases,
                const SoakOptions& options, const SoakProgress& progress) {
  Duration whole{};
  for (const SoakPhase& phase : phases) {
    CHECK(phase.lasts >= Duration(0));
    whole += phase.lasts;
  }
  Run run(body, options, whole);
  for (const SoakPhase& phase : phases) run.phase(phase, progress);
  return run.finish();
}

Sustained sustained(const BodyFacts& facts, const PhaseLoads& phases,
                    const Surroundings& surroundings, std::optional<Hertz> clock_cap) {
  // The end of a long time needs no ticks of a tenth of a second.
  BodyFacts coarse = facts;
  coarse.loop = coarse.fan_interval = kWatchSeconds;
  Body body(coarse, surroundings, clock_cap);
  body.set_load(mixed(phases));
  body.advance(kSettled);
  Sustained out{
      .sensors = read_sensors(body), .limit = body.state().limit, .tripped = body.state().tripped};
  const auto measure = [&](const Load& load, double share, double& speed, Watts& smi, Watts& dc,
                           Watts& wall) {
    if (share <= 0) return;
    body.set_load(load);
    speed = body.state().speed;
    smi = smi_power(facts, body.state().rails[index_of(Rail::Gpu)]);
    dc = dc_power(body.state().rails);
    wall = wall_power(facts, body.state().rails);
  };
  measure(phases.prefill, phases.prefill_share, out.prefill_speed, out.prefill_smi, out.prefill_dc,
          out.prefill_wall);
  measure(phases.decode, phases.decode_share, out.decode_speed, out.decode_smi, out.decode_dc,
          out.decode_wall);
  return out;
}

}  // namespace tinderbox
