// Steps priced in runs are the steps one by one, to the last bit of the report: with prefix cache, preemptions,
// priorities, fairness and deadlines, under every policy.
#include <gtest/gtest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "box/simulate.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

TEST(SimulateRuns, EqualItsStepsToTheLastBit) {
  const StepModel& model = testing::fp8_twin();
  std::int64_t n_preemptions = 0, n_large = 0, n_hit_tokens = 0, n_expired = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    Random random(seed, Stream::Test);
    SimulateOptions options;
    options.workload = {.requests = random.range(1, 300),
                        .rate = std::exp(3 * random.uniform() - 2),
                        .burstiness = random.range(0, 1) == 0 ? 1 : 0.3,
                        .prompt = random.range(1, 900),
                        .gen = random.range(1, 120),
                        .range_ratio = random.uniform(),
                        .seed = seed};
    options.users = random.range(0, 2) == 0 ? random.range(1, 40) : 0;
    if (random.range(0, 1) == 0) options.kv_tokens = random.range(2200, 6000);
    if (random.range(0, 1) == 0) options.sequences_max = random.range(1, 20);
    if (random.range(0, 1) == 0) options.step_tokens_max = random.range(1, 700);
    const auto policy = static_cast<std::size_t>(random.range(0, std::ssize(policies()) - 1));
    options.policy = policies()[policy].name;
    if (random.range(0, 3) == 0) options.prefix_cache = random.range(0, 1) == 0;
    options.fair = random.range(0, 1) == 0;
    options.workload.keys = random.range(1, 4);
    options.workload.priorities = random.range(1, 3);
    if (random.range(0, 3) == 0) options.workload.timeout = std::exp(4 * random.uniform());
    if (random.range(0, 1) == 0) options.workload.shared_prefix = random.range(1, 300);
    if (random.range(0, 1) == 0) {
      options.workload.turns = random.range(2, 5);
      options.workload.think = random.uniform();
    }
    if (seed % 10 == 0) {  // users who ask anew as soon as they are given up
      options.users = random.range(2, 10);
      options.workload.requests = 200;
      options.workload.range_ratio = 1;
      options.workload.think = 0.1;
      options.workload.timeout = 5 + 20 * random.uniform();
    }
    const SimulationResult runs = simulate(model, options);
    options.by_steps = true;
    const SimulationResult steps = simulate(model, options);
    ASSERT_EQ(simulation_json(runs).dump(2), simulation_json(steps).dump(2)) << seed;
    n_preemptions += runs.report.preemptions;
    n_large += runs.report.itl.n > kExactMax;
    n_hit_tokens += runs.report.prefix_hit_tokens;
    n_expired += runs.report.expired;
  }
  EXPECT_GT(n_preemptions, 100);
  EXPECT_GT(n_large, 10);
  EXPECT_GT(n_hit_tokens, 100'000);
  EXPECT_GT(n_expired, 100);
}

}  // namespace
}  // namespace tinderbox
