#include "box/simulate.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/quantile.h"
#include "box/serving_policy.h"
#include "box/twin_executor.h"
#include "model/config.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

std::string json(const SimulateOptions& options) {
  return simulation_json(simulate(testing::fp8_twin(), options)).dump(2);
}

Seconds prefill_price(std::int32_t n_prompt) {
  const std::vector<Segment> alone = {{.n_past = 0, .n_new = n_prompt, .samples = true}};
  return testing::fp8_twin().price(alone).time;
}

TEST(Simulate, SameSeedSameBytes) {
  const SimulateOptions one = {
      .workload = {.requests = 60, .rate = 2, .prompt = 300, .gen = 40, .seed = 1}};
  SimulateOptions other = one;
  other.workload.seed = 2;
  EXPECT_EQ(json(one), json(one));
  EXPECT_NE(json(one), json(other));
}

TEST(Simulate, EveryRequestFinishesWithEveryToken) {
  const SimulationResult r = simulate(
      testing::fp8_twin(),
      {.workload = {.requests = 200, .rate = 20, .prompt = 300, .gen = 40}, .kv_tokens = 4000});
  EXPECT_EQ(r.report.submitted, 200);
  EXPECT_EQ(r.report.finished, 200);
  EXPECT_EQ(r.report.refused, 0);
  EXPECT_EQ(r.report.prompt_tokens, 200 * 300);
  EXPECT_EQ(r.report.output_tokens, 200 * 40);
  EXPECT_EQ(r.report.itl.n, 200 * 39);
  EXPECT_LE(r.report.kv_blocks_peak, 250);
  EXPECT_GT(r.report.preemptions, 0) << "the pool is tight on purpose";
}

// As many samples as are asked for are kept; of more, a percentile is within the error that is stated.
TEST(Simulate, PercentilesAreExactForAsManySamplesAsAskedFor) {
  SimulateOptions options = {.workload = {.requests = 12'000, .rate = 3, .prompt = 300, .gen = 4, .seed = 3}};
  std::vector<double> ttft;
  options.on_finished = [&](const RequestTimes& t) { ttft.push_back(to_seconds(t.ttft).value()); };
  const Report rough = simulate(testing::fp8_twin(), options).report;
  std::ranges::sort(ttft);
  const double p99 = quantile(ttft, 0.99);
  ttft.clear();
  options.exact_max = 12'000;
  const Report exact = simulate(testing::fp8_twin(), options).report;
  EXPECT_NEAR(exact.ttft.p99.value(), p99, 1e-12);
  EXPECT_NE(rough.ttft.p99.value(), exact.ttft.p99.value());
  EXPECT_NEAR(rough.ttft.p99.value(), p99, kDurationError * p99);
  EXPECT_EQ(rough.ttft.mean.value(), exact.ttft.mean.value());
  options.boxes = 2;
  EXPECT_THROW(simulate(testing::fp8_twin(), options), Error);
}

// Alone, a request waits for nothing but its own prompt.
TEST(Simulate, AtLowRateTtftIsThePriceOfThePrefill) {
  const Report r =
      simulate(testing::fp8_twin(), {.workload = {.requests = 100, .rate = 1e-6, .prompt = 300, .gen = 3}})
          .report;
  EXPECT_NEAR(r.ttft.p99.value(), prefill_price(300).value(), 2e-9);
  EXPECT_NEAR(r.ttft.mean.value(), prefill_price(300).value(), 2e-9);
}

// The stack's time of a request stands before its first token, as in predict().
TEST(Simulate, ClientsWaitForTheRequestItself) {
  Stack stack = testing::round_stack();
  stack.price.request_time = 0.25;
  const SimulateOptions options{.workload = {.requests = 50, .rate = 2, .prompt = 300, .gen = 5}};
  const Report before = simulate(testing::fp8_twin(), options).report;
  const Report after = simulate(testing::fp8_twin().with_stack(stack), options).report;
  EXPECT_NEAR(after.ttft.mean.value(), before.ttft.mean.value() + 0.25, 1e-9);
  EXPECT_NEAR(after.e2e.p99.value(), before.e2e.p99.value() + 0.25, 1e-9);
  EXPECT_EQ(after.tpot.mean, before.tpot.mean);
  EXPECT_EQ(after.duration, before.duration);
}

TEST(Simulate, NothingIsFasterThanItsOwnPrefill) {
  const Report r =
      simulate(testing::fp8_twin(), {.workload = {.requests = 300, .rate = 3, .prompt = 300, .gen = 3}}).report;
  EXPECT_GE(r.ttft.mean, prefill_price(300));
  EXPECT_GE(r.ttft.p50, prefill_price(300));
  EXPECT_GE(r.ttft.mean, r.queue.mean + prefill_price(300));
}

// One sequence at a time and one step a request is the M/D/1 queue, whose mean wait is rho S / (2
// (1 - rho)) (Pollaczek-Khinchine). The mean over 40,000 customers has a standard error near 2 % at
// rho = 0.5.
TEST(Simulate, OneAtATimeIsAnMD1Queue) {
  const Seconds service = prefill_price(100);
  const double rho = 0.5;
  const Report r = simulate(testing::fp8_twin(), {.workload = {.requests = 40'000,
                                                  .rate = rho / service.value(),
                                                  .prompt = 100,
                                                  .gen = 1,
                                                  .seed = 7},
                                     .sequences_max = 1})
                       .report;
  const double expected = rho * service.value() / (2 * (1 - rho));
  EXPECT_NEAR(r.queue.mean.value(), expected, 0.06 * expected);
  EXPECT_NEAR(r.busy / r.duration, rho, 0.02);
}

// The same of an open loop, of those who run and of those who wait; whoever comes within a step is seen at its end.
TEST(Simulate, OpenLoopObeysLittlesLaw) {
  for (const std::int64_t boxes : {1, 3}) {
    const Report r = simulate(testing::fp8_twin(),
                              {.workload = {.requests = 2000, .rate = 0.4, .prompt = 64, .gen = 32},
                               .sequences_max = 4,
                               .boxes = boxes})
                         .report;
    const double rate = r.request_rate.value(), running = rate * (r.e2e.mean - r.queue.mean).value();
    EXPECT_NEAR(r.mean_running, running, 1e-9 * running) << boxes;
    EXPECT_LE(r.mean_waiting, rate * r.queue.mean.value()) << boxes;
    EXPECT_EQ(r.mean_waiting > 0, boxes == 1);
    EXPECT_GT(r.mean_kv_share, 0);
    EXPECT_LE(r.busy_share, 1);
    EXPECT_LT(r.mean_kv_share, static_cast<double>(r.kv_blocks_peak) / static_cast<double>(r.kv_blocks));
  }
}

// Little's law: what is in the box on average = rate of arrival * time spent there.
TEST(Simulate, ClosedLoopObeysLittlesLaw) {
  const Report r =
      simulate(testing::fp8_twin(), {.workload = {.requests = 400, .prompt = 64, .gen = 32}, .users = 8}).report;
  EXPECT_EQ(r.finished, 400);
  EXPECT_NEAR(static_cast<double>(r.finished) * r.e2e.mean.value() / r.duration.value(), 8, 0.2);
  EXPECT_LE(r.mean_batch, 8);
}

TEST(Simulate, RefusesWhatCannotRunAndSaysWhy) {
  const auto message = [](const SimulateOptions& options) -> std::string {
    try {
      simulate(testing::fp8_twin(), options);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message({.workload = {.prompt = 200'000}}).find("131072"), std::string::npos);
  EXPECT_NE(message({.kv_tokens = 100}).find("KV cache holds 100"), std::string::npos);
  EXPECT_NE(message({.sequences_max = 0}).find("sequences_max is 0"), std::string::npos);
  EXPECT_NE(message({.users = std::int64_t{1} << 40}).find("users"), std::string::npos);
  EXPECT_NE(message({.workload = {.rate = -1}}).find("rate"), std::string::npos);
  EXPECT_NE(message({.policy = "best"}).find("choose one of fcfs"), std::string::npos);
  EXPECT_NE(message({.workload = {.keys = 0}}).find("keys is 0"), std::string::npos);
  EXPECT_NE(message({.workload = {.priorities = 1 << 20}}).find("priorities"), std::string::npos);
  EXPECT_NE(message({.workload = {.timeout = 0}}).find("timeout"), std::string::npos);
  EXPECT_NE(message({.kv_tokens = -5}).find("KV cache holds 0"), std::string::npos);
}

TEST(Simulate, EveryStackHasAPolicyThatIsKnown) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(TINDERBOX_SOURCE_DIR "/data/stacks")) {
    const Stack stack = parse_stack(read_file(entry.path()), entry.path().string());
    names.insert(std::string(policy_named(stack.policy, stack.id).name));
  }
  EXPECT_EQ(std::ssize(names), std::ssize(policies())) << "a policy that no stack uses";
}

// A conversation's turns ask with all that was said, of which only the new prompt is not there yet.
TEST(Simulate, ThePrefixCacheSparesWhatWasSaid) {
  SimulateOptions options = {.workload = {.requests = 300, .rate = 0.2, .prompt = 160, .gen = 32, .seed = 3}};
  options.workload.turns = 3;
  options.workload.shared_prefix = 320;
  // First turns find the common beginning, but for the first of all; later ones what was said, but for its last
  // token, which nobody has read yet; in whole blocks.
  std::int64_t n_said = -320;
  options.on_finished = [&](const RequestTimes& t) {
    n_said += t.n_prompt == 480 ? 320 : (t.n_prompt - 160 - 1) / 16 * 16;
  };
  const Report with = simulate(testing::fp8_twin(), options).report;
  EXPECT_EQ(with.prefix_hit_tokens, n_said);
  options.on_finished = {};
  options.prefix_cache = false;
  const Report without = simulate(testing::fp8_twin(), options).report;
  EXPECT_EQ(without.prefix_hit_tokens, 0);
  EXPECT_LT(with.ttft.mean.value(), 0.5 * without.ttft.mean.value());
  EXPECT_EQ(with.finished, 300);
}

// With room for everything and one request after the other, what is found is what a list of all beginnings so far
// has, in whole blocks; of the hashes that Mooncake published.
TEST(Simulate, FindsThePrefixesThatATracePublishes) {
  SimulateOptions options;
  options.workload.trace = std::make_shared<const Trace>(
      load_trace(TINDERBOX_SOURCE_DIR "/data/traces/mooncake-conversation-60.jsonl", {.speed = 1e-4}));
  options.kv_tokens = 16'000'000;
  std::set<std::vector<std::uint64_t>> beginnings;
  std::int64_t n_expected = 0;
  for (const Request& r : options.workload.trace->requests) {
    std::vector<std::uint64_t> beginning;
    std::int64_t n_there = 0;
    for (const Content& content : r.contents) {
      beginning.push_back(content.id);
      if (!beginnings.insert(beginning).second) n_there += content.n_tokens;
    }
    n_expected += std::min<std::int64_t>(n_there, r.n_prompt - 1) / 16 * 16;
  }
  ASSERT_GT(n_expected, 10'000);
  EXPECT_EQ(simulate(testing::fp8_twin(), options).report.prefix_hit_tokens, n_expected);
}

// Their state is not in KV blocks.
TEST(Simulate, RecurrentModelsKeepNothingUnlessTold) {
  TwinModel hybrid = testing::fp8_twin().twin();
  hybrid.model = load_config(TINDERBOX_SOURCE_DIR "/data/models/qwen3-next-80b-a3b.json");
  EXPECT_TRUE(has_recurrent_state(hybrid.model));
  EXPECT_FALSE(serving_policy(hybrid).prefix_cache);
  EXPECT_TRUE(serving_policy(testing::fp8_twin().twin()).prefix_cache);
}

TEST(Simulate, UrgentRequestsWaitLess) {
  SimulateOptions options = {.workload = {.requests = 400, .rate = 20, .prompt = 200, .gen = 20}, .sequences_max = 4};
  options.workload.priorities = 2;
  std::map<SeqId, Duration> queue;
  options.on_finished = [&](const RequestTimes& t) { queue[t.id] = t.queue; };
  simulate(testing::fp8_twin(), options);
  RequestGenerator generator(options.workload);
  std::array<double, 2> sum{}, n{};
  while (const auto request = generator.next()) {
    sum[static_cast<std::size_t>(request->priority)] += to_seconds(queue.at(request->id)).value();
    ++n[static_cast<std::size_t>(request->priority)];
  }
  EXPECT_LT(sum[0] / n[0], 0.7 * (sum[1] / n[1]));
}

TEST(Simulate, WhatIsLateIsGivenUp) {
  SimulateOptions options = {.workload = {.requests = 400, .rate = 20, .prompt = 200, .gen = 20}, .sequences_max = 4};
  options.workload.timeout = 30;
  std::int64_t n_late = 0;
  options.on_finished = [&](const RequestTimes& t) { n_late += t.e2e > std::chrono::seconds(30); };
  const Report r = simulate(testing::fp8_twin(), options).report;
  EXPECT_GT(r.expired, 10);
  EXPECT_EQ(r.finished + r.expired, 400);
  EXPECT_LE(n_late, 4) << "only those that end in the very step of their deadline";
  options.workload.timeout = 1e6;
  EXPECT_EQ(simulate(testing::fp8_twin(), options).report.expired, 0);
}

TEST(Simulate, TellsItsProgress) {
  std::int64_t n_calls = 0, last = 0;
  simulate(testing::fp8_twin(), {.workload = {.requests = 500, .prompt = 10, .gen = 2}},
           [&](std::int64_t n, std::int64_t of) {
             ++n_calls;
             EXPECT_GT(n, last);
             EXPECT_EQ(of, 500);
             last = n;
           });
  EXPECT_EQ(n_calls, 100);
  EXPECT_EQ(last, 500);
}

// Tokens of a weightless answer depend on the request and the position, not on who shares the
// batch.
TEST(TwinExecutor, PlaceholdersDependOnSeedAndPositionOnly) {
  TwinExecutor executor(testing::fp8_twin(), {.n_ids = 1000});
  SamplingParams one, two;
  one.seed = 1;
  two.seed = 2;
  const std::vector<TokenId> prompt = {4, 5, 6};
  const auto item_of = [&](const SamplingParams& sampling, std::span<const TokenId> history) {
    StepItem item;
    item.n_new = 3;
    item.samples = true;
    item.history = history;
    item.sampling = &sampling;
    return item;
  };
  const auto sampled = [&](std::vector<StepItem> items) {
    return executor.run({.items = items, .n_tokens = 0}, {}).sampled;
  };
  const auto both = sampled({item_of(one, prompt), item_of(two, prompt)});
  EXPECT_EQ(sampled({item_of(two, prompt)})[0], both[1]);
  EXPECT_NE(both[0], both[1]);
  EXPECT_EQ(sampled({item_of(one, {})})[0], 0);
  for (const TokenId id : both) {
    EXPECT_GE(id, 0);
    EXPECT_LT(id, 1000);
  }
}

TEST(TwinExecutor, TimeSaturates) {
  EXPECT_EQ(after(TimePoint::max() - Duration(5), Duration(7)), TimePoint::max());
  EXPECT_EQ(after(TimePoint(Duration(5)), Duration(7)), TimePoint(Duration(12)));
}

// The whole output. UPDATE_GOLDEN=1 rewrites it; the laws above say whether a change can be right.
TEST(Simulate, Golden) {
  const SimulationResult result = simulate(testing::fp8_twin(), {.workload = {.requests = 50,
                                                                 .rate = 0.08,
                                                                 .prompt = 400,
                                                                 .gen = 60,
                                                                 .range_ratio = 0.5,
                                                                 .seed = 42}});
  const std::string text = simulation_table(result) + "\n" + simulation_json(result).dump(2) + "\n";
  const std::string path = TINDERBOX_SOURCE_DIR "/tests/golden/simulate.txt";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str());
}

}  // namespace
}  // namespace tinderbox
