// Laws of boxes of two roles over random traffic: nobody is lost, the work is that of boxes that do
// both, memory comes back, steps in runs are steps one by one; and what a transfer costs, by hand.
#include "box/disaggregate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "box/simulate.h"
#include "sched/policy.h"
#include "twin/memory_plan.h"
#include "twin/step_table.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

const BytesPerSecond kAtOnce(1e30);

SimulateOptions traffic(std::uint64_t seed, const StepModel& model) {
  Random random(seed, Stream::Test);
  SimulateOptions options;
  options.workload = {.requests = random.range(20, 150),
                      .rate = std::exp(3 * random.uniform() - 1),
                      .prompt = random.range(2, 300),
                      .gen = random.range(1, 60),
                      .range_ratio = random.uniform(),
                      .seed = seed};
  if (random.range(0, 2) == 0) options.users = random.range(1, 30);
  if (random.range(0, 3) == 0) {
    options.workload.turns = 3;
    options.workload.think = random.uniform() * 5;
    options.workload.shared_prefix = 64;
  }
  if (random.range(0, 3) == 0) options.workload.timeout = 1 + 30 * random.uniform();
  if (random.range(0, 3) > 0) {  // so little that boxes wait for one another
    options.kv_tokens = longest_request(options.workload) + random.range(16, 600);
  }
  options.policy = std::string(policies()[static_cast<std::size_t>(random.range(0, 4))].name);
  const double time = random.uniform();  // of a prompt on its way, seconds
  const Bytes size = kv_of_sequence(model.footprint(), options.workload.prompt);
  options.disaggregation = {.n_prefill = random.range(1, 3),
                            .n_decode = random.range(1, 3),
                            .bandwidth = random.range(0, 3) == 0 ? kAtOnce : size / Seconds(time),
                            .layerwise = random.range(0, 1) == 0};
  if (random.range(0, 2) == 0) options.step_tokens_max = random.range(16, 128);
  return options;
}

TEST(Disaggregate, LosesNobodyAndIsTheSameByStepsAndForAnyNumberOfThreads) {
  const StepModel& model = testing::fp8_twin();
  std::int64_t n_sent = 0, n_expired = 0, n_preempted = 0, n_hit = 0;
  double waited = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    SimulateOptions options = traffic(seed, model);
    options.n_threads = 1;
    const SimulationResult runs = simulate(model, options);
    const std::string text = simulation_json(runs).dump(2);
    options.n_threads = 2;
    ASSERT_EQ(simulation_json(simulate(model, options)).dump(2), text);
    options.by_steps = true;
    ASSERT_EQ(simulation_json(simulate(model, options)).dump(2), text);
    const Report& r = runs.report;
    EXPECT_EQ(r.submitted, options.workload.requests);
    EXPECT_EQ(r.finished + r.refused + r.expired, r.submitted);
    EXPECT_EQ(r.refused + r.cancelled, 0);
    EXPECT_EQ(r.ttft.n, r.finished);
    EXPECT_LE(r.kv_blocks_peak, r.kv_blocks);
    n_sent += runs.transfers->n;
    n_expired += r.expired;
    n_preempted += r.preemptions;
    n_hit += r.prefix_hit_tokens;
    waited += runs.transfers->wait.mean.value();
  }
  EXPECT_GT(n_sent, 5000);
  EXPECT_GT(n_expired, 100);
  EXPECT_GT(n_preempted, 10);
  EXPECT_GT(n_hit, 1000);
  EXPECT_GT(waited, 10);
}

// What is computed is what boxes that do both compute, each token of a prompt once, each but the
// last of an answer once; the first token comes with the prompt.
TEST(Disaggregate, DoesTheWorkOfBoxesThatDoBoth) {
  const StepModel& model = testing::fp8_twin();
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SimulateOptions options = traffic(seed, model);
    options.workload.timeout = std::numeric_limits<double>::infinity();
    options.kv_tokens.reset();  // nobody is preempted
    options.prefix_cache = false;
    options.users = 0;
    options.workload.turns = 1;
    options.disaggregation->bandwidth = kAtOnce;
    const Report apart = simulate(model, options).report;
    options.boxes = options.disaggregation->n_prefill;
    options.disaggregation.reset();
    const Report joined = simulate(model, options).report;
    ASSERT_EQ(apart.preemptions + joined.preemptions, 0);
    EXPECT_EQ(apart.prompt_tokens, joined.prompt_tokens) << seed;
    EXPECT_EQ(apart.output_tokens, joined.output_tokens) << seed;
    const auto computed = [](const Report& r) {
      return std::llround(r.mean_step_tokens * static_cast<double>(r.steps));
    };
    EXPECT_EQ(computed(apart), computed(joined)) << seed;
    EXPECT_EQ(computed(apart), apart.prompt_tokens + apart.output_tokens - apart.finished) << seed;
    EXPECT_EQ(apart.itl.n, apart.output_tokens - apart.finished) << seed;
  }
}

TEST(Disaggregate, ATransferCostsWhatTheLinkSaysBetweenTheFirstTwoTokens) {
  const StepModel& model = testing::fp8_twin();
  SimulateOptions options;
  options.workload = {.requests = 1, .rate = 1, .prompt = 200, .gen = 10};
  const Report joined = simulate(model, options).report;
  const Bytes size = kv_of_sequence(model.footprint(), 200);
  options.disaggregation = {.bandwidth = size / Seconds(3)};
  const SimulationResult apart = simulate(model, options);
  EXPECT_EQ(apart.transfers->n, 1);
  EXPECT_EQ(apart.transfers->bytes.value(), size.value());
  EXPECT_NEAR(apart.transfers->link.mean.value(), 3, 1e-8);
  EXPECT_EQ(apart.transfers->wait.mean.value(), 0);
  EXPECT_EQ(apart.report.ttft.mean.value(), joined.ttft.mean.value());
  const double step = joined.tpot.mean.value();
  // The step after the transfer is priced as that of a prompt, the others to the last bit as those
  // of one box.
  EXPECT_NEAR(apart.report.e2e.mean.value(), joined.e2e.mean.value() + 3,
              kStepTableErrorMax * step);
  EXPECT_NEAR(apart.report.tpot.mean.value(), step + 3.0 / 9, kStepTableErrorMax * step / 9);
  EXPECT_GT(apart.report.itl.p99.value(), 2);
  options.workload.gen = 1;  // nothing is left to generate elsewhere
  const SimulationResult one = simulate(model, options);
  EXPECT_EQ(one.transfers->n, 0);
  EXPECT_EQ(one.report.finished, 1);
}

// Two that send to one take turns at its link.
TEST(Disaggregate, ALinkCarriesOneTransferAtATime) {
  const StepModel& model = testing::fp8_twin();
  SimulateOptions options;
  options.workload = {.requests = 20, .rate = 1e6, .prompt = 50, .gen = 2};
  const Bytes size = kv_of_sequence(model.footprint(), 50);
  options.disaggregation = {.n_prefill = 2, .n_decode = 1, .bandwidth = size / Seconds(100)};
  const SimulationResult one = simulate(model, options);
  EXPECT_GT(one.report.duration.value(), 20 * 100);
  EXPECT_LT(one.report.duration.value(), 20 * 100 + 50);
  options.disaggregation->n_decode = 2;
  const SimulationResult two = simulate(model, options);
  EXPECT_GT(two.report.duration.value(), 10 * 100);
  EXPECT_LT(two.report.duration.value(), 10 * 100 + 150);
  options.disaggregation->n_prefill = 1;  // now it is the sender's
  EXPECT_GT(simulate(model, options).report.duration.value(), 20 * 100);
}

// One that generates has room for one: prompts pile up where they were read, until that is full
// too.
TEST(Disaggregate, WhoReadsWaitsUntilSomebodyHasRoom) {
  const StepModel& model = testing::fp8_twin();
  SimulateOptions options;
  options.workload = {.requests = 12, .rate = 1e6, .prompt = 64, .gen = 32};
  options.kv_tokens = 200;  // of each box: two prompts, or one and its answer
  options.disaggregation = {.bandwidth = kAtOnce};
  const SimulationResult result = simulate(model, options);
  EXPECT_EQ(result.report.finished, 12);
  EXPECT_LE(result.report.kv_blocks_peak * result.kv_block_tokens, 200);
  options.kv_tokens.reset();
  const SimulationResult roomy = simulate(model, options);
  EXPECT_GT(result.transfers->wait.mean.value(), 10 * roomy.transfers->wait.mean.value());
  EXPECT_GT(result.report.queue.p99.value(), roomy.report.queue.p99.value());
}

// When each request was over.
std::map<SeqId, TimePoint> ends(const StepModel& model, SimulateOptions options, bool layerwise) {
  std::map<SeqId, TimePoint> out;
  options.disaggregation->layerwise = layerwise;
  options.on_finished = [&](const RequestTimes& times) { out[times.id] = times.arrival + times.e2e; };
  simulate(model, options);
  return out;
}

TEST(Disaggregate, LayerByLayerIsNeverLaterForWhoIsAlone) {
  const StepModel& model = testing::fp8_twin();
  std::int64_t n_sooner = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SimulateOptions options = traffic(seed, model);
    options.workload.requests = 10;
    options.workload.rate = 1e-3;
    options.workload.burstiness = std::numeric_limits<double>::infinity();
    options.workload.timeout = std::numeric_limits<double>::infinity();
    options.workload.turns = 1;
    options.users = 0;
    const auto after = ends(model, options, false), streamed = ends(model, options, true);
    ASSERT_EQ(after.size(), 10u);
    for (const auto& [id, end] : after) {
      EXPECT_LE(streamed.at(id), end) << seed;
      n_sooner += streamed.at(id) < end ? 1 : 0;
    }
  }
  EXPECT_GT(n_sooner, 300);
}

// However they come: with all the room that they may want, and a link that takes no time, nothing is different but how
// long a place is set aside. With one that does, the same is sent, sooner on average.
TEST(Disaggregate, LayerByLayerSendsTheSameSooner) {
  const StepModel& model = testing::fp8_twin();
  double left_after = 0, left_streamed = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    SimulateOptions options = traffic(seed, model);
    options.workload.timeout = std::numeric_limits<double>::infinity();
    options.kv_tokens.reset();
    options.disaggregation->n_decode = 1;
    const auto run = [&](bool layerwise) {
      options.disaggregation->layerwise = layerwise;
      return simulate(model, options);
    };
    const SimulationResult after = run(false), streamed = run(true);
    EXPECT_EQ(after.transfers->n, streamed.transfers->n);
    if (options.users == 0 && options.workload.turns == 1) {
      EXPECT_NEAR(after.transfers->bytes.value(), streamed.transfers->bytes.value(),
                  1e-9 * after.transfers->bytes.value());
      // Parts take the link as long as the whole, to their nanoseconds.
      EXPECT_NEAR(after.transfers->link.mean.value(), streamed.transfers->link.mean.value(), 1e-6);
    }
    EXPECT_EQ(after.transfers->hidden, 0);
    if (*options.disaggregation->bandwidth == kAtOnce) {
      EXPECT_LE(after.report.mean_kv_share, streamed.report.mean_kv_share);
      EXPECT_EQ(after.report.steps, streamed.report.steps);
      EXPECT_EQ(after.report.ttft.mean, streamed.report.ttft.mean);
      const auto a = ends(model, options, false), b = ends(model, options, true);
      ASSERT_EQ(a.size(), b.size());
      for (const auto& [id, end] : a) EXPECT_LE(std::abs((b.at(id) - end).count()), 1);  // ns
    } else {
      left_after += after.transfers->left.mean.value();
      left_streamed += streamed.transfers->left.mean.value();
    }
  }
  EXPECT_LT(left_streamed, 0.9 * left_after);
}

// By hand: a step computes its layers in equal time, and each is sent when it is done.
TEST(Disaggregate, OnlyWhatTheLinkHasNotManagedIsLeft) {
  const StepModel& model = testing::fp8_twin();
  const double n_layers = model.twin().model.n_layers;
  SimulateOptions options;
  options.workload = {.requests = 1, .rate = 1, .prompt = 200, .gen = 10};
  const double prefill = simulate(model, options).report.ttft.mean.value() - model.twin().stack.price.request_time;
  const Bytes size = kv_of_sequence(model.footprint(), 200);
  const auto left = [&](double link_s, bool layerwise) {
    options.disaggregation = {.bandwidth = size / Seconds(link_s), .layerwise = layerwise};
    return simulate(model, options).transfers->left.mean.value();
  };
  EXPECT_NEAR(left(3, false), 3, 1e-8);
  // A slow link is busy from the first layer on.
  const double slow = 20 * prefill;
  EXPECT_NEAR(left(slow, true), slow - prefill * (1 - 1 / n_layers), 1e-6);
  // A fast one has the last layer left.
  const double fast = prefill / 2;
  EXPECT_NEAR(left(fast, true), fast / n_layers, 1e-6);
  // So does it with chunks, of which the last ends with that layer's part of its own tokens.
  options.step_tokens_max = 50;
  options.disaggregation->bandwidth = size / Seconds(fast);
  const TransferReport chunks = *simulate(model, options).transfers;
  EXPECT_NEAR(chunks.left.mean.value(), fast / n_layers / 4, 1e-6);
  EXPECT_NEAR(chunks.hidden, 1 - 1 / n_layers / 4, 1e-6);
}

// Whoever streams shares the link with the others: its time is that of all bytes, and it never carries two at once.
TEST(Disaggregate, StreamsShareTheLink) {
  const StepModel& model = testing::fp8_twin();
  SimulateOptions options;
  options.workload = {.requests = 20, .rate = 1e6, .prompt = 50, .gen = 2};
  const Bytes size = kv_of_sequence(model.footprint(), 50);
  options.disaggregation = {
      .n_prefill = 2, .n_decode = 1, .bandwidth = size / Seconds(100), .layerwise = true};
  const SimulationResult one = simulate(model, options);
  EXPECT_GT(one.report.duration.value(), 20 * 100);
  EXPECT_LT(one.report.duration.value(), 20 * 100 + 50);
  EXPECT_NEAR(one.transfers->link.mean.value(), 100, 1e-6);
  options.disaggregation->n_decode = 2;
  const SimulationResult two = simulate(model, options);
  EXPECT_GT(two.report.duration.value(), 10 * 100);
  EXPECT_LT(two.report.duration.value(), 10 * 100 + 150);
}

TEST(Disaggregate, RefusesWhatCanNeverBe) {
  const StepModel& model = testing::fp8_twin();
  SimulateOptions options;
  options.workload = {.requests = 3, .prompt = 64, .gen = 32};
  options.disaggregation = Disaggregation{};
  const auto refusal = [&] {
    try {
      simulate(model, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refusal().find("no link between boxes has been measured"), std::string::npos)
      << refusal();
  options.disaggregation->bandwidth = kAtOnce;
  EXPECT_EQ(refusal(), "");
  options.disaggregation->n_decode = 0;
  EXPECT_NE(refusal().find("boxes that generate is 0"), std::string::npos) << refusal();
  options.disaggregation->n_decode = 1;
  options.kv_tokens = 80;
  EXPECT_NE(refusal().find("KV cache"), std::string::npos) << refusal();
  // One by one, if they come from a trace: one fits where it is read but not where it would be
  // generated.
  auto trace = std::make_shared<Trace>();
  for (const std::int32_t n_gen : {4, 40, 4}) {
    Request request;
    request.n_prompt = 64;
    request.n_gen_max = n_gen;
    trace->requests.push_back(request);
  }
  options.workload.trace = trace;
  const SimulationResult result = simulate(model, options);
  EXPECT_EQ(result.report.finished, 2);
  EXPECT_EQ(result.report.refused, 1);
}

}  // namespace
}  // namespace tinderbox
