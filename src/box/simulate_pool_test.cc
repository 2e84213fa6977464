// Laws of several models in one memory over random traffic: one alone is the box it would be without, nobody is lost,
// memory is never too little, steps in runs are steps one by one; and what a load costs, by hand.
#include "box/simulate_pool.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "sched/policy.h"
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
  Machine machine = testing::round_machine();
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
  options.kv_tokens = longest_request(options.workload) + random.range(16, 2000);
  options.policy = std::string(policies()[static_cast<std::size_t>(random.range(0, 4))].name);
  return options;
}

// But for what a pool cannot see, or sees in another way.
nlohmann::ordered_json without_means(const Report& of) {
  nlohmann::ordered_json report = report_json(of);
  for (const char* key : {"kv_blocks", "kv_blocks_peak", "peak_kv_share", "mean_kv_share", "mean_running",
                          "mean_waiting"}) {
    report.erase(key);
  }
  return report;
}

TEST(SimulatePool, OneAloneIsTheBoxThatItWouldBeWithoutAPool) {
  const Models models = fp8_models(1, machine_for(1));
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const SimulateOptions options = traffic(seed);
    const PoolSimulation pooled = simulate_pool(models, options, {.load_rate = kDrive});
    const SimulationResult alone = simulate(*models.front(), options);
    EXPECT_EQ(without_means(pooled.result.report), without_means(alone.report)) << seed;
    EXPECT_EQ(without_means(pooled.result.models.front().report), without_means(alone.report)) << seed;
    if (alone.report.expired + alone.report.preemptions == 0) {
      EXPECT_NEAR(pooled.result.report.mean_running, alone.report.mean_running, 1e-6) << seed;
    }
    EXPECT_EQ(pooled.result.models.front().counters.loads, 0);
  }
}

TEST(SimulatePool, LosesNobodyAndIsTheSameByStepsHoweverLittleMemory) {
  std::int64_t n_loads = 0, n_evictions = 0, n_expired = 0, n_expiries = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, Stream::Test, 1);
    const Models models = fp8_models(static_cast<std::size_t>(random.range(2, 4)),
                                     machine_for(1 + 3 * random.uniform()));
    PoolOptions pool{.load_rate = kDrive * (1 + 20 * random.uniform())};
    for (std::size_t i = 0; i < models.size(); ++i) pool.mix.push_back(0.1 + random.uniform());
    if (random.range(0, 2) == 0) pool.keep_alive = Seconds(30 * random.uniform() + 0.1);
    SimulateOptions options = traffic(seed);
    const PoolSimulation runs = simulate_pool(models, options, pool);
    options.by_steps = true;
    ASSERT_EQ(pool_json(simulate_pool(models, options, pool)).dump(2), pool_json(runs).dump(2));
    const Report& all = runs.result.report;
    EXPECT_EQ(all.submitted, options.workload.requests);
    EXPECT_EQ(all.finished + all.expired, all.submitted);
    EXPECT_LE(runs.result.bytes_peak, runs.result.bytes);
    EXPECT_LE(all.busy, all.duration * (1 + 1e-9));  // one step at a time
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
  EXPECT_NEAR(apart.result.report.ttft.mean.value(), quick + load * static_cast<double>(n_loads) / 40, 1e-6);
  // With room for both nobody waits.
  const PoolSimulation together = simulate_pool(fp8_models(2, machine_for(2)), options, {.load_rate = kDrive});
  EXPECT_NEAR(together.result.report.ttft.mean.value(), quick, 1e-9);
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
  const Report both = simulate_pool(models, options, {.load_rate = kDrive}).result.report;
  // Half of the time the two users ask the same model, and share its steps.
  EXPECT_GT(both.tpot.mean.value(), 1.3 * alone);
  EXPECT_LT(both.tpot.mean.value(), 1.7 * alone);
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
  options.boxes = 2;
  EXPECT_NE(refusal(models, options, pool).find("--boxes"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
