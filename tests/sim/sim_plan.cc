#include "sim_plan.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace tinderbox::sim {
namespace {

struct Draw {
  Random random;
  std::int32_t of(std::int64_t low, std::int64_t high) {
    return static_cast<std::int32_t>(random.range(low, high));
  }
  bool one_in(std::int64_t n) { return random.range(1, n) == 1; }
  bool with(double probability) { return random.uniform() < probability; }
  // 0 half the time: the feature is off.
  double feature() { return one_in(2) ? random.uniform() : 0.0; }
  // On a grid in some seeds, so that things happen at the same time.
  Duration within(Duration most) { return Duration(random.range(0, most.count() / grid) * grid); }
  std::int64_t grid = 1;  // ns
};

// How often each kind of thing happens in this seed.
struct Habits {
  double vanish, slow, stop, direct, whole, wrong, metrics, urgent, named;
  std::int32_t prompt_max, gen_max, n_families, n_keys, n_priorities;
  Duration gap_max;
};

void draw_sizes(Plan& plan, const Habits& habits, Draw& draw) {
  plan.limits = {.step_tokens_max = draw.of(1, draw.one_in(2) ? 8 : 128),
                 .sequences_max = draw.of(1, 12),
                 .queue_max = draw.of(1, draw.one_in(3) ? 4 : 60),
                 .context_max = draw.of(2, 2 * (habits.prompt_max + habits.gen_max))};
  plan.block_tokens = draw.of(1, 8);
  // From too small for the longest request to room for five of them.
  plan.n_blocks =
      1 + (habits.prompt_max + habits.gen_max) * draw.of(50, 500) / 100 / plan.block_tokens;
  if (plan.answers == Answers::Engine) {  // the engine's own are fixed; see server_sim.cc
    plan.block_tokens = 4;
    plan.n_blocks = std::min(plan.n_blocks, 64);
    plan.limits.step_tokens_max = std::min(plan.limits.step_tokens_max, 64);
    plan.limits.sequences_max = std::min(plan.limits.sequences_max, 8);
    plan.limits.context_max = std::min(plan.limits.context_max, 120);
  }
}

// Families of prompts begin alike.
std::string draw_text(const Habits& habits, Draw& draw, std::int32_t most) {
  const std::int32_t n = draw.of(1, most), family = draw.of(0, habits.n_families - 1);
  const std::int32_t n_common = draw.one_in(4) ? 0 : draw.of(0, n);
  std::string text;
  for (std::int32_t i = 0; i < n; ++i) {
    text += static_cast<char>('a' + (i < n_common ? (family * 7 + i * i) % 26 : draw.of(0, 25)));
  }
  return text;
}

void draw_direct(Visit& visit, const Plan& plan, const Habits& habits, Draw& draw) {
  Request& r = visit.direct;
  r.n_gen_max = draw.of(1, habits.gen_max);
  r.priority = draw.of(1, habits.n_priorities);
  r.key = static_cast<std::uint64_t>(draw.of(1, habits.n_keys));
  r.n_prompt = draw.of(1, habits.prompt_max);
  if (draw.with(habits.urgent)) r.deadline = visit.at + draw.within(80 * plan.step);
  if (!draw.with(habits.named)) {
    visit.text = draw_text(habits, draw, habits.prompt_max);
    return;
  }
  // No ids: what the prompt has in common with others is said by contents.
  for (std::int32_t left = r.n_prompt; left > 0 && !draw.one_in(4);) {
    const std::int32_t n = draw.of(1, left);
    r.contents.push_back({static_cast<std::uint64_t>(draw.of(1, habits.n_families)), n});
    left -= n;
    r.answer_continues = left == 0 && draw.one_in(2);
  }
}

void draw_wrong(Visit& visit, Draw& draw) {
  struct Case {
    std::string_view method, path, body;
    int status;
    std::string_view code;
  };
  static constexpr Case kCases[] = {
      {"POST", "/v1/chat/completions", "{", 400, "invalid_json"},
      {"POST", "/v1/chat/completions", "[]", 400, "invalid_type"},
      {"POST", "/v1/completions", R"({"model":"sim"})", 400, "missing_required_parameter"},
      {"POST", "/v1/completions", R"({"model":"other","prompt":"a"})", 404, "model_not_found"},
      {"POST", "/v1/completions", R"({"model":"sim","prompt":"a","n":129})", 400,
       "invalid_value"},
      {"POST", "/v1/completions", R"({"model":"sim","prompt":"a","max_tokens":0})", 400,
       "invalid_value"},
      {"POST", "/v1/chat/completions", R"({"model":"sim","messages":[]})", 400, "invalid_value"},
      {"GET", "/v1/chat/completions", "", 405, "method_not_allowed"},
      {"POST", "/metrics", "", 405, "method_not_allowed"},
      {"GET", "/v2", "", 404, "not_found"},
  };
  const Case& c = kCases[draw.of(0, std::ssize(kCases) - 1)];
  visit.wrong = {.method = std::string(c.method),
                 .path = std::string(c.path),
                 .query = {},
                 .headers = {},
                 .body = std::string(c.body)};
  visit.status = c.status;
  visit.code = c.code;
}

Visit draw_visit(const Plan& plan, const Habits& habits, TimePoint at, Draw& draw) {
  using Kind = Visit::Kind;
  Visit visit;
  visit.at = at;
  visit.kind = draw.with(habits.wrong)     ? Kind::Wrong
               : draw.with(habits.metrics) ? Kind::Metrics
               : draw.with(habits.direct)  ? Kind::Direct
               : draw.one_in(2)            ? Kind::Chat
                                           : Kind::Completions;
  if (draw.with(habits.slow)) visit.read_delay = draw.within(30 * plan.step);
  if (draw.with(habits.vanish)) visit.vanishes = draw.within(60 * plan.step);
  if (visit.kind == Kind::Wrong) draw_wrong(visit, draw);
  if (visit.kind == Kind::Direct) draw_direct(visit, plan, habits, draw);
  if (visit.kind != Kind::Chat && visit.kind != Kind::Completions) return visit;
  // Four bytes a token where answers are placeholders.
  visit.text = draw_text(habits, draw, habits.prompt_max * (plan.answers == Answers::Twin ? 4 : 1));
  visit.n_gen_max =
      draw.one_in(8) ? 0
                     : draw.of(1, draw.one_in(20) ? 2 * plan.limits.context_max : habits.gen_max);
  visit.streamed = !draw.with(habits.whole);
  visit.usage = draw.one_in(2);
  while (draw.with(habits.stop) && visit.stops.size() < 4) {
    std::string stop;
    for (std::int32_t n = draw.of(1, 2); n > 0; --n)
      stop += static_cast<char>('a' + draw.of(0, 25));
    if (plan.answers == Answers::Twin) stop = draw.one_in(2) ? "dolor " : "it am";
    visit.stops.push_back(stop);
  }
  return visit;
}

void draw_body(Plan& plan, Draw& draw) {
  BodyOptions body;
  body.surroundings.room = Celsius(draw.of(-10, 45));
  for (std::int32_t n = draw.of(0, 3); n > 0; --n) {
    const Handicap handicaps[] = {
        {.memory = 0.3}, {.clock_max = Hertz(5e8)}, {.fan = 0}, {.frozen = true}, {.off = true}};
    const TimePoint begin = TimePoint{} + draw.within(std::chrono::seconds(20));
    const TimePoint end =
        draw.one_in(6) ? TimePoint::max() : begin + draw.within(std::chrono::seconds(8));
    body.faults.push_back({begin,
                           end,
                           {.name = format("fault-{}", n),
                            .what = "",
                            .ends = "",
                            .sources = "",
                            .handicap = handicaps[draw.of(0, std::ssize(handicaps) - 1)]}});
  }
  plan.body = std::move(body);
}

}  // namespace

Plan draw_plan(std::uint64_t seed) {
  Draw draw{Random(seed, Stream::Test)};
  if (draw.one_in(2)) draw.grid = 50'000;
  Plan plan;
  plan.seed = seed;
  const std::int32_t kind = draw.of(1, 20);
  plan.answers = kind == 1 ? Answers::Engine : kind <= 5 ? Answers::Twin : Answers::Formula;
  const bool engine = plan.answers == Answers::Engine;
  plan.step = plan.answers == Answers::Formula ? Duration(1'000'000) : Duration(90'000'000);
  const Habits habits{.vanish = draw.feature(),
                      .slow = draw.feature(),
                      .stop = engine ? 0.0 : draw.feature() / 2,
                      .direct = draw.feature(),
                      .whole = draw.feature(),
                      .wrong = draw.feature() / 4,
                      .metrics = draw.feature() / 4,
                      .urgent = draw.feature(),
                      .named = engine ? 0.0 : draw.feature(),
                      .prompt_max = draw.of(1, engine ? 30 : 60),
                      .gen_max = draw.of(1, engine ? 12 : 40),
                      .n_families = draw.of(1, 4),
                      .n_keys = draw.of(1, 3),
                      .n_priorities = draw.of(1, 3),
                      .gap_max = draw.one_in(3) ? Duration(0) : plan.step * draw.of(1, 40) / 4};
  draw_sizes(plan, habits, draw);
  plan.policy = policies()[static_cast<std::size_t>(draw.of(0, std::ssize(policies()) - 1))];
  plan.policy.fair = draw.one_in(3);
  plan.end_tokens = draw.one_in(2);
  plan.eager = draw.one_in(4);
  plan.stops = habits.stop > 0;
  plan.oversleeps = !engine && draw.one_in(4);
  plan.stalls = plan.answers == Answers::Formula && draw.one_in(3);
  if (plan.answers == Answers::Twin && draw.one_in(2)) draw_body(plan, draw);
  TimePoint time{};
  for (std::int32_t n = draw.of(1, engine ? 10 : 50); n > 0; --n) {
    time += draw.within(habits.gap_max);
    plan.visits.push_back(draw_visit(plan, habits, time, draw));
  }
  if (draw.one_in(4)) {
    for (std::int32_t n = draw.of(1, 3); n > 0; --n) {
      const TimePoint at = TimePoint{} + draw.within(time - TimePoint{} + 40 * plan.step);
      plan.jumps.emplace_back(
          at, draw.within(draw.one_in(2) ? 100 * plan.step : std::chrono::minutes(2)));
      plan.date_jumps.emplace_back(at, draw.of(-100'000'000, 100'000'000));
    }
  }
  plan.closes_early = draw.one_in(8);
  plan.closes = TimePoint{} + draw.within(time - TimePoint{} + 40 * plan.step);
  return plan;
}

}  // namespace tinderbox::sim
