#include "box/simulate_pool.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/pool_memory.h"

namespace tinderbox {
namespace {

using Models = std::vector<std::shared_ptr<const StepModel>>;

void verify(const Models& models, const SimulateOptions& options, const PoolOptions& pool) {
  if (!pool.mix.empty() && pool.mix.size() != models.size()) {
    throw_invalid(format("--mix has {} shares for {} models: give one for each, or none", pool.mix.size(),
                         models.size()));
  }
  for (const double share : pool.mix) {
    const bool valid = share > 0 && std::isfinite(share);
    if (!valid) throw_invalid(format("--mix: a share is {}, but must be above 0", share));
  }
  if (!pool.pinned.empty() && pool.pinned.size() != models.size()) {
    throw_invalid("pinned models: one flag for each model, or none");
  }
  if (pool.keep_alive && !(*pool.keep_alive > Seconds(0))) throw_invalid("--keep-alive must be above 0 seconds");
  if (pool.load_rate && !(*pool.load_rate > BytesPerSecond(0))) throw_invalid("--load-rate must be above 0");
  if (options.disaggregation) {
    throw_invalid("--disaggregate: several models in one memory do both themselves; leave it out, or name one model");
  }
}

void require_room(const std::vector<PoolMember>& members, std::int64_t room) {
  std::int64_t pinned = 0;
  for (const PoolMember& m : members) pinned += m.memory.pinned ? m.memory.bytes : 0;
  for (const PoolMember& m : members) {
    const std::int64_t needed = pinned + (m.memory.pinned ? 0 : m.memory.bytes);
    if (needed <= room) continue;
    const TwinModel& twin = m.model->twin();
    const auto text = [](std::int64_t bytes) { return human(Bytes(static_cast<double>(bytes))); };
    throw Error(Error::Code::TooLarge,
                format("simulate: {} needs {}, beside {} of pinned models, but {} holds {} safely for models; pin "
                       "fewer, or choose smaller weights or --kv-tokens",
                       twin.model.id, text(m.memory.bytes), text(m.memory.pinned ? pinned - m.memory.bytes : pinned),
                       twin.machine.id, text(room)));
  }
}

BytesPerSecond load_rate_of(const Machine& machine, const PoolOptions& pool) {
  if (pool.load_rate) return *pool.load_rate;
  if (machine.storage_read > BytesPerSecond(0)) return machine.storage_read;
  throw_invalid(format("simulate: nobody has measured how fast {} reads its drive; say how fast weights are loaded "
                       "with --load-rate \"3 GB/s\"",
                       machine.id));
}

}  // namespace

PoolSimulation simulate_pool(const Models& models, const SimulateOptions& given, const PoolOptions& pool,
                             const Progress& progress) {
  verify(given.workload);
  verify(models, given, pool);
  SimulateOptions options = given;
  options.workload.mix = pool.mix.empty() ? std::vector<double>(models.size(), 1) : pool.mix;
  const BytesPerSecond rate = load_rate_of(models.front()->twin().machine, pool);
  std::vector<MemoryNeed> needs;
  for (const auto& model : models) {
    const std::int64_t sequences = std::min<std::int64_t>(
        options.sequences_max.value_or(model->twin().stack.sequences_max), n_requests(options.workload));
    needs.push_back(memory_need(*model, longest_request(options.workload), std::max<std::int64_t>(1, sequences)));
  }
  const Bytes room = memory_room(models);
  PoolSimulation simulation;
  simulation.kv_tokens = options.kv_tokens ? std::vector<std::int64_t>(models.size(), *options.kv_tokens)
                                           : share_kv(needs, room);
  PoolContents contents{.members = {},
                        .bytes = static_cast<std::int64_t>(room.value()),
                        .keep_alive = pool.keep_alive ? to_duration(*pool.keep_alive) : Duration::max()};
  std::vector<UserSide> sides;
  std::optional<FleetOptions> fleet;
  for (std::size_t i = 0; i < models.size(); ++i) {
    options.kv_tokens = simulation.kv_tokens[i];
    PoolMember member{.model = models[i].get(), .scheduler = scheduler_of(*models[i], options)};
    member.memory = {.bytes = needs[i].bytes_with(simulation.kv_tokens[i]),
                     .load = to_duration(models[i]->footprint().weights / rate),
                     .pinned = !pool.pinned.empty() && pool.pinned[i]};
    const Bytes block = needs[i].kv_of(member.scheduler.kv().block_tokens());
    member.kv_block_bytes = static_cast<std::int64_t>(block.value());
    sides.push_back(user_side(*models[i], member.scheduler));
    const FleetOptions of_this = fleet_of(*models[i], options, member.scheduler.limits());
    if (!fleet) fleet = of_this;
    fleet->knee = std::min(fleet->knee, of_this.knee);
    contents.members.push_back(std::move(member));
  }
  require_room(contents.members, contents.bytes);
  simulation.result = run_pool(contents, *fleet, [&] { return traffic_of(options, sides); },
                               told_of(progress, n_requests(options.workload)));
  FleetResult& of_boxes = simulation.result.fleet;
  if (of_boxes.boxes.size() == 1) of_boxes.boxes.clear();
  if (!of_boxes.bodies.empty()) {
    simulation.body = all_of(of_boxes.bodies);
    simulation.unanswered = n_requests(options.workload) - of_boxes.report.submitted;
  }
  return simulation;
}

nlohmann::ordered_json pool_json(const PoolSimulation& simulation) {
  const PoolResult& result = simulation.result;
  const FleetResult& fleet = result.fleet;
  nlohmann::ordered_json json = report_json(fleet.report);
  for (const char* key : {"kv_blocks", "kv_blocks_peak", "peak_kv_share", "mean_kv_share"}) json.erase(key);
  json["pool_bytes"] = result.bytes;
  json["pool_bytes_peak"] = result.bytes_peak;
  for (std::size_t i = 0; i < result.models.size(); ++i) {
    const PoolRow& row = result.models[i];
    nlohmann::ordered_json one = {{"model", row.model},
                                  {"weights", row.weights},
                                  {"bytes", row.bytes},
                                  {"kv_tokens", simulation.kv_tokens[i]},
                                  {"pinned", row.pinned},
                                  {"load_s", row.load.value()},
                                  {"loads", row.counters.loads},
                                  {"evictions", row.counters.evictions},
                                  {"expiries", row.counters.expiries}};
    one.update(report_json(row.report));
    json["models"].push_back(std::move(one));
  }
  if (!fleet.boxes.empty()) json["boxes"] = boxes_json(fleet.boxes);
  if (simulation.body) json.update(body_json(*simulation.body, fleet.report.output_tokens, simulation.unanswered));
  return json;
}

std::string pool_table(const PoolSimulation& simulation) {
  const PoolResult& result = simulation.result;
  const Report& total = result.fleet.report;
  Table table({"model", "memory", "KV tokens", "requests", "TTFT mean", "TTFT p99", "TPOT mean", "busy", "loads",
               "of each", "unloads"});
  for (std::size_t i = 0; i < result.models.size(); ++i) {
    const PoolRow& row = result.models[i];
    const Report& r = row.report;
    const auto n_boxes = static_cast<double>(std::max<std::size_t>(1, result.fleet.boxes.size()));
    const double busy = total.duration > Seconds(0) ? r.busy / total.duration / n_boxes : 0;
    table.add({row.model + " " + row.weights + (row.pinned ? " (pinned)" : ""),
               human(Bytes(static_cast<double>(row.bytes))), format("{}", simulation.kv_tokens[i]),
               format("{}", r.finished), human(r.ttft.mean), human(r.ttft.p99), human(r.tpot.mean),
               format("{} %", human_number(100 * busy)), format("{}", row.counters.loads), human(row.load),
               format("{}", row.counters.evictions + row.counters.expiries)});
  }
  std::string out = report_table(total);
  if (!result.fleet.boxes.empty()) out += boxes_line(result.fleet.boxes);
  out += format("models           one memory of {}, of which at most {} in use\n\n",
                human(Bytes(static_cast<double>(result.bytes))), human(Bytes(static_cast<double>(result.bytes_peak))));
  out += table.str();
  if (simulation.body) out += body_table(*simulation.body, total.output_tokens, simulation.unanswered);
  return out;
}

}  // namespace tinderbox
