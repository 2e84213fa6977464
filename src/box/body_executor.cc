#include "box/body_executor.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "box/twin_executor.h"

namespace tinderbox {
namespace {

constexpr Duration kWindow = std::chrono::seconds(1);
constexpr Duration kRemembered = std::chrono::minutes(1);  // a fault that has passed would else be held against a box
constexpr std::size_t kEventsMax = 1000;
constexpr Duration kSettled = std::chrono::hours(2);  // nothing of a box at rest changes any more
constexpr std::int64_t kPastBlock = 4;  // that steps in a run share

const BodyFacts& facts_of(const Machine& machine) {
  if (machine.body) return *machine.body;
  throw_unsupported(format("the file of {} has no [body]: its power, heat and faults are not modelled", machine.name));
}

// Powers of a ratio; 0 has a step of its own.
class Scale {
 public:
  explicit Scale(double ratio) : ratio_(ratio) {
    for (std::size_t n = 0; n < small_.size(); ++n) {
      small_[n] = static_cast<std::uint8_t>(step_by_log(static_cast<std::int64_t>(n)));
    }
  }
  std::int64_t step_of(std::int64_t n) const {
    return n >= 0 && n < std::ssize(small_) ? small_[static_cast<std::size_t>(n)] : step_by_log(n);
  }
  std::int64_t rounded(std::int64_t n) const {
    const std::int64_t step = step_of(n);
    return step == 0 ? 0 : std::llround(std::pow(ratio_, static_cast<double>(step - 1)));
  }

 private:
  std::int64_t step_by_log(std::int64_t n) const {
    return n <= 0 ? 0 : 1 + std::llround(std::log(static_cast<double>(n)) / std::log(ratio_));
  }

  double ratio_;
  std::array<std::uint8_t, 1024> small_{};  // asked at every step
};
// What a step draws changes little within these ratios of its sizes.
const Scale kSequences(1.19), kTokens(1.5), kPast(2);

}  // namespace

Sensors idle_sensors(Body body, TimePoint now) {
  const Duration idle = std::min(now - body.state().time, kSettled);
  // Within the window that is open, what the last one was like is all that is known: the box may be at work.
  if (idle > kWindow) {
    body.set_load({.awake = true, .link_up = body.load().link_up});
    body.advance(idle);
  }
  return read_sensors(body);
}

BodyExecutor::BodyExecutor(Executor& inner, const StepModel& model, BodyOptions options)
    : options_(std::move(options)),
      body_(facts_of(model.twin().machine), options_.surroundings, options_.clock_cap),
      window_length_(kWindow),
      clock_(std::min(model.twin().machine.clock_light,
                      options_.clock_cap.value_or(model.twin().machine.clock_light))) {
  also(inner, model);
  find_outages();
  sums_.gpu_max = body_.temperature(body_.facts().gpu);
  sums_.zone_max = body_.hottest_zone();
  apply_faults();
}

Executor& BodyExecutor::also(Executor& inner, const StepModel& model) {
  if (!seats_.empty()) {
    const TwinModel& first = seats_.front().model.twin();
    CHECK(model.twin().machine.id == first.machine.id && model.twin().parallel.boxes() == first.parallel.boxes());
  }
  seats_.emplace_back(*this, inner, model);
  prepare_links(seats_.back());
  return seats_.back();
}

void BodyExecutor::inject(FaultEvent event) {
  // A box that runs for months meets many faults; those long past say nothing any more.
  std::erase_if(options_.faults, [&](const FaultEvent& e) { return e.end < event.begin - kRemembered; });
  options_.faults.push_back(std::move(event));
  const std::size_t n_links = seats_.front().links.size();
  try {
    for (Seat& seat : seats_) prepare_links(seat);
  } catch (const Error&) {
    options_.faults.pop_back();
    throw;
  }
  if (seats_.front().links.size() > n_links) {
    // Steps that were met before have no price yet on it, and links are told by their order. What is left of such
    // steps in kinds_ is as bounded as the links that a machine can have.
    choose_link(TimePoint(window_ * window_length_));
    for (Seat& seat : seats_) {
      seat.index.clear();
      seat.forget_last();
    }
  }
  find_outages();
  faults_change_ = TimePoint{};
}

bool BodyExecutor::clear(const std::string& fault, TimePoint now) {
  bool found = false;
  for (FaultEvent& event : options_.faults) {
    if (event.fault.name != fault || event.end <= now) continue;
    found = true;
    event.end = std::max(event.begin, now);
  }
  find_outages();
  faults_change_ = TimePoint{};
  return found;
}

void BodyExecutor::find_outages() {
  outages_.clear();
  for (const FaultEvent& event : options_.faults) {
    const Handicap& h = event.fault.handicap;
    if ((h.off || h.frozen) && event.begin < event.end) outages_.push_back({event.begin, event.end});
  }
}

void BodyExecutor::prepare_links(Seat& seat) {
  for (const FaultEvent& event : options_.faults) {
    if (event.fault.link.empty() || seat.links.contains(event.fault.link)) continue;
    if (seat.model.twin().parallel.boxes() == 1) {
      throw_invalid(format("fault '{}' is one of the link between boxes, and there is one box; ask for "
                           "more with --nodes", event.fault.name));
    }
    TwinModel twin = seat.model.twin();
    twin.link = event.fault.link;
    seat.links.emplace(event.fault.link, StepModel(std::move(twin)));
  }
}

// Where a kind may be put: beyond kinds_max in the place of one that did not run in this window, if there is one.
std::size_t BodyExecutor::place_for_kind() {
  if (kinds_.size() >= options_.kinds_max) {
    for (std::size_t n = 0; n < kinds_.size(); ++n) {
      hand_ = (hand_ + 1) % kinds_.size();
      Kind& old = kinds_[hand_];
      if (old.busy > Duration(0)) continue;
      const auto found = old.seat->index.find(old.key);
      if (found != old.seat->index.end() && found->second == hand_) old.seat->index.erase(found);
      if (old.seat->last_kind == hand_) old.seat->forget_last();
      return hand_;
    }
  }
  kinds_.emplace_back();
  return kinds_.size() - 1;
}

// The first of its kind is priced, explained, for what it draws.
BodyExecutor::Kind& BodyExecutor::kind_of(Seat& seat, const Sums& sums) {
  if (sums == seat.last_sums) return kinds_[seat.last_kind];
  seat.last_sums = sums;
  std::uint64_t key = sums.samples ? 1 : 0;
  for (const auto& [n, scale] : {std::pair{sums.n_decoding, &kSequences}, std::pair{sums.past, &kPast},
                                 std::pair{sums.prompt_tokens, &kTokens}, std::pair{sums.prompt_past, &kPast}}) {
    key = key * 1024 + static_cast<std::uint64_t>(scale->step_of(n));
  }
  if (key == seat.last_key) return kinds_[seat.last_kind];  // as most steps are like the one before
  seat.last_key = key;
  if (const auto found = seat.index.find(key); found != seat.index.end()) {
    seat.last_kind = found->second;
    return kinds_[seat.last_kind];
  }
  segments_.assign(static_cast<std::size_t>(kSequences.rounded(sums.n_decoding)),
                   Segment{.n_past = static_cast<std::int32_t>(kPast.rounded(sums.past)),
                           .n_new = 1,
                           .samples = true});
  if (sums.prompt_tokens > 0) {
    segments_.push_back(
        {.n_past = static_cast<std::int32_t>(kPast.rounded(sums.prompt_past)),
         .n_new = static_cast<std::int32_t>(kTokens.rounded(sums.prompt_tokens)),
         .samples = sums.samples});
  }
  Kind kind;
  kind.seat = &seat;
  kind.key = key;
  kind.load = load_of(seat.model, seat.model.price(segments_, true));
  const Seconds healthy = time_of_step(seat.model, segments_);
  for (const auto& [name, model] : seat.links) {
    kind.link_speed.push_back(healthy / time_of_step(model, segments_));
  }
  const std::size_t place = place_for_kind();
  kinds_[place] = std::move(kind);
  seat.index[key] = place;
  seat.last_sums = sums;  // anew: the last kind may be the one that gave way
  seat.last_key = key;
  seat.last_kind = place;
  return kinds_[place];
}

Duration BodyExecutor::scaled(Kind& kind, Duration step) {
  if (kind.window != window_) {
    kind.window = window_;
    kind.speed = speed_ratio(kind.load, clock_, memory_);
    if (link_ >= 0) kind.speed *= kind.link_speed[static_cast<std::size_t>(link_)];
  }
  CHECK(kind.speed > 0);
  return to_duration(to_seconds(step) / kind.speed);
}

void BodyExecutor::work(Kind& kind, TimePoint from, TimePoint to) {
  const auto index = static_cast<std::size_t>(&kind - kinds_.data());
  while (from < to) {
    if (kind.busy == Duration(0)) used_.push_back(index);
    const TimePoint end = std::min(to, window_end());
    kind.busy += end - from;
    from = end;
    if (from == window_end()) close_window();
  }
}

void BodyExecutor::pass(TimePoint now) {
  while (window_end() <= now) close_window();
}

void BodyExecutor::choose_link(TimePoint now) {
  const auto& links = seats_.front().links;
  const auto found = links.find(link_at(options_.faults, now));
  link_ = found == links.end() ? -1 : static_cast<int>(std::distance(links.begin(), found));
}

void BodyExecutor::apply_faults() {
  const TimePoint now(window_ * window_length_);
  if (now < faults_change_) return;
  faults_change_ = next_change(options_.faults, now);
  const Handicap handicap = handicap_at(options_.faults, now);
  body_.set_handicap(handicap);
  memory_ = handicap.memory;
  if (handicap.clock_max) clock_ = std::min(clock_, *handicap.clock_max);
  choose_link(now);
  for (const FaultEvent& event : options_.faults) {
    for (const bool begins : {true, false}) {
      const TimePoint at = begins ? event.begin : event.end;
      // Within the window that is over, or at the very beginning.
      if (at > now || at <= now - window_length_ || sums_.events.size() >= kEventsMax) continue;
      sums_.events.push_back({at, format("fault {} {}", event.fault.name, begins ? "begins" : "ends")});
    }
  }
}

void BodyExecutor::close_window() {
  std::vector<std::pair<Load, double>> loads;
  double idle = 1, worked = 0, done = 0;
  for (const std::size_t i : used_) {
    const double share = to_seconds(kinds_[i].busy) / to_seconds(window_length_);
    loads.emplace_back(kinds_[i].load, share);
    idle -= share;
    worked += share;
    done += share * kinds_[i].speed;
    busy_ += kinds_[i].busy;
    nominal_ += to_duration(to_seconds(kinds_[i].busy) * kinds_[i].speed);
    sums_.slowest = std::min(sums_.slowest, kinds_[i].speed);
    kinds_[i].busy = Duration(0);
  }
  used_.clear();
  const bool link_up = seats_.front().model.twin().parallel.boxes() > 1;
  loads.emplace_back(Load{.awake = true, .link_up = link_up}, std::max(0.0, idle));
  body_.set_load(mixed(loads));
  body_.advance(window_length_);
  ++window_;
  const BodyState& state = body_.state();
  if (worked > 0 && state.clock > Hertz(0) && state.limit != ClockLimit::Off) clock_ = state.clock;
  sums_.gpu_max = std::max(sums_.gpu_max, body_.temperature(body_.facts().gpu));
  sums_.zone_max = std::max(sums_.zone_max, body_.hottest_zone());
  sums_.fan_max = std::max(sums_.fan_max, body_.fan());
  const TimePoint now(window_ * window_length_);
  if (worked > 0) {
    last_speed_ = done / worked;
    last_worked_ = now;
  }
  if (state.tripped && !tripped_) {
    tripped_ = now;
    sums_.events.push_back({now, "critical temperature: the box goes off"});
  } else if (state.limit != told_ && state.limit == ClockLimit::Heat && sums_.events.size() < kEventsMax) {
    sums_.events.push_back({now, "clock limited by: heat"});
  }
  if (worked > 0) told_ = state.limit;
  apply_faults();
  if (options_.on_window) options_.on_window(body_);
}

std::optional<BodyExecutor::Outage> BodyExecutor::outage(TimePoint now) const {
  std::optional<Outage> first;
  if (tripped_) first = Outage{*tripped_, TimePoint::max()};
  for (const Outage& outage : outages_) {
    if (outage.end > now && (!first || outage.begin < first->begin)) first = outage;
  }
  return first;
}

BodyExecutor::Vitals BodyExecutor::vitals(TimePoint now) {
  pass(now);
  const auto out = outage(now);
  return {.speed = now - last_worked_ > kRemembered ? 1 : last_speed_,
          .to_slowdown = body_.facts().zone_slowdown - body_.hottest_zone(),
          .answers = !out || now < out->begin};
}

StepResult BodyExecutor::run_of(Seat& seat, const Step& step, TimePoint start) {
  StepResult result = seat.inner.run(step, start);
  Sums sums;
  std::int64_t past = 0;
  for (const StepItem& item : step.items) {
    if (item.decodes) {
      ++sums.n_decoding;
      past += item.n_past;
    } else {
      sums.prompt_tokens += item.n_new;
      sums.prompt_past += std::int64_t{item.n_past} * item.n_new;
      sums.samples = item.samples;
    }
  }
  if (sums.n_decoding > 0) sums.past = past / (sums.n_decoding * kPastBlock) * kPastBlock;
  if (sums.prompt_tokens > 0) sums.prompt_past /= sums.prompt_tokens;
  pass(start);
  Kind& kind = kind_of(seat, sums);
  result.end = after(start, scaled(kind, result.end - start));
  work(kind, start, result.end);
  return result;
}

void BodyExecutor::run_of(Seat& seat, const StepRun& steps, TimePoint start, TimePoint until, RunTimes& times) {
  pass(start);
  times.pieces.clear();
  times.n_steps = 0;
  times.end = start;
  // A cool box may be somewhat faster than the healthy one of the machine file; never twice as
  // fast.
  const Duration most = until <= start ? Duration(0) : until - start;
  seat.inner.run(steps, start, most > Duration::max() / 2 ? TimePoint::max() : after(start, 2 * most),
             inner_times_);
  Sums sums{.n_decoding = steps.n_decoding};
  for (const PromptChunk& c : steps.prompts) {
    sums.prompt_tokens += c.n_new;
    sums.prompt_past += std::int64_t{c.n_past} * c.n_new;
    sums.samples = c.samples;
  }
  if (sums.prompt_tokens > 0) sums.prompt_past /= sums.prompt_tokens;
  for (const RunTimes::Piece& piece : inner_times_.pieces) {
    if (sums.n_decoding > 0) {
      const std::int64_t past = steps.n_past + times.n_steps * steps.n_decoding;
      sums.past = past / (sums.n_decoding * kPastBlock) * kPastBlock;
    }
    for (std::int64_t left = piece.n; left > 0;) {
      if (times.n_steps > 0 && (times.end >= until || tripped_)) return;
      Kind& kind = kind_of(seat, sums);
      const Duration step = scaled(kind, piece.step);
      const auto up_to = [&](TimePoint t) {  // steps of which the last ends at t or later
        if (t <= times.end || step == Duration(0)) return std::int64_t{1};
        return (t - times.end) / step + ((t - times.end) % step != Duration(0) ? 1 : 0);
      };
      const std::int64_t n = std::min({left, up_to(window_end()), up_to(until)});
      const TimePoint end = after(times.end, step * n);
      times.pieces.push_back({step, n});
      times.n_steps += n;
      work(kind, times.end, end);
      times.end = end;
      left -= n;
    }
  }
}

BodyReport BodyExecutor::report(TimePoint end) {
  pass(end);
  const BodyState& state = body_.state();
  const double boxes = seats_.front().model.twin().parallel.boxes();
  BodyReport out = sums_;
  out.joules = state.joules_in * boxes;
  out.wall_joules = out.joules / body_.facts().adapter_share;
  out.time = to_seconds(state.time - TimePoint{});
  out.gpu_end = body_.temperature(body_.facts().gpu);
  out.limited = state.limited;
  if (busy_ > Duration(0)) out.mean_speed = to_seconds(nominal_) / to_seconds(busy_);
  for (const Outage& outage : outages_) {
    if (outage.end == TimePoint::max() && outage.begin <= end && !out.down_from)
      out.down_from = outage.begin;
    if (outage.begin < end) out.down += to_seconds(std::min(outage.end, end) - outage.begin);
  }
  if (tripped_ && *tripped_ <= end) {
    out.down += to_seconds(end - *tripped_);
    out.down_from = std::min(*tripped_, out.down_from.value_or(*tripped_));
  }
  return out;
}

}  // namespace tinderbox
