// Laws of several models in one memory over random traffic: one alone is the box it would be without, nobody is lost,
// memory is never too little, steps in runs are steps one by one, boxes that take turns are pools by themselves, a body
// has the energy of its steps; and what a load costs, by hand.
#include "box/simulate_pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "box/time_lines.h"
#include "sched/policy.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using Models = std::vector<std::shared_ptr<const StepModel>>;

// Round machines have no drive.
const BytesPerSecond kDrive(1e9);

StepModel named(StepModel model, std::string id) {
  TwinModel twin = model.twin();
  twin.model.id = std::move(id);
  return StepModel(std::move(twin));
}

Models fp8_models(std::size_t n, Machine machine) {
  Models out;
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back(std::make_shared<const StepModel>(
        named(testing::fp8_twin_on(machine), std::string(1, static_cast<char>('a' + i)))));
  }
  return out;
}

// About so many of the models fit at a time, with the KV that traffic() asks for.
Machine machine_for(double n) {
  Machine machine = round_machine_with_body();
  const Bytes one = Bytes(1.05 * testing::fp8_twin().footprint().weights.value() + 4e9);
  machine.memory_safe = machine.memory_system + one * n;
  machine.memory_freeze = machine.memory_safe + Bytes(1e9);
  machine.memory_visible = machine.memory_freeze + Bytes(1e9);
  return machine;
}

SimulateOptions traffic(std::uint64_t seed) {
  Random random(seed, Stream::Test);
  SimulateOptions options;
  options.workload = {.requests = random.range(20, 120),
                      .rate = std::exp(5 * random.uniform() - 3),
                      .prompt = random.range(2, 300),
                      .gen = random.range(1, 60),
                      .range_ratio = random.uniform(),
                      .seed = seed};
  if (random.range(0, 2) == 0) options.users = random.range(1, 20);
  if (options.users > 0) options.workload.think = 20 * random.uniform();
  if (random.range(0, 3) == 0) options.workload.timeout = 1 + 60 * random.uniform();
  if (random.range(0, 3) == 0) {
    options.workload.turns = random.range(2, 5);
    options.workload.shared_prefix = random.range(0, 50);
    options.workload.gen = random.range(1, 20);
  }
  if (options.users == 0 && options.workload.turns == 1 && random.range(0, 2) == 0) {
    options.in_flight_max = random.range(1, 9);
  }
  options.kv_tokens = longest_request(options.workload) + random.range(16, 2000);
  options.policy = std::string(policies()[static_cast<std::size_t>(random.range(0, 4))].name);
  return options;
}

FaultEvent fault(double begin, double end, Handicap handicap) {
  return {TimePoint(to_duration(Seconds(begin))),
          TimePoint(to_duration(Seconds(end))),
          {.name = "f", .what = "", .ends = "", .sources = "", .handicap = handicap}};
}

BodyOptions faulty(Random& random) {
  BodyOptions body;
  const Handicap handicaps[] = {{.memory = 0.3}, {.clock_max = Hertz(5e8)}, {.frozen = true}, {.off = true}};
  for (const Handicap& handicap : handicaps) {
    const double begin = 100 * random.uniform();
    if (random.range(0, 1) == 0) body.faults.push_back(fault(begin, begin + 30 * random.uniform(), handicap));
  }
  return body;
}

nlohmann::ordered_json without_blocks(const Report& of) {
  nlohmann::ordered_json report = report_json(of);
  for (const char* key : {"kv_blocks", "kv_blocks_peak", "peak_kv_share", "mean_kv_share"}) report.erase(key);
  return report;
}

TEST(SimulatePool, OneAloneIsTheBoxThatItWouldBeWithoutAPool) {
  const Models models = fp8_models(1, machine_for(1));
  for (std::uint64_t seed = 0; seed < 90; ++seed) {
    SCOPED_TRACE(seed);
    SimulateOptions options = traffic(seed);
    Random random(seed, Stream::Test, 2);
    if (seed % 3 == 0) options.body = faulty(random);
    const PoolSimulation pooled = simulate_pool(models, options, {.load_rate = kDrive});
    const SimulationResult alone = simulate(*models.front(), options);
    EXPECT_EQ(without_blocks(pooled.result.fleet.report), without_blocks(alone.report));
    EXPECT_EQ(report_json(pooled.result.models.front().report), report_json(alone.report));
    EXPECT_EQ(pooled.result.models.front().counters.loads, 0);
    ASSERT_EQ(pooled.body.has_value(), alone.body.has_value());
    if (!alone.body) continue;
    EXPECT_EQ(pooled.unanswered, alone.unanswered);
    const Scheduler fresh = scheduler_of(*models.front(), options);
    const FleetResult fleet = run_fleet(*models.front(), fresh, fleet_of(*models.front(), options, fresh.limits()),
                                        [&] { return traffic_of(options, {user_side(*models.front(), fresh)}); });
    EXPECT_EQ(body_json(*pooled.body, 1, 0), body_json(fleet.bodies.front(), 1, 0));
  }
}

TEST(SimulatePool, LosesNobodyAndIsTheSameByStepsHoweverLittleMemory) {
  std::int64_t n_loads = 0, n_evictions = 0, n_expired = 0, n_expiries = 0, n_cancelled = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, Stream::Test, 1);
    const Models models = fp8_models(static_cast<std::size_t>(random.range(2, 4)),
                                     machine_for(1 + 3 * random.uniform()));
    PoolOptions pool{.load_rate = kDrive * (1 + 20 * random.uniform())};
    for (std::size_t i = 0; i < models.size(); ++i) pool.mix.push_back(0.1 + random.uniform());
    if (random.range(0, 2) == 0) pool.keep_alive = Seconds(30 * random.uniform() + 0.1);
    SimulateOptions options = traffic(seed);
    options.boxes = random.range(1, 3);
    options.n_threads = 1;
    if (random.range(0, 2) == 0) options.body = faulty(random);
    options.routing = static_cast<RouterPolicy>(random.range(0, options.body ? 5 : 4));
    const PoolSimulation runs = simulate_pool(models, options, pool);
    options.by_steps = true;
    options.n_threads = 2;
    ASSERT_EQ(pool_json(simulate_pool(models, options, pool)).dump(2), pool_json(runs).dump(2));
    const Report& all = runs.result.fleet.report;
    EXPECT_EQ(all.submitted, options.workload.requests);
    EXPECT_EQ(all.finished + all.expired + all.cancelled, all.submitted);
    EXPECT_LE(runs.result.bytes_peak, runs.result.bytes);
    EXPECT_LE(all.busy_share, 1 + 1e-9);  // one step at a time
    n_cancelled += all.cancelled;
    std::int64_t submitted = 0, evicted = 0, loaded = 0;
    for (const PoolRow& row : runs.result.models) {
      submitted += row.report.submitted;
      evicted += row.counters.evictions;
      loaded += row.counters.loads;
      n_expiries += row.counters.expiries;
    }
    EXPECT_EQ(submitted, all.submitted);
    n_loads += loaded;
    n_evictions += evicted;
    n_expired += all.expired;
  }
  EXPECT_GT(n_loads, 500);
  EXPECT_GT(n_evictions, 300);
  EXPECT_GT(n_expired, 100);
  EXPECT_GT(n_expiries, 20);
  EXPECT_GT(n_cancelled, 20);
}

// Two requests, one for each of two models that do not fit together: the second waits for the first's work and for
// its own weights.
TEST(SimulatePool, WhoIsNotThereWaitsForItsWeights) {
  const Models models = fp8_models(2, machine_for(1));
  SimulateOptions options;
  options.workload = {.requests = 40, .rate = 0.001, .burstiness = 1e9, .prompt = 100, .gen = 10, .seed = 1};
  options.kv_tokens = 4000;
  const PoolSimulation apart = simulate_pool(models, options, {.load_rate = kDrive});
  const double load = models.front()->footprint().weights.value() / kDrive.value();
  EXPECT_NEAR(apart.result.models[0].load.value(), load, 1e-6);
  const double quick = simulate(*models.front(), options).report.ttft.mean.value();
  // With every request long after the last, it pays for a load if the one before was for the other.
  const std::int64_t n_loads = apart.result.models[0].counters.loads + apart.result.models[1].counters.loads;
  EXPECT_GT(n_loads, 10);
  EXPECT_LT(n_loads, 30);
  EXPECT_NEAR(apart.result.fleet.report.ttft.mean.value(), quick + load * static_cast<double>(n_loads) / 40, 1e-6);
  // Waiting for weights is waiting, and the device rests.
  const Report& all = apart.result.fleet.report;
  EXPECT_NEAR(all.mean_waiting * all.duration.value(), load * static_cast<double>(n_loads), 1e-6);
  // With room for both nobody waits.
  const PoolSimulation together = simulate_pool(fp8_models(2, machine_for(2)), options, {.load_rate = kDrive});
  EXPECT_NEAR(together.result.fleet.report.ttft.mean.value(), quick, 1e-9);
  EXPECT_EQ(together.result.models[1].counters.loads, 0);
}

// What is asked of both at once takes turns step by step: both are half as fast.
TEST(SimulatePool, ModelsTakeTurnsOnTheDevice) {
  const Models models = fp8_models(2, machine_for(2));
  SimulateOptions options;
  options.workload = {.requests = 400, .prompt = 1, .gen = 500, .seed = 1};
  options.users = 2;
  options.kv_tokens = 4000;
  const double alone = simulate(*models.front(), options).report.tpot.mean.value();
  const Report both = simulate_pool(models, options, {.load_rate = kDrive}).result.fleet.report;
  // Half of the time the two users ask the same model, and share its steps.
  EXPECT_GT(both.tpot.mean.value(), 1.3 * alone);
  EXPECT_LT(both.tpot.mean.value(), 1.7 * alone);
}

// Boxes that take turns are pools by themselves, each with its part of the requests.
TEST(SimulatePool, OfBoxesThatTakeTurnsIsThatOfEachByItself) {
  const Models models = fp8_models(3, machine_for(1.5));
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    SimulateOptions options = traffic(seed);
    options.users = 0;
    options.workload.turns = 1;
    options.workload.shared_prefix = 0;
    options.in_flight_max = {};
    options.boxes = 2;
    options.n_threads = 2;
    const PoolOptions pool{.mix = {3, 2, 1}, .load_rate = kDrive * 5};
    const PoolSimulation both = simulate_pool(models, options, pool);
    PoolContents contents{.members = {}, .bytes = both.result.bytes};
    for (std::size_t i = 0; i < models.size(); ++i) {
      SimulateOptions of_this = options;
      of_this.kv_tokens = both.kv_tokens[i];
      contents.members.push_back({.model = models[i].get(), .scheduler = scheduler_of(*models[i], of_this)});
      contents.members.back().memory = {.bytes = both.result.models[i].bytes,
                                        .load = to_duration(both.result.models[i].load)};
    }
    options.workload.mix = pool.mix;
    RequestGenerator generator(options.workload);
    std::vector<Request> parts[2];
    for (std::size_t i = 0; auto request = generator.next(); ++i) parts[i % 2].push_back(*std::move(request));
    for (std::size_t i = 0; i < 2; ++i) {
      const auto make = [&] { return Traffic{.source = std::make_unique<TraceArrivals>(parts[i])}; };
      const PoolResult one = run_pool(contents, {}, make);
      EXPECT_EQ(report_json(one.fleet.boxes.front()), report_json(both.result.fleet.boxes.at(i)));
    }
  }
}

// All steps of a box's models, one after the other on one body: it has their energy, and that of the rest between.
TEST(SimulatePool, ABodyHasTheEnergyOfItsModelsSteps) {
  struct One {
    std::int64_t model = 0;
    StepRun run;
    TimePoint end{};
  };
  using All = std::map<TimePoint, One>;
  struct Steps final : BoxWatch {
    Steps(All& all_, std::int64_t model_) : all(all_), model(model_) {}
    void on_run(const StepRun& run, TimePoint start, const RunTimes& times, const Scheduler&) override {
      EXPECT_TRUE(all.empty() || all.rbegin()->second.end <= start) << "one at a time";
      all[start] = {model, run, times.end};
    }
    All& all;
    std::int64_t model = 0;
  };
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(seed);
    const Models models = fp8_models(2, machine_for(seed % 2 == 0 ? 1.0 : 2.0));
    SimulateOptions options = traffic(seed);
    options.body = BodyOptions{.faults = {fault(20, 40, {.memory = 0.5})}};
    All all;
    std::deque<Steps> watches;
    options.watch = [&](std::int64_t, std::int64_t model) {
      return std::vector<BoxWatch*>{&watches.emplace_back(all, model)};
    };
    const PoolSimulation result = simulate_pool(models, options, {.load_rate = kDrive * 10});
    std::vector<StepTable> tables;
    for (const auto& model : models) tables.emplace_back(*model);
    TableExecutor a(tables[0]), b(tables[1]);
    BodyExecutor body(a, *models[0], *options.body);
    Executor* executors[] = {&body, &body.also(b, *models[1])};
    TimePoint end{};
    for (const auto& [start, one] : all) {
      RunTimes times;
      executors[one.model]->run(one.run, start, TimePoint::max(), times);
      EXPECT_EQ(times.end, one.end);
      end = times.end;
    }
    EXPECT_EQ(body.report(end).joules, result.body->joules);
    EXPECT_GT(result.body->joules, 0);
  }
}

// What a model has kept of prompts goes with it: only who finds it there finds them.
TEST(SimulatePool, AModelThatIsLoadedHasReadNothing) {
  SimulateOptions options;
  options.workload = {.requests = 60, .rate = 0.001, .burstiness = 1e9, .prompt = 20, .gen = 4, .seed = 1,
                      .shared_prefix = 160};
  options.kv_tokens = 1600;
  options.prefix_cache = true;
  for (const double room : {1.0, 2.0}) {
    const PoolSimulation result = simulate_pool(fp8_models(2, machine_for(room)), options, {.load_rate = kDrive});
    std::int64_t n_read = 0;  // by a model that had read nothing
    for (const PoolRow& row : result.result.models) n_read += row.counters.loads;
    EXPECT_EQ(n_read > 0, room == 1);
    // Of those that were there from the beginning, whoever was asked before it gave way.
    WorkloadOptions drawn = options.workload;
    drawn.mix = {1, 1};
    n_read += room == 2 ? 2 : RequestGenerator(drawn).next()->model == 0 ? 1 : 0;
    EXPECT_EQ(result.result.fleet.report.prefix_hit_tokens, (60 - n_read) * 160);
  }
}

// Two that fit at once never wait for one another's memory, whatever is asked of them, on any box.
TEST(SimulatePool, WhoFitTogetherAreNeverLoaded) {
  const Models models = fp8_models(2, machine_for(2));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimulateOptions options = traffic(seed);
    options.kv_tokens = std::min<std::int64_t>(*options.kv_tokens, 8000);
    options.boxes = 1 + static_cast<std::int64_t>(seed % 3);
    options.routing = RouterPolicy::LeastLoaded;
    const PoolSimulation result = simulate_pool(models, options, {.load_rate = kDrive});
    for (const PoolRow& row : result.result.models) {
      EXPECT_EQ(row.counters.loads + row.counters.evictions, 0) << seed;
      EXPECT_GT(row.report.finished, 0) << seed;
    }
  }
}

// A router that looks sends requests where their model is: boxes that hold one each of two keep to it.
TEST(SimulatePool, ARouterSparesLoads) {
  const Models models = fp8_models(2, machine_for(1));
  const auto loads = [&](RouterPolicy routing) {
    SimulateOptions options{.kv_tokens = 4000, .boxes = 4, .routing = routing};
    options.workload = {.requests = 300, .rate = 0.2, .prompt = 100, .gen = 20, .seed = 2};
    std::int64_t n = 0;
    for (const PoolRow& row : simulate_pool(models, options, {.load_rate = kDrive}).result.models) {
      n += row.counters.loads;
    }
    return n;
  };
  const std::int64_t blind = loads(RouterPolicy::RoundRobin);
  EXPECT_GT(blind, 50);
  for (const RouterPolicy routing : {RouterPolicy::LeastLoaded, RouterPolicy::LeastKv, RouterPolicy::PrefixAware}) {
    EXPECT_LT(loads(routing), blind / 5);
  }
}

// Windows of the chart sum up to the report, whoever's turn it is.
TEST(SimulatePool, TimeLinesKnowWhoWaitsForATurnOrForWeights) {
  struct Longest final : BoxWatch {
    void on_run(const StepRun&, TimePoint, const RunTimes& times, const Scheduler&) override {
      for (const RunTimes::Piece& piece : times.pieces) step = std::max(step, piece.step);
    }
    Duration step{};
  };
  for (const double room : {1.0, 2.0}) {
    const Models models = fp8_models(2, machine_for(room));
    SimulateOptions options;
    options.workload = {.requests = 300, .rate = 0.4, .prompt = 100, .gen = 30, .seed = 2};
    options.kv_tokens = 4000;
    TimeLines lines;
    Longest longest;
    options.watch = [&](std::int64_t box, std::int64_t) { return std::vector<BoxWatch*>{lines.box(box), &longest}; };
    const Report r = simulate_pool(models, options, {.load_rate = kDrive * 10}).result.fleet.report;
    TimeLines::Window all;
    for (const TimeLines::Window& w : lines.windows()) all.merge(w);
    const double s = r.duration.value();
    EXPECT_NEAR(all.running_s, r.mean_running * s, 1e-6 * s);
    EXPECT_NEAR(all.waiting_s, r.mean_waiting * s, 1e-6 * s);
    EXPECT_NEAR(all.busy_s, r.busy.value(), 1e-6 * s);
    // Little's law: who is inside is there from arrival to end, but for the rest of the step during which he came.
    const double request_time = models.front()->twin().stack.price.request_time;
    const double inside = static_cast<double>(r.finished) * (r.e2e.mean.value() - request_time);
    EXPECT_LE(all.running_s + all.waiting_s, inside * (1 + 1e-9));
    EXPECT_GE(all.running_s + all.waiting_s,
              inside - static_cast<double>(r.finished) * to_seconds(longest.step).value());
  }
}

std::string refusal(const Models& models, const SimulateOptions& options, const PoolOptions& pool) {
  try {
    simulate_pool(models, options, pool);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(SimulatePool, BadOptionsAreNamed) {
  const Models models = fp8_models(2, machine_for(1.5));
  SimulateOptions options = traffic(1);
  const PoolOptions pool{.load_rate = kDrive};
  EXPECT_NE(refusal(models, options, {.mix = {1}, .load_rate = kDrive}).find("--mix has 1"), std::string::npos);
  EXPECT_NE(refusal(models, options, {.mix = {1, 0}, .load_rate = kDrive}).find("above 0"), std::string::npos);
  EXPECT_NE(refusal(models, options, {.keep_alive = Seconds(0), .load_rate = kDrive}).find("--keep-alive"),
            std::string::npos);
  EXPECT_NE(refusal(models, options, {}).find("--load-rate"), std::string::npos);
  EXPECT_NE(refusal(models, options, {.pinned = {true, false}, .load_rate = kDrive}).find("pin fewer"),
            std::string::npos);
  options.disaggregation.emplace();
  EXPECT_NE(refusal(models, options, pool).find("--disaggregate"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
