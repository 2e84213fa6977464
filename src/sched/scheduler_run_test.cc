// Many steps at once are the steps one by one: the same sums in each step, the same events, the same
// memory, over random workloads that preempt, wait, chunk, share beginnings, have priorities, keys and
// deadlines, are cancelled, stay and come from elsewhere, under every policy.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "sched/scheduler.h"

namespace tinderbox {
namespace {

struct Sums {
  std::int64_t n_decoding = 0, n_past = 0;
  std::vector<std::array<std::int64_t, 4>> prompts;
  friend bool operator==(const Sums&, const Sums&) = default;
};

Sums sums_of(const Step& step, std::size_t n_prompts) {
  Sums sums;
  for (std::size_t i = 0; i < step.items.size(); ++i) {
    const StepItem& item = step.items[i];
    if (i + n_prompts >= step.items.size()) {
      sums.prompts.push_back({item.seq, item.n_past, item.n_new, item.samples});
    } else {
      ++sums.n_decoding;
      sums.n_past += item.n_past;
    }
  }
  return sums;
}

Sums sums_of(const StepRun& run, std::int64_t i) {
  Sums sums{.n_decoding = run.n_decoding, .n_past = run.n_past + i * run.n_decoding, .prompts = {}};
  for (const PromptChunk& c : run.prompts) sums.prompts.push_back({c.seq, c.n_past, c.n_new, c.samples});
  return sums;
}

// Of those that runs tell: first and last tokens of sequences, and those after a preemption.
using Events = std::vector<std::array<std::int64_t, 3>>;
Events told(const std::vector<TokenEvent>& events, const StepRun& run) {
  Events out;
  for (const TokenEvent& e : events) {
    const bool prompt = std::ranges::find(run.prompts, e.seq, &PromptChunk::seq) != run.prompts.end();
    if (prompt || e.finish != FinishReason::None) {
      out.push_back({e.seq, static_cast<std::int64_t>(e.finish), e.n_generated});
    }
  }
  return out;
}

struct Pair {
  Pair(Limits limits, const KvPool& pool, Policy policy)
      : by_steps(limits, pool, policy), by_runs(limits, pool, policy) {}
  Scheduler by_steps, by_runs;
  std::int64_t n_steps = 0, n_runs = 0;

  void submit(const Request& request) { ASSERT_EQ(by_steps.submit(request), by_runs.submit(request)); }
  void cancel(SeqId seq) { ASSERT_EQ(by_steps.cancel(seq), by_runs.cancel(seq)); }
  void expire(TimePoint now) {
    by_steps.expire(now);
    by_runs.expire(now);
    ASSERT_EQ(by_steps.next_deadline(), by_runs.next_deadline());
  }

  bool reserve(const Request& request) {
    const bool reserved = by_steps.reserve(request);
    EXPECT_EQ(by_runs.reserve(request), reserved);
    return reserved;
  }
  bool release(SeqId seq) {
    const bool released = by_steps.release(seq);
    EXPECT_EQ(by_runs.release(seq), released);
    return released;
  }

  // The sequences that have ended.
  std::vector<SeqId> run(Random& random) {
    std::vector<TokenEvent> events;
    run(random, events);
    std::erase_if(events, [](const TokenEvent& e) { return e.finish != FinishReason::Length; });
    std::vector<SeqId> ended;
    for (const TokenEvent& e : events) ended.push_back(e.seq);
    return ended;
  }

  void run(Random& random, std::vector<TokenEvent>& events) {
    StepRun run;
    by_runs.schedule_run(run);
    if (run.n_steps == 0) {
      ASSERT_TRUE(by_steps.schedule().items.empty());
      return;
    }
    by_runs.hold_run(run, random.range(1, run.n_steps));
    const std::int32_t n_free = by_runs.kv().n_free();
    std::vector<std::int64_t> blocks_sums;
    for (std::int64_t i = 0; i <= run.n_steps; ++i) blocks_sums.push_back(by_runs.kv_blocks_sum(run, i));
    ASSERT_EQ(blocks_sums.front(), 0);
    by_runs.complete_run(run, events);
    std::vector<TokenEvent> step_events;
    for (std::int64_t i = 0; i < run.n_steps; ++i) {
      const Step step = by_steps.schedule();
      ASSERT_EQ(sums_of(step, run.prompts.size()), sums_of(run, i));
      ASSERT_EQ(step.n_tokens, run.n_tokens());
      if (i + 1 == run.n_steps) {
        ASSERT_EQ(by_steps.kv().n_free(), n_free);
      }
      const std::int64_t n_used = by_steps.kv().n_blocks() - by_steps.kv().n_free();
      ASSERT_EQ(blocks_sums[static_cast<std::size_t>(i + 1)] - blocks_sums[static_cast<std::size_t>(i)], n_used);
      const auto n_sampled = std::ranges::count_if(step.items, &StepItem::samples);
      const std::vector<TokenId> sampled(static_cast<std::size_t>(n_sampled));
      by_steps.complete(step, sampled, step_events);
      by_steps.verify();
    }
    by_runs.verify();
    ASSERT_EQ(told(events, run), told(step_events, run));
    ASSERT_EQ(events.size(), told(events, run).size());
    ASSERT_EQ(by_runs.n_running(), by_steps.n_running());
    ASSERT_EQ(by_runs.n_waiting(), by_steps.n_waiting());
    ASSERT_EQ(by_runs.kv().n_free(), by_steps.kv().n_free());
    ASSERT_EQ(by_runs.kv().cache().n_idle(), by_steps.kv().cache().n_idle());
    ASSERT_EQ(by_runs.counters().preemptions, by_steps.counters().preemptions);
    ASSERT_EQ(by_runs.counters().prefix_hit_tokens, by_steps.counters().prefix_hit_tokens);
    ASSERT_EQ(by_runs.counters().expired, by_steps.counters().expired);
    n_steps += run.n_steps;
    ++n_runs;
  }
};

Policy draw_policy(Random& random) {
  Policy policy = policies()[static_cast<std::size_t>(random.range(0, std::ssize(policies()) - 1))];
  if (random.range(0, 4) == 0) policy.prefix_cache = false;
  policy.fair = random.range(0, 2) == 0;
  return policy;
}

// What a request shares with others: few contents, in any order; sometimes all of it, and then its answer goes on.
void draw_contents(Random& random, Request& request) {
  std::int32_t n_left = request.n_prompt;
  while (n_left > 0 && random.range(0, 3) > 0) {
    const auto n = static_cast<std::int32_t>(random.range(1, n_left));
    request.contents.push_back({static_cast<std::uint64_t>(random.range(0, 2)), n});
    n_left -= n;
  }
  request.answer_continues = n_left == 0 && random.range(0, 1) == 0;
}

TEST(SchedulerRun, IsItsStepsOneByOne) {
  std::int64_t n_steps = 0, n_runs = 0, n_preemptions = 0, n_hit_tokens = 0, n_expired = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, Stream::Test);
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      return static_cast<std::int32_t>(random.range(low, high));
    };
    Pair pair({.step_tokens_max = draw(1, 40), .sequences_max = draw(1, 12), .queue_max = 20},
              KvPool(draw(5, 60), draw(1, 17)), draw_policy(random));
    SeqId next = 1;
    for (int i = 0; i < 120; ++i) {
      pair.expire(TimePoint(Duration(i)));
      for (std::int64_t n = random.range(0, 3) - 1; n > 0; --n) {
        Request request;
        request.id = next++;
        request.n_prompt = draw(1, 30);
        request.n_gen_max = draw(1, 60);
        request.priority = draw(0, 3) == 0 ? draw(-1, 1) : 0;
        request.key = static_cast<std::uint64_t>(draw(0, 2));
        if (draw(0, 4) == 0) request.deadline = TimePoint(Duration(i + draw(0, 20)));
        draw_contents(random, request);
        pair.submit(request);
      }
      if (random.range(0, 9) == 0) pair.cancel(random.range(1, next));
      pair.run(random);
      if (HasFatalFailure()) return;
    }
    n_steps += pair.n_steps;
    n_runs += pair.n_runs;
    n_preemptions += pair.by_runs.counters().preemptions;
    n_hit_tokens += pair.by_runs.counters().prefix_hit_tokens;
    n_expired += pair.by_runs.counters().expired;
  }
  EXPECT_GT(n_steps, 2 * n_runs);  // they do span steps
  EXPECT_GT(n_preemptions, 1000);
  EXPECT_GT(n_hit_tokens, 10'000);
  EXPECT_GT(n_expired, 1000);
}

// Some boxes read prompts and keep them until they are sent, others have theirs sent, whoever is to come has room.
TEST(SchedulerRun, IsItsStepsOneByOneOfWhatIsSentFromBoxToBox) {
  std::int64_t n_imported = 0, n_refused = 0, n_released = 0, n_preemptions = 0, n_stalled = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, Stream::Test);
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      return static_cast<std::int32_t>(random.range(low, high));
    };
    const std::int32_t block_tokens = draw(1, 17);
    Pair pair({.step_tokens_max = draw(1, 40), .sequences_max = draw(1, 12), .queue_max = 1000},
              KvPool(90 / block_tokens + draw(1, 20), block_tokens), draw_policy(random));
    std::vector<Request> coming;
    std::vector<SeqId> staying;
    SeqId next = 1;
    const auto settle_some = [&](std::int64_t one_in) {
      std::erase_if(coming, [&](const Request& request) {
        if (random.range(1, one_in) > 1) return false;
        pair.submit(request);
        return true;
      });
      n_released += static_cast<std::int64_t>(std::erase_if(
          staying, [&](SeqId seq) { return random.range(1, one_in) == 1 && pair.release(seq); }));
    };
    const auto run = [&] {
      for (const SeqId seq : pair.run(random)) {
        if (seq % 3 == 0) staying.push_back(seq);
      }
      n_stalled += pair.by_runs.n_running() == 0 && !pair.by_runs.idle() ? 1 : 0;
    };
    for (int i = 0; i < 80 && !testing::Test::HasFailure(); ++i) {
      for (std::int64_t n = random.range(0, 3) - 1; n > 0; --n) {
        Request request;
        request.id = next++;
        request.n_prompt = draw(1, 30);
        request.n_gen_max = draw(0, 2) == 0 ? 1 : draw(1, 60);
        request.priority = draw(0, 3) == 0 ? draw(-1, 1) : 0;
        request.key = static_cast<std::uint64_t>(draw(0, 2));
        request.stays = request.id % 3 == 0;
        draw_contents(random, request);
        if (request.n_prompt > 1 && draw(0, 1) == 0) {
          request.n_imported = draw(0, 3) > 0 ? request.n_prompt - 1 : draw(1, request.n_prompt - 1);
          const bool reserved = pair.reserve(request);
          ++(reserved ? n_imported : n_refused);
          if (reserved) coming.push_back(request);
        } else {
          pair.submit(request);
        }
      }
      settle_some(4);
      if (random.range(0, 9) == 0) pair.cancel(random.range(1, next));
      run();
      if (HasFatalFailure()) return;
    }
    n_preemptions += pair.by_runs.counters().preemptions;
    settle_some(1);
    while (!pair.by_runs.idle() && !testing::Test::HasFailure()) {
      run();
      settle_some(1);
    }
    // Whatever happened, all of the memory is there again.
    ASSERT_TRUE(coming.empty() && staying.empty() && pair.by_steps.idle());
    ASSERT_EQ(pair.by_runs.kv().n_free(), pair.by_runs.kv().n_blocks());
    pair.by_steps.verify();
    pair.by_runs.verify();
  }
  EXPECT_GT(n_imported, 4000);
  EXPECT_GT(n_refused, 1000);
  EXPECT_GT(n_released, 3000);
  EXPECT_GT(n_preemptions, 1000);
  EXPECT_GT(n_stalled, 100);  // nothing runs until what has stayed goes, or what is to come is there
}

TEST(SchedulerRun, EndsWhereASequenceDoes) {
  Scheduler scheduler({}, KvPool(100, 16));
  for (SeqId id = 1; id <= 2; ++id) {
    Request request;
    request.id = id;
    request.n_prompt = 10;
    request.n_gen_max = static_cast<std::int32_t>(10 * id);
    ASSERT_EQ(scheduler.submit(request), Admission::Accepted);
  }
  StepRun run;
  std::vector<TokenEvent> events;
  const auto next = [&] {
    events.clear();
    scheduler.schedule_run(run);
    const std::int64_t n = run.n_steps;
    if (n == 0) return n;
    scheduler.hold_run(run, n);
    scheduler.complete_run(run, events);
    return n;
  };
  EXPECT_EQ(next(), 1);  // the prompts
  EXPECT_EQ(run.prompts.size(), 2u);
  EXPECT_EQ(events.size(), 2u);
  EXPECT_EQ(next(), 9);
  EXPECT_EQ(run.n_past, 20);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].seq, 1);
  EXPECT_EQ(events[0].n_generated, 10);
  EXPECT_EQ(next(), 10);
  EXPECT_EQ(run.n_decoding, 1);
  EXPECT_EQ(next(), 0);
  EXPECT_TRUE(scheduler.idle());
}

TEST(SchedulerRun, EndsWhereMemoryDoes) {
  Scheduler scheduler({}, KvPool(4, 4));
  for (SeqId id = 1; id <= 2; ++id) {
    Request request;
    request.id = id;
    request.n_prompt = 3;
    request.n_gen_max = 10;
    ASSERT_EQ(scheduler.submit(request), Admission::Accepted);
  }
  StepRun run;
  std::vector<TokenEvent> events;
  for (const std::int64_t n : {1, 5, 4}) {  // 8 tokens fill two blocks each; then the second one waits
    scheduler.schedule_run(run);
    ASSERT_EQ(run.n_steps, n);
    scheduler.hold_run(run, n);
    scheduler.complete_run(run, events);
  }
  EXPECT_EQ(run.preempted, std::vector<SeqId>{2});
  EXPECT_EQ(run.n_decoding, 1);
}

TEST(SchedulerRunDeathTest, MisuseIsABug) {
  Scheduler scheduler({}, KvPool(4, 4));
  StepRun run;
  EXPECT_DEATH(scheduler.hold_run(run, 1), "CHECK failed");
  Request request;
  request.n_prompt = request.n_gen_max = 2;
  scheduler.submit(request);
  scheduler.schedule_run(run);
  EXPECT_DEATH(scheduler.hold_run(run, 2), "CHECK failed");
  EXPECT_DEATH(scheduler.schedule(), "CHECK failed");
  EXPECT_DEATH(scheduler.cancel(0), "CHECK failed");
}

}  // namespace
}  // namespace tinderbox
