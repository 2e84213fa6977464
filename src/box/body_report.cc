#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/body_executor.h"

namespace tinderbox {
namespace {

constexpr std::size_t kEventsShown = 20;
constexpr ClockLimit kHolding[] = {ClockLimit::UserCap, ClockLimit::Power, ClockLimit::Heat,
                                   ClockLimit::Fault, ClockLimit::Off};

double seconds_under(const BodyReport& body, ClockLimit limit) {
  return body.limited[static_cast<std::size_t>(limit)];
}

}  // namespace

std::string body_table(const BodyReport& body, std::int64_t output_tokens,
                       std::int64_t unanswered) {
  Table rows(
      {"power at the wall", body.time > Seconds(0) ? format("mean {:.1f} W, {:.4g} Wh",
                                                            body.wall_joules / body.time.value(),
                                                            body.wall_joules / 3600)
                                                   : std::string("nothing ran")},
      "ll");
  if (output_tokens > 0) {
    rows.add({"energy", format("{:.3g} J an output token",
                               body.wall_joules / static_cast<double>(output_tokens))});
  }
  rows.add(
      {"GPU",
       format("{:.1f} °C at most, {:.1f} °C at the end; hottest zone {:.1f} °C, fan up to {:.0f} %",
              body.gpu_max.degrees(), body.gpu_end.degrees(), body.zone_max.degrees(),
              100 * body.fan_max)});
  rows.add({"speed", format("{:.1f} % of a cool healthy box, {:.1f} % at worst",
                            100 * body.mean_speed, 100 * body.slowest)});
  std::string held;
  for (const ClockLimit limit : kHolding) {
    const double s = seconds_under(body, limit);
    if (s > 0)
      held +=
          format("{}{} {}", held.empty() ? "" : ", ", clock_limit_name(limit), human(Seconds(s)));
  }
  rows.add({"clock held by", held.empty() ? "nothing" : held});
  if (body.down_from) {
    rows.add({"down", format("for good from {}; {} requests never taken in",
                             human(since_start(*body.down_from)), unanswered)});
  } else if (body.down > Seconds(0)) {
    rows.add({"down", human(body.down)});
  }
  std::string out = "\n" + rows.str();
  for (std::size_t i = 0; i < body.events.size() && i < kEventsShown; ++i) {
    out += format("  {:>9}  {}\n", human(since_start(body.events[i].time)), body.events[i].what);
  }
  if (body.events.size() > kEventsShown) {
    out += format("  ... and {} more events (--json has up to 1000)\n",
                  body.events.size() - kEventsShown);
  }
  return out;
}

nlohmann::ordered_json body_json(const BodyReport& body, std::int64_t output_tokens,
                                 std::int64_t unanswered) {
  using Json = nlohmann::ordered_json;
  Json limited = Json::object(), events = Json::array();
  for (const ClockLimit limit : kHolding)
    limited[std::string(clock_limit_name(limit))] = seconds_under(body, limit);
  for (const SoakEvent& e : body.events) {
    events.push_back({{"time_s", since_start(e.time).value()}, {"what", e.what}});
  }
  Json json = {{"energy_j", body.joules},
               {"wall_energy_j", body.wall_joules},
               {"gpu_max_c", body.gpu_max.degrees()},
               {"gpu_end_c", body.gpu_end.degrees()},
               {"zone_max_c", body.zone_max.degrees()},
               {"fan_max", body.fan_max},
               {"mean_speed", body.mean_speed},
               {"slowest_speed", body.slowest},
               {"limited_s", std::move(limited)},
               {"down_s", body.down.value()},
               {"unanswered", unanswered},
               {"events", std::move(events)}};
  if (body.down_from) json["down_from_s"] = since_start(*body.down_from).value();
  if (body.time > Seconds(0)) json["mean_wall_w"] = body.wall_joules / body.time.value();
  if (output_tokens > 0)
    json["wall_energy_per_token_j"] = body.wall_joules / static_cast<double>(output_tokens);
  return json;
}

}  // namespace tinderbox
