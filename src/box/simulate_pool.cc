#include "box/simulate_pool.h"

#include <algorithm>
#include <cmath>
#include <limits>
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
  const bool other = options.boxes != 1 || options.disaggregation || options.body || options.in_flight_max ||
                     options.watch || options.workload.turns > 1;
  if (other) {
    throw_invalid("several models in one memory are simulated for one box and single requests: leave out --boxes, "
                  "--disaggregate, --body, --in-flight, --turns, --perfetto and --svg, or name one model");
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

PoolSimulation simulate_pool(const Models& models, const SimulateOptions& options, const PoolOptions& pool,
                             const Progress& progress) {
  verify(options.workload);
  verify(models, options, pool);
  const TwinModel& first = models.front()->twin();
  const BytesPerSecond rate = load_rate_of(first.machine, pool);
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
  std::vector<PoolMember> members;
  std::int64_t context = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < models.size(); ++i) {
    SimulateOptions of_this = options;
    of_this.kv_tokens = simulation.kv_tokens[i];
    PoolMember member{.model = models[i].get(), .scheduler = scheduler_of(*models[i], of_this)};
    if (!pool.mix.empty()) member.share = pool.mix[i];
    member.memory = {.bytes = needs[i].bytes_with(simulation.kv_tokens[i]),
                     .load = to_duration(models[i]->footprint().weights / rate),
                     .pinned = !pool.pinned.empty() && pool.pinned[i]};
    context = std::min<std::int64_t>(context, member.scheduler.limits().context_max);
    members.push_back(std::move(member));
  }
  const auto bytes = static_cast<std::int64_t>(room.value());
  require_room(members, bytes);
  const Duration keep_alive = pool.keep_alive ? to_duration(*pool.keep_alive) : Duration::max();
  const FleetOptions fleet = fleet_of(*models.front(), options, members.front().scheduler.limits());
  const auto come = told_of(progress, n_requests(options.workload));
  if (reacts(options)) {
    ConversationArrivals source = conversations(options, static_cast<std::int32_t>(context), fleet.request_time);
    simulation.result = run_pool(std::move(members), bytes, keep_alive, fleet, source, &source, come);
  } else {
    GeneratedArrivals source(options.workload);
    simulation.result = run_pool(std::move(members), bytes, keep_alive, fleet, source, nullptr, come);
  }
  return simulation;
}

nlohmann::ordered_json pool_json(const PoolSimulation& simulation) {
  const PoolResult& result = simulation.result;
  nlohmann::ordered_json json = report_json(result.report);
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
    one.erase("mean_kv_share");
    json["models"].push_back(std::move(one));
  }
  return json;
}

std::string pool_table(const PoolSimulation& simulation) {
  const PoolResult& result = simulation.result;
  Table table({"model", "memory", "KV tokens", "requests", "TTFT mean", "TTFT p99", "TPOT mean", "busy", "loads",
               "of each", "unloads"});
  for (std::size_t i = 0; i < result.models.size(); ++i) {
    const PoolRow& row = result.models[i];
    const Report& r = row.report;
    const double busy = result.report.duration > Seconds(0) ? r.busy / result.report.duration : 0;
    table.add({row.model + " " + row.weights + (row.pinned ? " (pinned)" : ""),
               human(Bytes(static_cast<double>(row.bytes))), format("{}", simulation.kv_tokens[i]),
               format("{}", r.finished), human(r.ttft.mean), human(r.ttft.p99), human(r.tpot.mean),
               format("{} %", human_number(100 * busy)), format("{}", row.counters.loads), human(row.load),
               format("{}", row.counters.evictions + row.counters.expiries)});
  }
  return report_table(result.report) +
         format("models           one memory of {}, of which at most {} in use\n\n",
                human(Bytes(static_cast<double>(result.bytes))), human(Bytes(static_cast<double>(result.bytes_peak)))) +
         table.str();
}

}  // namespace tinderbox
