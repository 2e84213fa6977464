#include "box/fleet.h"

#include <gtest/gtest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "box/simulate.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

SimulateOptions traffic(std::uint64_t seed) {
  Random random(seed, Stream::Test);
  SimulateOptions options;
  options.workload = {.requests = random.range(20, 200),
                      .rate = std::exp(3 * random.uniform() - 2),
                      .prompt = random.range(1, 300),
                      .gen = random.range(1, 60),
                      .range_ratio = random.uniform(),
                      .seed = seed};
  if (random.range(0, 1) == 0) options.users = random.range(1, 30);
  if (random.range(0, 3) == 0) options.workload.timeout = 1 + 30 * random.uniform();
  if (random.range(0, 2) == 0) {
    options.workload.turns = 3;
    options.workload.think = random.uniform() * 5;
    options.workload.shared_prefix = 64;
  }
  return options;
}

std::string text(const SimulationResult& result) { return report_json(result.report).dump(2); }

// One box behind a router is that box.
TEST(Fleet, OfOneBoxIsTheBox) {
  const StepModel& model = testing::fp8_twin();
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const SimulateOptions options = traffic(seed);
    const SimulationResult alone = simulate(model, options);
    const Scheduler fresh(
        alone.limits,
        KvPool(static_cast<std::int32_t>(alone.report.kv_blocks), alone.kv_block_tokens),
        alone.policy);
    for (const RouterPolicy routing :
         {RouterPolicy::RoundRobin, RouterPolicy::LeastLoaded, RouterPolicy::PrefixAware}) {
      const FleetOptions fleet{
          .routing = routing,
          .request_time = to_duration(Seconds(model.twin().stack.price.request_time))};
      const FleetResult result =
          run_fleet(model, fresh, fleet, [&] { return traffic_of(options, {user_side(model, fresh)}); });
      ASSERT_EQ(report_json(result.report).dump(2), text(alone)) << seed;
    }
  }
}

TEST(Fleet, IsTheSameForAnyNumberOfThreadsAndByStepsAndLosesNobody) {
  const StepModel& model = testing::fp8_twin();
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    SimulateOptions options = traffic(seed);
    options.boxes = 1 + static_cast<std::int64_t>(seed % 5) + 1;
    for (const RouterPolicy routing :
         {RouterPolicy::RoundRobin, RouterPolicy::Random, RouterPolicy::LeastLoaded,
          RouterPolicy::LeastKv, RouterPolicy::PrefixAware}) {
      options.routing = routing;
      options.n_threads = 1;
      options.by_steps = false;
      const std::string one = simulation_json(simulate(model, options)).dump(2);
      options.n_threads = 2;
      ASSERT_EQ(simulation_json(simulate(model, options)).dump(2), one) << seed;
      options.by_steps = true;
      const SimulationResult steps = simulate(model, options);
      ASSERT_EQ(simulation_json(steps).dump(2), one)
          << seed << router_names()[static_cast<std::size_t>(routing)];
      EXPECT_EQ(steps.report.finished + steps.report.refused + steps.report.expired, steps.report.submitted);
      EXPECT_EQ(steps.report.submitted, options.workload.requests);
    }
  }
}

// Boxes that take turns are boxes by themselves, each with its part of the requests.
TEST(Fleet, OfBoxesThatTakeTurnsIsThatOfEachByItself) {
  const StepModel& model = testing::fp8_twin();
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimulateOptions options = traffic(seed);
    options.users = 0;
    options.workload.turns = 1;
    options.workload.shared_prefix = 0;
    if (seed % 3 == 0) options.workload.timeout = 10;
    const SimulationResult alone = simulate(model, options);
    const KvPool pool(static_cast<std::int32_t>(alone.report.kv_blocks), alone.kv_block_tokens);
    const Scheduler fresh(alone.limits, pool, alone.policy);
    const std::size_t n = 2 + seed % 4;
    std::vector<std::vector<Request>> parts(n);
    std::vector<Request> all;
    RequestGenerator generator(options.workload);
    while (auto request = generator.next()) all.push_back(*std::move(request));
    for (std::size_t i = 0; i < all.size(); ++i) parts[i % n].push_back(all[i]);
    const auto source = [](const std::vector<Request>& requests) {
      return [&requests] { return Traffic{.source = std::make_unique<TraceArrivals>(requests)}; };
    };
    const FleetResult fleet = run_fleet(model, fresh, {.n_boxes = n, .n_threads = 2}, source(all));
    for (std::size_t i = 0; i < n; ++i) {
      const FleetResult part = run_fleet(model, fresh, {}, source(parts[i]));
      ASSERT_EQ(report_json(fleet.boxes[i]).dump(2), report_json(part.report).dump(2)) << seed;
    }
  }
}

TEST(Fleet, LookingAtTheBoxesIsNoWorseThanChance) {
  const StepModel& model = testing::fp8_twin();
  double blind = 0, looking = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SimulateOptions options;
    options.workload = {
        .requests = 200, .rate = 0.4, .prompt = 200, .gen = 60, .range_ratio = 0.9, .seed = seed};
    options.boxes = 4;
    options.routing = RouterPolicy::Random;
    blind += simulate(model, options).report.e2e.mean.value();
    options.routing = RouterPolicy::LeastLoaded;
    looking += simulate(model, options).report.e2e.mean.value();
  }
  EXPECT_LT(looking, blind);
}

TEST(Fleet, PrefixesAreFoundWhereTheyWere) {
  const StepModel& model = testing::fp8_twin();
  std::int64_t aware = 0, random = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    SimulateOptions options;
    options.workload = {.requests = 300,
                        .rate = 0.02,
                        .prompt = 100,
                        .gen = 20,
                        .seed = seed,
                        .turns = 6,
                        .think = 20};
    options.boxes = 4;
    options.prefix_cache = true;
    options.routing = RouterPolicy::PrefixAware;
    aware += simulate(model, options).report.prefix_hit_tokens;
    options.routing = RouterPolicy::Random;
    random += simulate(model, options).report.prefix_hit_tokens;
  }
  EXPECT_GT(aware, 2 * random);
}

TEST(Router, TakesTurnsAmongEqualsAndNamesWhatItDoesNotKnow) {
  Router router(RouterPolicy::LeastLoaded, 3, 0);
  const std::vector<BoxView> equal(3);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(router.choose({}, equal), i % 3);
  const std::vector<BoxView> busy = {{.requests = 2}, {.requests = 1}, {.requests = 3}};
  EXPECT_EQ(router.choose({}, busy), 1U);
  // A box that would have to load the model comes second, unless the others have far more to do.
  std::vector<BoxView> others = {{.requests = 2}, {.requests = 12, .kv = 9}, {.requests = 12, .kv = 8}};
  others[0].has_model = false;
  for (const RouterPolicy routing : {RouterPolicy::LeastLoaded, RouterPolicy::LeastKv, RouterPolicy::PrefixAware}) {
    EXPECT_NE(Router(routing, 3, 0).choose({}, others), 0U);
  }
  EXPECT_EQ(Router(RouterPolicy::LeastKv, 3, 0).choose({}, others), 2U);
  EXPECT_EQ(Router(RouterPolicy::PowerAware, 3, 0, 20).choose({}, others), 1U);
  EXPECT_EQ(Router(RouterPolicy::PowerAware, 3, 0, 5).choose({}, others), 1U);
  for (std::size_t i = 1; i < 3; ++i) others[i].requests = 19;
  for (const RouterPolicy routing : {RouterPolicy::LeastLoaded, RouterPolicy::LeastKv, RouterPolicy::PrefixAware}) {
    EXPECT_EQ(Router(routing, 3, 0).choose({}, others), 0U);
  }
  for (BoxView& box : others) box.has_model = false;  // nobody has it
  others[2].requests = 1;
  EXPECT_EQ(Router(RouterPolicy::LeastLoaded, 3, 0).choose({}, others), 2U);
  try {
    parse_router("least-loded", "--router");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'least-loaded'"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace tinderbox
