#include "box/engine_executor.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "box/paced_executor.h"
#include "box/twin_executor.h"
#include "box/test_engine.h"
#include "box/workload.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using testing::kTinyEngine;

Engine tiny_engine() { return Engine(testing::tiny_model(), kTinyEngine); }

std::vector<Request> requests_for(const Engine& engine) {
  Random random(5, Stream::Test);
  std::vector<Request> requests;
  for (SeqId id = 1; id <= 6; ++id) {
    Request request;
    request.id = id;
    for (std::int64_t i = random.range(1, 30); i > 0; --i) {
      request.prompt.push_back(static_cast<TokenId>(random.range(0, engine.model().n_vocab - 1)));
    }
    request.n_prompt = static_cast<std::int32_t>(request.prompt.size());
    request.n_gen_max = static_cast<std::int32_t>(random.range(1, 12));
    request.sampling.temperature = id % 2 == 0 ? 0.0 : 0.8;
    request.sampling.seed = static_cast<std::uint64_t>(id);
    requests.push_back(request);
  }
  return requests;
}

struct Answers final : public Observer {
  void on_step(const Step&, TimePoint, const StepResult& result,
               const Scheduler& scheduler) override {
    ends.push_back(result.end);
    preemptions = scheduler.counters().preemptions;
    prefix_hit_tokens = scheduler.counters().prefix_hit_tokens;
  }
  void on_token(const TokenEvent& event, TimePoint) override {
    tokens[event.seq].push_back(event.token);
  }
  std::map<SeqId, std::vector<TokenId>> tokens;
  std::vector<TimePoint> ends;
  std::int64_t preemptions = 0, prefix_hit_tokens = 0;
};

Answers run(std::vector<Request> requests, Executor& executor, Clock& clock, Limits limits,
            std::int32_t n_blocks = kTinyEngine.kv_blocks, Policy policy = {}) {
  Scheduler scheduler(limits, KvPool(n_blocks, kTinyEngine.kv_block_tokens), policy);
  TraceArrivals arrivals(std::move(requests));
  Answers answers;
  run_loop(scheduler, executor, arrivals, clock, answers);
  return answers;
}

// The law that makes continuous batching testable: an answer is the same alone or in any batch,
// whatever the chunks, and after a preemption.
TEST(EngineExecutor, AnAnswerDependsOnItsRequestOnly) {
  Engine engine = tiny_engine();
  VirtualClock clock;
  EngineExecutor executor(engine, clock);
  const std::vector<Request> requests = requests_for(engine);
  const Limits roomy = {.step_tokens_max = 64, .sequences_max = 8};
  std::map<SeqId, std::vector<TokenId>> alone;
  for (const Request& request : requests) {
    alone.merge(run({request}, executor, clock, roomy).tokens);
    ASSERT_EQ(std::ssize(alone[request.id]), request.n_gen_max);
  }
  EXPECT_EQ(run(requests, executor, clock, roomy).tokens, alone);
  EXPECT_EQ(run(requests, executor, clock, {.step_tokens_max = 5, .sequences_max = 3}).tokens,
            alone);
  const Answers tight = run(requests, executor, clock, roomy, 12);
  EXPECT_GT(tight.preemptions, 0);
  EXPECT_EQ(tight.tokens, alone);
}

// What others have computed is as good as one's own: the same answers, to the last token, under every policy.
TEST(EngineExecutor, AnAnswerIsTheSameWithAPrefixCache) {
  Engine engine = tiny_engine();
  VirtualClock clock;
  EngineExecutor executor(engine, clock);
  std::vector<Request> requests = requests_for(engine);
  // Every second one begins as the one before it does.
  for (std::size_t i = 1; i < requests.size(); i += 2) {
    std::vector<TokenId> prompt = requests[i - 1].prompt;
    prompt.insert(prompt.end(), requests[i].prompt.begin(), requests[i].prompt.end());
    prompt.resize(std::min<std::size_t>(prompt.size(), 40));
    requests[i].prompt = prompt;
    requests[i].n_prompt = static_cast<std::int32_t>(prompt.size());
  }
  const Limits one_by_one = {.step_tokens_max = 64, .sequences_max = 1};
  const Limits few = {.step_tokens_max = 7, .sequences_max = 3};
  const auto expected = run(requests, executor, clock, one_by_one).tokens;
  for (const Policy& policy : policies()) {
    for (const Limits& limits : {one_by_one, few}) {
      for (const std::int32_t n_blocks : {kTinyEngine.kv_blocks, 16}) {
        const Answers answers = run(requests, executor, clock, limits, n_blocks, policy);
        EXPECT_EQ(answers.tokens, expected) << policy.name;
        if (policy.prefix_cache && limits.sequences_max == 1) {
          EXPECT_GT(answers.prefix_hit_tokens, 10) << policy.name;
        }
      }
    }
  }
}

TEST(EngineExecutor, InVirtualTimeAStepTakesNone) {
  Engine engine = tiny_engine();
  VirtualClock clock;
  EngineExecutor executor(engine, clock);
  run(requests_for(engine), executor, clock, {.step_tokens_max = 64, .sequences_max = 8});
  EXPECT_EQ(clock.now(), TimePoint{});
}

// Real tokens, modelled times.
TEST(EngineExecutor, PacedByTheTwinItGivesItsTokensAtTheTwinsTimes) {
  const StepModel& model = testing::fp8_twin();
  const Limits limits = {.step_tokens_max = 64, .sequences_max = 4};
  Engine engine = tiny_engine();
  const std::vector<Request> requests = requests_for(engine);

  VirtualClock engine_clock, twin_clock, paced_clock;
  EngineExecutor tokens(engine, engine_clock), paced_tokens(engine, paced_clock);
  TwinExecutor timing(model);
  PacedExecutor paced(paced_tokens, timing);
  const Answers real = run(requests, tokens, engine_clock, limits);
  const Answers modelled = run(requests, timing, twin_clock, limits);
  const Answers both = run(requests, paced, paced_clock, limits);
  EXPECT_EQ(both.tokens, real.tokens);
  EXPECT_EQ(both.ends, modelled.ends);
}

}  // namespace
}  // namespace tinderbox
