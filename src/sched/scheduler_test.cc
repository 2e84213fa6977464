#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tinderbox {
namespace {

Request sized(SeqId id, std::int32_t n_prompt, std::int32_t n_gen_max) {
  Request request;
  request.id = id;
  request.n_prompt = n_prompt;
  request.n_gen_max = n_gen_max;
  return request;
}

Request with_tokens(SeqId id, std::vector<TokenId> prompt, std::int32_t n_gen_max) {
  Request request = sized(id, static_cast<std::int32_t>(prompt.size()), n_gen_max);
  request.prompt = std::move(prompt);
  return request;
}

// Completes the step with the same token for everyone who samples.
std::vector<TokenEvent> complete_with(Scheduler& scheduler, const Step& step, TokenId token) {
  std::vector<TokenId> sampled;
  for (const StepItem& item : step.items) {
    if (item.samples) sampled.push_back(token);
  }
  return scheduler.complete(step, sampled);
}

struct Shape {
  SeqId seq;
  std::int32_t n_past, n_new;
  bool samples;
  friend bool operator==(const Shape&, const Shape&) = default;
  friend void PrintTo(const Shape& s, std::ostream* out) {
    *out << "{" << s.seq << ", " << s.n_past << "+" << s.n_new << (s.samples ? ", samples}" : "}");
  }
};

std::vector<Shape> shapes(const Step& step) {
  std::vector<Shape> out;
  for (const StepItem& item : step.items)
    out.push_back({item.seq, item.n_past, item.n_new, item.samples});
  return out;
}

TEST(Scheduler, PrefillsThenDecodes) {
  Scheduler scheduler({}, KvPool(100, 16));
  ASSERT_EQ(scheduler.submit(with_tokens(1, {5, 6, 7}, 2)), Admission::Accepted);
  Step step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 0, 3, true}}));
  EXPECT_EQ(std::vector<TokenId>(step.items[0].tokens.begin(), step.items[0].tokens.end()),
            (std::vector<TokenId>{5, 6, 7}));
  EXPECT_EQ(step.items[0].blocks.size(), 1u);
  auto events = complete_with(scheduler, step, 42);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].token, 42);
  EXPECT_EQ(events[0].finish, FinishReason::None);

  step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 3, 1, true}}));
  EXPECT_EQ(step.items[0].tokens[0], 42);
  EXPECT_EQ(step.items[0].history.size(), 4u);
  events = complete_with(scheduler, step, 43);
  EXPECT_EQ(events[0].finish, FinishReason::Length);
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(scheduler.kv().n_free(), 100);
  EXPECT_TRUE(scheduler.schedule().items.empty());
}

TEST(Scheduler, ChunksAPromptToTheBudgetAndDecodesFirst) {
  Scheduler scheduler({.step_tokens_max = 4}, KvPool(100, 16));
  scheduler.submit(sized(1, 2, 9));
  complete_with(scheduler, scheduler.schedule(), 0);
  scheduler.submit(sized(2, 7, 9));
  scheduler.submit(sized(3, 1, 9));
  Step step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 2, 1, true}, {2, 0, 3, false}}));
  EXPECT_EQ(step.n_tokens, 4);
  complete_with(scheduler, step, 0);
  step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 3, 1, true}, {2, 3, 3, false}}));
  complete_with(scheduler, step, 0);
  step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 4, 1, true}, {2, 6, 1, true}, {3, 0, 1, true}}));
  scheduler.verify();
}

TEST(Scheduler, StopsAtAnEndToken) {
  Scheduler scheduler({}, KvPool(100, 16));
  Request request = with_tokens(1, {5}, 100);
  request.end_tokens = {2, 9};
  scheduler.submit(request);
  EXPECT_EQ(complete_with(scheduler, scheduler.schedule(), 8)[0].finish, FinishReason::None);
  const auto events = complete_with(scheduler, scheduler.schedule(), 9);
  EXPECT_EQ(events[0].token, 9);
  EXPECT_EQ(events[0].finish, FinishReason::Stop);
  EXPECT_TRUE(scheduler.idle());
}

TEST(Scheduler, RefusesWithAReason) {
  Scheduler scheduler({.queue_max = 2, .context_max = 10}, KvPool(2, 4));
  EXPECT_EQ(scheduler.submit(sized(1, 10, 1)), Admission::TooLong);
  EXPECT_EQ(scheduler.submit(sized(2, 4, 6)), Admission::NeverFits);  // 9 tokens of KV, 8 places
  EXPECT_EQ(scheduler.submit(sized(3, 4, 5)), Admission::Accepted);
  EXPECT_EQ(scheduler.submit(sized(3, 1, 1)), Admission::Duplicate);
  EXPECT_EQ(scheduler.submit(sized(4, 1, 1)), Admission::Accepted);
  EXPECT_EQ(scheduler.submit(sized(5, 1, 1)), Admission::QueueFull);
  EXPECT_EQ(scheduler.counters().submitted, 6);
  EXPECT_EQ(scheduler.counters().refused, 4);
  scheduler.verify();
}

TEST(Scheduler, CutsGenerationToTheContext) {
  Scheduler scheduler({.context_max = 5}, KvPool(10, 4));
  ASSERT_EQ(scheduler.submit(sized(1, 3, 2'000'000'000)), Admission::Accepted);
  EXPECT_EQ(complete_with(scheduler, scheduler.schedule(), 0)[0].finish, FinishReason::None);
  EXPECT_EQ(complete_with(scheduler, scheduler.schedule(), 0)[0].finish, FinishReason::Length);
}

TEST(Scheduler, PreemptsTheYoungestAndRecomputesIt) {
  Scheduler scheduler({}, KvPool(4, 1));
  scheduler.submit(with_tokens(1, {10}, 4));
  scheduler.submit(with_tokens(2, {20}, 3));
  complete_with(scheduler, scheduler.schedule(), 11);  // 2 of 4 blocks
  complete_with(scheduler, scheduler.schedule(), 12);  // 4 of 4 blocks
  Step step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 2, 1, true}}));
  EXPECT_EQ(scheduler.counters().preemptions, 1);
  EXPECT_EQ(scheduler.n_waiting(), 1);
  complete_with(scheduler, step, 13);
  step = scheduler.schedule();  // 1 takes the last block, 2 needs 3
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{1, 3, 1, true}}));
  EXPECT_EQ(complete_with(scheduler, step, 14)[0].finish, FinishReason::Length);
  step = scheduler.schedule();
  EXPECT_EQ(shapes(step), (std::vector<Shape>{{2, 0, 3, true}}));
  EXPECT_EQ(std::vector<TokenId>(step.items[0].tokens.begin(), step.items[0].tokens.end()),
            (std::vector<TokenId>{20, 11, 12}));
  EXPECT_EQ(complete_with(scheduler, step, 13)[0].finish, FinishReason::Length);
  scheduler.verify();
}

TEST(Scheduler, CancelFreesAtOnceBetweenSteps) {
  Scheduler scheduler({}, KvPool(10, 4));
  scheduler.submit(sized(1, 8, 5));
  complete_with(scheduler, scheduler.schedule(), 0);
  EXPECT_LT(scheduler.kv().n_free(), 10);
  EXPECT_TRUE(scheduler.cancel(1));
  EXPECT_FALSE(scheduler.cancel(1));
  EXPECT_FALSE(scheduler.cancel(99));
  EXPECT_EQ(scheduler.kv().n_free(), 10);
  const auto events = scheduler.take_cancelled();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].token, -1);
  EXPECT_EQ(events[0].finish, FinishReason::Cancelled);
  EXPECT_TRUE(scheduler.take_cancelled().empty());
}

TEST(Scheduler, CancelDuringAStepDropsItsTokenAndFreesAtTheBoundary) {
  Scheduler scheduler({}, KvPool(10, 4));
  scheduler.submit(with_tokens(1, {1, 2, 3, 4, 5}, 5));
  scheduler.submit(with_tokens(2, {6}, 5));
  const Step step = scheduler.schedule();
  EXPECT_TRUE(scheduler.cancel(1));
  EXPECT_FALSE(scheduler.cancel(1));
  EXPECT_EQ(scheduler.submit(sized(1, 1, 1)), Admission::Duplicate);
  EXPECT_EQ(step.items[0].tokens[4], 5);  // still readable
  EXPECT_EQ(scheduler.kv().n_free(), 7);
  scheduler.verify();
  const auto events = complete_with(scheduler, step, 50);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].seq, 1);
  EXPECT_EQ(events[0].finish, FinishReason::Cancelled);
  EXPECT_EQ(events[1].seq, 2);
  EXPECT_EQ(scheduler.kv().n_free(), 9);
  EXPECT_EQ(scheduler.submit(sized(1, 1, 1)), Admission::Accepted);
  scheduler.verify();
}

TEST(Scheduler, ACopyGoesItsOwnWay) {
  Scheduler scheduler({}, KvPool(10, 4));
  scheduler.submit(with_tokens(1, {1, 2, 3, 4, 5}, 2));
  complete_with(scheduler, scheduler.schedule(), 50);
  Scheduler copy = scheduler;
  complete_with(copy, copy.schedule(), 51);
  EXPECT_TRUE(copy.idle());
  copy.verify();
  EXPECT_FALSE(scheduler.idle());
  EXPECT_EQ(shapes(scheduler.schedule()), (std::vector<Shape>{{1, 5, 1, true}}));
  scheduler.verify();
}

TEST(SchedulerDeathTest, MisuseIsABug) {
  Scheduler scheduler({}, KvPool(10, 4));
  EXPECT_DEATH(scheduler.submit(sized(1, 0, 1)), "CHECK failed");
  EXPECT_DEATH(scheduler.complete({}, {}), "CHECK failed");
  scheduler.submit(sized(1, 1, 1));
  const Step step = scheduler.schedule();
  EXPECT_DEATH(scheduler.schedule(), "CHECK failed");
  EXPECT_DEATH(scheduler.complete(step, {}), "CHECK failed");
}

// The box that generates computes only the last token of a prompt whose KV was sent.
TEST(Scheduler, ImportedTokensAreHeldButNotComputed) {
  Scheduler scheduler({}, KvPool(4, 4));
  Request request;
  request.id = 7;
  request.n_prompt = 9;
  request.n_gen_max = 3;
  request.n_imported = 8;
  ASSERT_TRUE(scheduler.reserve(request));
  EXPECT_EQ(scheduler.kv().n_free(), 1);
  scheduler.verify();
  Request other = request;
  other.id = 8;
  EXPECT_FALSE(scheduler.reserve(other));
  EXPECT_TRUE(scheduler.schedule().items.empty());
  ASSERT_EQ(scheduler.submit(request), Admission::Accepted);
  const Step step = scheduler.schedule();
  ASSERT_EQ(step.items.size(), 1u);
  EXPECT_EQ(step.items[0].n_past, 8);
  EXPECT_EQ(step.items[0].n_new, 1);
  EXPECT_TRUE(step.items[0].samples);
  EXPECT_EQ(step.items[0].blocks.size(), 3u);
  scheduler.verify();
}

// The box that reads a prompt has no room for the next one until it is sent.
TEST(Scheduler, WhatStaysHoldsItsMemoryUntilItIsReleased) {
  Scheduler scheduler({}, KvPool(2, 4));
  Request request;
  request.n_prompt = 8;
  request.n_gen_max = 1;
  request.stays = true;
  for (request.id = 1; request.id <= 2; ++request.id) {
    ASSERT_EQ(scheduler.submit(request), Admission::Accepted);
  }
  const Step step = scheduler.schedule();
  EXPECT_EQ(scheduler.complete(step, std::vector<TokenId>{5}).size(), 1u);
  EXPECT_EQ(scheduler.kv().n_free(), 0);
  EXPECT_TRUE(scheduler.schedule().items.empty());
  EXPECT_FALSE(scheduler.idle());
  EXPECT_FALSE(scheduler.release(2));
  EXPECT_TRUE(scheduler.release(1));
  scheduler.verify();
  EXPECT_EQ(scheduler.schedule().items.size(), 1u);
}

}  // namespace
}  // namespace tinderbox
