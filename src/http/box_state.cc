#include "http/box_state.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(to_valid_utf8(text)); }

Json box_of(const BoxFacts& facts, bool down) {
  Json modelled = Json::array(), measured = Json::array();
  if (!facts.as.empty()) {
    for (const char* what : {"pace", "memory"}) modelled.push_back(what);
    if (facts.ambient_c) {
      for (const char* what : {"power", "temperature", "clocks"}) modelled.push_back(what);
    }
  }
  if (!facts.weightless) measured.push_back("tokens");
  if (facts.as.empty()) {
    for (const char* what : {"pace", "memory"}) measured.push_back(what);
  }
  return {{"as", text_or_null(facts.as)},
          {"machine_name", text_or_null(facts.machine_name)},
          {"nodes", facts.nodes},
          {"ambient_c", facts.ambient_c ? Json(*facts.ambient_c) : Json()},
          {"freeze", facts.freeze},
          {"down", down},
          {"modelled", std::move(modelled)},
          {"measured", std::move(measured)}};
}

Json models_of(const Roster& roster, const BoxStatus& box) {
  Json out = Json::array();
  for (std::size_t i = 0; i < box.models.size(); ++i) {
    const ServedModel& info = roster.doors()[i].info;
    const ServedStatus& m = box.models[i];
    out.push_back({{"id", info.id},
                   {"weights", text_or_null(info.weights)},
                   {"weightless", info.weightless},
                   {"state", pool_state_name(m.state)},
                   {"pinned", m.pinned},
                   {"context_max", info.context_max},
                   {"memory_bytes", m.bytes},
                   {"running", m.n_running},
                   {"waiting", m.n_waiting},
                   {"loads", m.pool.loads},
                   {"evictions", m.pool.evictions + m.pool.expiries},
                   {"trouble", text_or_null(m.trouble)}});
  }
  return out;
}

struct Sums {
  std::int64_t running = 0, waiting = 0, blocks = 0, blocks_used = 0, prompt = 0, generated = 0, requests = 0,
               refused = 0, preemptions = 0;
  double kv_ratio() const { return blocks > 0 ? static_cast<double>(blocks_used) / static_cast<double>(blocks) : 0; }
};

Sums sums_of(const BoxStatus& box) {
  Sums s;
  for (const ServedStatus& m : box.models) {
    s.running += m.n_running;
    s.waiting += m.n_waiting;
    s.prompt += m.n_prompt;
    s.generated += m.n_generated;
    s.requests += m.counters.accepted;
    s.refused += m.counters.refused;
    s.preemptions += m.counters.preemptions;
    if (m.state == ModelPool::State::Absent) continue;
    s.blocks += m.kv_blocks;
    s.blocks_used += m.kv_blocks_used;
  }
  return s;
}

Json traffic_of(const BoxMoment& state) {
  const Sums s = sums_of(state.box);
  return {{"running", s.running},
          {"waiting", s.waiting},
          {"kv_ratio", s.kv_ratio()},
          {"prompt_tokens_total", s.prompt},
          {"generated_tokens_total", s.generated},
          {"prompt_tokens_per_s", state.prompt_tokens_per_s},
          {"generated_tokens_per_s", state.generated_tokens_per_s},
          {"requests_total", s.requests},
          {"refused_total", s.refused},
          {"preemptions_total", s.preemptions},
          {"busy_s_total", to_seconds(state.box.busy).value()},
          {"lateness_s_total", to_seconds(state.box.lateness).value()}};
}

Json memory_of(const MemoryUse& m) {
  return {{"total_bytes", m.total},           {"safe_bytes", m.safe},
          {"weights_bytes", m.weights},       {"kv_bytes", m.kv},
          {"kv_used_bytes", m.kv_used},       {"runtime_bytes", m.runtime},
          {"page_cache_bytes", m.page_cache}, {"free_bytes", m.free()}};
}

Json sensors_of(const Sensors& s) {
  Json zones = Json::array(), rails = Json::object(), nodes = Json::object(), missing = Json::array();
  for (const Celsius zone : s.zones) zones.push_back(zone.degrees());
  for (std::size_t i = 0; i < s.rails.size(); ++i)
    rails[std::string(rail_name(static_cast<Rail>(i)))] = s.rails[i].value();
  for (const auto& [name, celsius] : s.nodes) nodes[name] = celsius.degrees();
  nodes["air"] = s.air.degrees();
  for (const std::string_view field : fields_not_available()) missing.push_back(field);
  return {{"gpu_c", s.gpu_temperature.degrees()},
          {"gpu_w_shown", s.gpu_power.value()},
          {"sm_clock_hz", s.sm_clock.value()},
          {"gpu_utilisation", s.gpu_utilisation},
          {"fan_ratio", s.fan},
          {"wall_w", s.wall.value()},
          {"energy_j_total", s.wall_energy.value()},
          {"room_c", s.room.degrees()},
          {"zones_c", std::move(zones)},
          {"rails_w", std::move(rails)},
          {"nodes_c", std::move(nodes)},
          {"limit", clock_limit_name(s.limit)},
          {"not_available", std::move(missing)}};
}

Json faults_of_state(const BoxMoment& state) {
  Json out = Json::array();
  const auto unix_of = [&](TimePoint t) { return state.at_unix + to_seconds(t - state.box.now).value(); };
  for (const FaultEvent& f : state.faults) {
    if (f.end <= state.box.now) continue;
    out.push_back({{"name", f.fault.name},
                   {"what", f.fault.what},
                   {"from_unix", unix_of(f.begin)},
                   {"until_unix", f.end == TimePoint::max() ? Json() : Json(unix_of(f.end))}});
  }
  return out;
}

Json requests_of(const Roster& roster, const BoxMoment& state,
                 const std::function<std::string(std::uint64_t)>& key_name) {
  Json out = Json::array();
  for (std::size_t i = 0; i < state.box.models.size(); ++i) {
    for (const InFlight& r : state.box.models[i].requests) {
      const std::string key = r.key == 0 || !key_name ? std::string() : key_name(r.key);
      const double age = r.arrival == TimePoint{} ? 0 : to_seconds(state.box.now - r.arrival).value();
      out.push_back({{"id", format("{}", r.seq)},
                     {"model", roster.doors()[i].info.id},
                     {"key", text_or_null(key)},
                     {"age_s", std::max(0.0, age)},
                     {"prompt_tokens", r.n_prompt},
                     {"generated_tokens", r.n_generated},
                     {"state", r.running ? "running" : "waiting"}});
    }
  }
  return out;
}

}  // namespace

std::string_view pool_state_name(ModelPool::State state) {
  switch (state) {
    case ModelPool::State::Absent:
      return "absent";
    case ModelPool::State::Loading:
      return "loading";
    case ModelPool::State::Ready:
      return "ready";
    case ModelPool::State::Closed:
      return "closed";
  }
  return "";
}

std::string state_json(const BoxFacts& facts, const Roster& roster, const BoxMoment& state,
                       const std::function<std::string(std::uint64_t)>& key_name) {
  const Json out = {{"at_unix", state.at_unix},
                    {"version", facts.version},
                    {"uptime_s", state.uptime_s},
                    {"box", box_of(facts, state.box.down)},
                    {"models", models_of(roster, state.box)},
                    {"traffic", traffic_of(state)},
                    {"memory", memory_of(state.memory)},
                    {"sensors", state.sensors ? sensors_of(*state.sensors) : Json()},
                    {"computer",
                     {{"cpu_ratio", state.computer.cpu_ratio},
                      {"rss_bytes", state.computer.rss},
                      {"memory_total_bytes", state.computer.memory_total},
                      {"memory_available_bytes", state.computer.memory_available}}},
                    {"faults", faults_of_state(state)},
                    {"requests", requests_of(roster, state, key_name)}};
  return out.dump();
}

std::vector<std::pair<std::string_view, double>> state_sample(const BoxMoment& state) {
  const Sums s = sums_of(state.box);
  const MemoryUse& m = state.memory;
  std::vector<std::pair<std::string_view, double>> out = {{"generated_tokens_per_s", state.generated_tokens_per_s},
                                                          {"prompt_tokens_per_s", state.prompt_tokens_per_s},
                                                          {"running", static_cast<double>(s.running)},
                                                          {"waiting", static_cast<double>(s.waiting)},
                                                          {"kv_ratio", s.kv_ratio()},
                                                          {"memory_used_bytes", m.total - m.free()},
                                                          {"weights_bytes", m.weights},
                                                          {"kv_bytes", m.kv},
                                                          {"runtime_bytes", m.runtime},
                                                          {"page_cache_bytes", m.page_cache}};
  if (state.sensors) {
    const Sensors& x = *state.sensors;
    for (const auto& [name, value] : {std::pair<std::string_view, double>{"wall_w", x.wall.value()},
                                      {"gpu_c", x.gpu_temperature.degrees()},
                                      {"gpu_w_shown", x.gpu_power.value()},
                                      {"sm_clock_hz", x.sm_clock.value()},
                                      {"fan_ratio", x.fan}}) {
      out.emplace_back(name, value);
    }
  }
  return out;
}

}  // namespace tinderbox
