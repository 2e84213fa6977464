// The order in which sequences run, and what they need not compute: priorities, fairness,
// deadlines, the prefix cache, slots, prompts that go alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "sched/scheduler.h"

namespace tinderbox {
namespace {

constexpr Policy kCached = {.name = "cached", .prefix_cache = true};

Request sized(SeqId id, std::int32_t n_prompt, std::int32_t n_gen_max) {
  Request request;
  request.id = id;
  request.n_prompt = n_prompt;
  request.n_gen_max = n_gen_max;
  return request;
}

Request with_contents(SeqId id, std::vector<Content> contents, std::int32_t n_gen_max) {
  std::int32_t n = 0;
  for (const Content& c : contents) n += c.n_tokens;
  Request request = sized(id, n, n_gen_max);
  request.contents = std::move(contents);
  return request;
}

Request with_tokens(SeqId id, std::vector<TokenId> prompt, std::int32_t n_gen_max) {
  Request request = sized(id, static_cast<std::int32_t>(prompt.size()), n_gen_max);
  request.prompt = std::move(prompt);
  return request;
}

std::vector<TokenEvent> step(Scheduler& scheduler, TokenId token = 0, Step* out = nullptr) {
  const Step step = scheduler.schedule();
  std::vector<TokenId> sampled;
  for (const StepItem& item : step.items) {
    if (item.samples) sampled.push_back(token);
  }
  if (out != nullptr) *out = step;
  auto events = step.items.empty() ? std::vector<TokenEvent>{} : scheduler.complete(step, sampled);
  scheduler.verify();
  return events;
}

std::vector<SeqId> order_of_ends(Scheduler& scheduler) {
  std::vector<SeqId> order;
  while (!scheduler.idle()) {
    for (const TokenEvent& e : step(scheduler)) {
      if (e.finish != FinishReason::None) order.push_back(e.seq);
    }
  }
  return order;
}

TEST(PrefixCaching, AnotherPromptBeginsAfterTheFullBlocksItShares) {
  Scheduler scheduler({}, KvPool(100, 4), kCached);
  scheduler.submit(with_tokens(1, {1, 2, 3, 4, 5, 6, 7, 8, 9}, 1));
  step(scheduler);
  ASSERT_TRUE(scheduler.idle());
  EXPECT_EQ(scheduler.kv().n_free(), 100);
  scheduler.submit(with_tokens(2, {1, 2, 3, 4, 5, 6, 7, 7, 9}, 1));
  scheduler.submit(with_tokens(3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 1));
  Step open;
  step(scheduler, 0, &open);
  EXPECT_EQ(open.items[0].n_past, 4);
  EXPECT_EQ(open.items[0].n_new, 5);
  EXPECT_EQ(open.items[1].n_past, 8);
  EXPECT_EQ(scheduler.counters().prefix_tokens, 28);
  EXPECT_EQ(scheduler.counters().prefix_hit_tokens, 12);
}

TEST(PrefixCaching, TheLastTokenOfAPromptIsComputed) {
  Scheduler scheduler({}, KvPool(100, 4), kCached);
  const std::vector<TokenId> prompt = {1, 2, 3, 4, 5, 6, 7, 8};
  scheduler.submit(with_tokens(1, prompt, 1));
  step(scheduler);
  scheduler.submit(with_tokens(2, prompt, 1));
  Step open;
  step(scheduler, 0, &open);
  EXPECT_EQ(open.items[0].n_past, 4);  // the second block would leave nothing to sample from
  EXPECT_EQ(open.items[0].n_new, 4);
}

// A conversation: what was answered is there as well.
TEST(PrefixCaching, AnswersAreShared) {
  Scheduler scheduler({}, KvPool(100, 4), kCached);
  scheduler.submit(with_tokens(1, {1, 2, 3}, 6));
  for (int i = 0; i < 6; ++i) step(scheduler, 50 + i);
  ASSERT_TRUE(scheduler.idle());
  scheduler.submit(with_tokens(2, {1, 2, 3, 50, 51, 52, 53, 54, 55, 60}, 1));
  Request turn = with_contents(3, {{7, 3}}, 6);
  turn.answer_continues = true;
  Step open;
  step(scheduler, 0, &open);
  EXPECT_EQ(open.items[0].n_past, 8);
  scheduler.submit(turn);
  while (!scheduler.idle()) step(scheduler);
  scheduler.submit(with_contents(4, {{7, 12}}, 1));
  step(scheduler, 0, &open);
  EXPECT_EQ(open.items[0].n_past, 8);
}

// Two of the same prompt at once: both compute, and then hold the same blocks.
TEST(PrefixCaching, AForkSharesAllButItsLastBlock) {
  Scheduler scheduler({}, KvPool(100, 4), kCached);
  const std::vector<TokenId> prompt = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  scheduler.submit(with_tokens(1, prompt, 9));
  scheduler.submit(with_tokens(2, prompt, 9));
  step(scheduler);
  EXPECT_EQ(100 - scheduler.kv().n_free(), 4);
  const Step open = scheduler.schedule();
  EXPECT_EQ(open.items[0].blocks[0], open.items[1].blocks[0]);
  EXPECT_EQ(open.items[0].blocks[1], open.items[1].blocks[1]);
  EXPECT_NE(open.items[0].blocks[2], open.items[1].blocks[2]);  // where they write
}

TEST(PrefixCaching, APreemptedSequenceFindsItsOwnBlocks) {
  Scheduler scheduler({}, KvPool(6, 2), kCached);
  scheduler.submit(sized(1, 4, 7));
  scheduler.submit(sized(2, 4, 5));
  Step open;
  std::int32_t n_past_again = -1;
  while (!scheduler.idle()) {
    const std::int64_t n_waiting = scheduler.n_waiting(),
                       n_preempted = scheduler.counters().preemptions;
    step(scheduler, 0, &open);
    if (n_preempted == 0 || n_waiting == 0 || scheduler.n_waiting() > 0) continue;
    n_past_again = open.items.back().n_past;
  }
  EXPECT_EQ(scheduler.counters().preemptions, 1);
  EXPECT_GT(n_past_again, 0);
  EXPECT_EQ(scheduler.counters().prefix_hit_tokens, 0);  // it counts as no hit
}

// In a step nobody writes where another one reads, whatever is shared, preempted and cancelled; and
// what is not computed was computed before with the same tokens at the same places.
TEST(PrefixCaching, WhatIsReadIsWhatWasWritten) {
  std::int64_t n_hits = 0, n_preemptions = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, Stream::Test);
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      return static_cast<std::int32_t>(random.range(low, high));
    };
    const std::int32_t block_tokens = draw(1, 5), n_pool = draw(8, 40);
    Policy policy = policies()[static_cast<std::size_t>(draw(0, 4))];
    Scheduler scheduler(
        {.step_tokens_max = draw(2, 20), .sequences_max = draw(1, 6), .queue_max = 20},
        KvPool(n_pool, block_tokens), policy);
    std::map<std::pair<BlockId, std::int32_t>, std::vector<TokenId>>
        memory;  // place -> tokens up to there
    SeqId next = 1;
    for (int i = 0; i < 80; ++i) {
      if (random.range(0, 1) == 0) {
        std::vector<TokenId> prompt;
        for (std::int32_t n = draw(1, 20); n > 0; --n) prompt.push_back(draw(0, 9) == 0 ? 1 : 0);
        scheduler.submit(with_tokens(next++, std::move(prompt), draw(1, 12)));
      }
      if (random.range(0, 9) == 0) scheduler.cancel(random.range(1, next));
      const Step open = scheduler.schedule();
      std::map<std::pair<BlockId, std::int32_t>, SeqId> written;
      std::vector<TokenId> sampled;
      for (const StepItem& item : open.items) {
        for (std::int32_t p = item.n_past; p < item.n_past + item.n_new; ++p) {
          const std::pair place(item.blocks[static_cast<std::size_t>(p / block_tokens)],
                                p % block_tokens);
          ASSERT_TRUE(written.emplace(place, item.seq).second) << "two write to one place";
          memory[place].assign(item.history.begin(), item.history.begin() + p + 1);
        }
        if (item.samples) sampled.push_back(draw(0, 9) == 0 ? 1 : 0);
      }
      for (const StepItem& item : open.items) {
        for (std::int32_t p = 0; p < item.n_past + item.n_new; ++p) {
          const std::pair place(item.blocks[static_cast<std::size_t>(p / block_tokens)],
                                p % block_tokens);
          ASSERT_TRUE(std::equal(memory[place].begin(), memory[place].end(), item.history.begin(),
                                 item.history.begin() + p + 1))
              << "reads what another one wrote";
        }
      }
      if (!open.items.empty()) scheduler.complete(open, sampled);
      scheduler.verify();
    }
    n_hits += scheduler.counters().prefix_hit_tokens;
    n_preemptions += scheduler.counters().preemptions;
  }
  EXPECT_GT(n_hits, 5000);
  EXPECT_GT(n_preemptions, 100);
}

TEST(Priorities, LowerNumbersGoFirstAndAreNotPreempted) {
  Scheduler one_at_a_time({.sequences_max = 1}, KvPool(100, 4));
  for (const auto& [id, priority] : {std::pair{1, 0}, {2, 5}, {3, -2}, {4, 0}}) {
    Request request = sized(id, 3, 2);
    request.priority = priority;
    one_at_a_time.submit(request);
  }
  EXPECT_EQ(order_of_ends(one_at_a_time), (std::vector<SeqId>{3, 1, 4, 2}));

  Scheduler tight({}, KvPool(4, 1));
  Request unimportant = sized(1, 1, 4);
  unimportant.priority = 1;
  tight.submit(unimportant);
  tight.submit(sized(2, 1, 4));
  EXPECT_EQ(order_of_ends(tight), (std::vector<SeqId>{2, 1}));
  EXPECT_EQ(tight.counters().preemptions, 1);
}

TEST(Fairness, AKeyWithManyRequestsDoesNotStarveAnother) {
  const auto ends = [](Policy policy) {
    Scheduler scheduler({.sequences_max = 1}, KvPool(100, 4), policy);
    for (SeqId id = 1; id <= 6; ++id) {
      Request request = sized(id, 10, 5);
      request.key = id <= 4 ? 1 : 2;  // four of one key, then two of another
      scheduler.submit(request);
    }
    return order_of_ends(scheduler);
  };
  EXPECT_EQ(ends({}), (std::vector<SeqId>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(ends({.fair = true}), (std::vector<SeqId>{1, 5, 2, 6, 3, 4}));
}

// While both keys have work, the service they get differs by no more than what one step and one
// request can give (Sheng et al. 2024, theorem 4.4, with one request at a time).
TEST(Fairness, BacklogsAreServedAlike) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed, Stream::Test);
    Scheduler scheduler({.sequences_max = 1, .queue_max = 1000}, KvPool(100, 4), {.fair = true});
    std::map<SeqId, std::pair<std::uint64_t, std::int64_t>> served_by;  // key, weighted tokens
    for (SeqId id = 1; id <= 200; ++id) {
      // Requests of the second key are three times as large.
      const std::uint64_t key = id % 2 == 0 ? 1 : 2;
      const auto scale = static_cast<std::int32_t>(key == 2 ? 3 : 1);
      Request request = sized(id, scale * static_cast<std::int32_t>(random.range(1, 10)),
                              scale * static_cast<std::int32_t>(random.range(1, 10)));
      request.key = key;
      served_by[id] = {key, request.n_prompt + 2 * request.n_gen_max};
      scheduler.submit(request);
    }
    std::map<std::uint64_t, std::int64_t> served, n_ended;
    while (n_ended[1] < 90 && n_ended[2] < 90) {
      for (const TokenEvent& e : step(scheduler)) {
        if (e.finish == FinishReason::None) continue;
        served[served_by[e.seq].first] += served_by[e.seq].second;
        ++n_ended[served_by[e.seq].first];
      }
      ASSERT_LE(std::abs(served[1] - served[2]), 2 * 3 * 30) << seed;
    }
  }
}

TEST(Fairness, APauseSavesNothingUp) {
  Scheduler scheduler({.sequences_max = 1}, KvPool(100, 4), {.fair = true});
  for (SeqId id = 1; id <= 20; ++id) {
    Request request = sized(id, 10, 5);
    request.key = 1;
    scheduler.submit(request);
  }
  for (int i = 0; i < 50; ++i) step(scheduler);  // ten of them
  for (SeqId id = 21; id <= 30; ++id) {
    Request request = sized(id, 10, 5);
    request.key = 2;
    scheduler.submit(request);
  }
  const auto order = order_of_ends(scheduler);
  const auto n_second =
      std::count_if(order.begin(), order.begin() + 10, [](SeqId id) { return id > 20; });
  EXPECT_LE(n_second, 6);  // they take turns, though the second key has had nothing
  EXPECT_GE(n_second, 4);
}

TEST(Deadlines, EndWhatWaitsAndWhatRuns) {
  Scheduler scheduler({.sequences_max = 1}, KvPool(100, 4));
  for (SeqId id = 1; id <= 3; ++id) {
    Request request = sized(id, 4, 9);
    if (id < 3) request.deadline = TimePoint(Duration(10 * id));
    scheduler.submit(request);
  }
  step(scheduler);
  EXPECT_EQ(scheduler.next_deadline(), TimePoint(Duration(10)));
  scheduler.expire(TimePoint(Duration(9)));
  EXPECT_TRUE(scheduler.take_cancelled().empty());
  scheduler.expire(TimePoint(Duration(10)));
  const auto running = scheduler.take_cancelled();
  ASSERT_EQ(running.size(), 1u);
  EXPECT_EQ(running[0].seq, 1);
  EXPECT_EQ(running[0].finish, FinishReason::Deadline);
  EXPECT_EQ(running[0].n_generated, 1);
  scheduler.expire(TimePoint(Duration(25)));
  const auto waiting = scheduler.take_cancelled();
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].seq, 2);
  EXPECT_EQ(waiting[0].n_generated, 0);
  EXPECT_EQ(scheduler.next_deadline(), TimePoint::max());
  EXPECT_EQ(scheduler.counters().expired, 2);
  EXPECT_EQ(order_of_ends(scheduler), std::vector<SeqId>{3});
  EXPECT_EQ(scheduler.kv().n_free(), 100);
}

TEST(Slots, KeepTheirLastSequenceAndOnlyThat) {
  Scheduler scheduler({.sequences_max = 2}, KvPool(100, 1), policy_named("llama.cpp", "test"));
  Step open;
  const auto n_past = [&](SeqId id, std::vector<Content> contents) {
    scheduler.submit(with_contents(id, std::move(contents), 1));
    step(scheduler, 0, &open);
    return open.items[0].n_past;
  };
  EXPECT_EQ(n_past(1, {{1, 10}}), 0);
  EXPECT_EQ(n_past(2, {{2, 10}}), 0);   // the other slot, which was left first
  EXPECT_EQ(n_past(3, {{1, 12}}), 10);  // the first one again
  EXPECT_EQ(n_past(4, {{1, 5}, {3, 5}}), 5);
  EXPECT_EQ(n_past(5, {{1, 12}}), 5);  // which has overwritten the rest
  EXPECT_EQ(n_past(6, {{4, 9}}), 0);   // takes the slot of 2
  EXPECT_EQ(n_past(7, {{2, 10}}), 0);
}

// Under every policy: once the memory is another's, nothing of what was in it is found again.
TEST(Forgetting, LeavesNothingToFind) {
  for (const Policy& policy : policies()) {
    Scheduler scheduler({.sequences_max = 2}, KvPool(100, 1), policy);
    const auto n_past = [&](SeqId id) {
      Step open;
      scheduler.submit(with_contents(id, {{1, 10}}, 1));
      step(scheduler, 0, &open);
      return open.items[0].n_past;
    };
    EXPECT_EQ(n_past(1), 0);
    const auto found = n_past(2);
    EXPECT_EQ(found > 0, policy.prefix_cache) << policy.name;
    scheduler.forget();
    scheduler.verify();
    EXPECT_EQ(n_past(3), 0) << policy.name;
    EXPECT_EQ(n_past(4), found) << policy.name;
    scheduler.verify();
  }
}

TEST(Slots, ASequenceHoldsAllItCanNeedAndIsNotPreempted) {
  Scheduler scheduler({.sequences_max = 4}, KvPool(20, 1), policy_named("ollama", "test"));
  for (SeqId id = 1; id <= 3; ++id) scheduler.submit(sized(id, 3, 8));
  step(scheduler);
  EXPECT_EQ(scheduler.kv().n_free(), 0);
  EXPECT_EQ(scheduler.n_running(), 2);
  EXPECT_EQ(order_of_ends(scheduler), (std::vector<SeqId>{1, 2, 3}));
  EXPECT_EQ(scheduler.counters().preemptions, 0);
}

TEST(PromptsAlone, DecodingWaitsForThem) {
  Scheduler scheduler({.step_tokens_max = 4}, KvPool(100, 1), policy_named("sglang", "test"));
  scheduler.submit(sized(1, 2, 9));
  step(scheduler);
  scheduler.submit(sized(2, 7, 9));
  Step open;
  for (const std::int32_t n : {4, 3}) {
    step(scheduler, 0, &open);
    ASSERT_EQ(open.items.size(), 1u);
    EXPECT_EQ(open.items[0].seq, 2);
    EXPECT_EQ(open.items[0].n_new, n);
  }
  step(scheduler, 0, &open);
  EXPECT_EQ(open.items.size(), 2u);
}

TEST(LongestMatch, GoesFirst) {
  Scheduler scheduler({.sequences_max = 1}, KvPool(100, 1), policy_named("sglang", "test"));
  scheduler.submit(with_contents(1, {{1, 10}}, 1));
  step(scheduler);
  scheduler.submit(with_contents(2, {{2, 10}}, 1));
  scheduler.submit(with_contents(3, {{1, 4}, {5, 6}}, 1));
  scheduler.submit(with_contents(4, {{1, 10}}, 1));
  EXPECT_EQ(order_of_ends(scheduler), (std::vector<SeqId>{4, 3, 2}));
}

TEST(Policies, AreKnownByName) {
  for (const Policy& policy : policies())
    EXPECT_EQ(policy_named(policy.name, "x").slots, policy.slots);
  try {
    policy_named("best", "--policy");
    FAIL() << "no such policy";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(
                  "--policy: no policy is called 'best'; choose one of fcfs, cached, vllm"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace tinderbox
