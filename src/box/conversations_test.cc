#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "box/report.h"
#include "box/test_executor.h"
#include "box/workload.h"

namespace tinderbox {
namespace {

// What was asked, and when answers ended.
struct Talk final : public Observer {
  void on_admission(const Request& request, Admission, TimePoint) override { asked.push_back(request); }
  void on_token(const TokenEvent& event, TimePoint now) override {
    if (event.finish != FinishReason::None) ended[event.seq] = now;
  }
  std::vector<Request> asked;
  std::map<SeqId, TimePoint> ended;
};

Talk talk(const WorkloadOptions& options, std::int32_t users, std::int64_t context_max = 8192,
          Duration request_time = {}) {
  Scheduler scheduler({.context_max = static_cast<std::int32_t>(context_max)}, KvPool(10'000, 16));
  FixedCostExecutor executor(Duration(1'000'000), Duration(1000));
  const UserSide side{.context_max = context_max, .request_time = request_time};
  ConversationArrivals arrivals(options, users, {side});
  Talk talk;
  ObserverList observers({&talk, &arrivals});
  VirtualClock clock;
  run_loop(scheduler, executor, arrivals, clock, observers);
  return talk;
}

TEST(ClosedLoop, KeepsItsUsersBusyUntilAllIsSent) {
  Scheduler scheduler({.sequences_max = 16}, KvPool(1000, 16));
  FixedCostExecutor executor;
  ConversationArrivals arrivals({.requests = 100, .prompt = 30, .gen = 10, .range_ratio = 0.5}, 5,
                                {{.context_max = 8192}});
  Recorder recorder;
  struct Width final : public Observer {
    void on_step(const Step& step, TimePoint, const StepResult&, const Scheduler&) override {
      widths.push_back(step.items.size());
    }
    std::vector<std::size_t> widths;
  } width;
  ObserverList observers({&recorder, &arrivals, &width});
  VirtualClock clock;
  run_loop(scheduler, executor, arrivals, clock, observers);
  const Report report = recorder.report();
  EXPECT_EQ(report.finished, 100);
  EXPECT_EQ(report.queue.p99.value(), 0) << "there is room for every user at once";
  std::size_t n_full = 0;
  for (const std::size_t w : width.widths) {
    EXPECT_LE(w, 5u);
    n_full += w == 5;
  }
  EXPECT_GT(n_full, width.widths.size() * 9 / 10);
}

TEST(ClosedLoop, ARefusedUserGoesOn) {
  Scheduler scheduler({.context_max = 4}, KvPool(1000, 16));
  FixedCostExecutor executor;
  ConversationArrivals arrivals({.requests = 9, .prompt = 4, .gen = 1}, 2, {{.context_max = 4}});
  Recorder recorder;
  ObserverList observers({&recorder, &arrivals});
  VirtualClock clock;
  run_loop(scheduler, executor, arrivals, clock, observers);
  EXPECT_EQ(recorder.report().refused, 9);
}

TEST(Conversations, ATurnAsksWithAllThatWasSaid) {
  const Talk t = talk({.requests = 6, .rate = 0.001, .prompt = 10, .gen = 4, .turns = 3, .shared_prefix = 7}, 0);
  ASSERT_EQ(t.asked.size(), 6u);
  for (std::size_t i = 0; i < 5; ++i) {  // the last one opens a third conversation
    const Request& r = t.asked[i];
    const auto turn = static_cast<std::int32_t>(i % 3);
    EXPECT_EQ(r.n_prompt, 7 + 10 + turn * 14);
    ASSERT_EQ(r.contents.size(), 2u);
    EXPECT_EQ(r.contents[0], (Content{.id = 0, .n_tokens = 7}));
    EXPECT_EQ(r.contents[1], (Content{.id = 1 + i / 3, .n_tokens = r.n_prompt - 7}));
    if (turn > 0) {
      EXPECT_EQ(r.arrival, t.ended.at(t.asked[i - 1].id));
    }
  }
}

TEST(Conversations, EndWhereTheContextDoes) {
  const Talk t = talk({.requests = 8, .rate = 0.001, .prompt = 10, .gen = 4, .turns = 100}, 0, 30);
  ASSERT_EQ(t.asked.size(), 8u);
  for (const Request& r : t.asked) EXPECT_LE(r.n_prompt + r.n_gen_max, 30);
  EXPECT_EQ(t.asked[1].n_prompt, 24);
  EXPECT_EQ(t.asked[2].n_prompt, 10);
}

TEST(Conversations, UsersThinkBeforeTheyGoOn) {
  const Talk t = talk({.requests = 4000, .prompt = 10, .gen = 2, .seed = 1, .think = 0.5}, 1);
  double sum = 0;
  for (std::size_t i = 1; i < t.asked.size(); ++i) {
    sum += to_seconds(t.asked[i].arrival - t.ended.at(t.asked[i - 1].id)).value();
  }
  EXPECT_NEAR(sum / 3999, 0.5, 5 * 0.5 / std::sqrt(4000));
}

// What is said after an answer has its way through HTTP and tokeniser before it.
TEST(Conversations, ATurnTakesItsTimeToTheServer) {
  const Duration request_time(7'000'000);
  for (const std::int32_t users : {0, 1}) {
    const Talk t = talk({.requests = 6, .rate = 0.001, .prompt = 10, .gen = 4, .turns = 6}, users, 8192, request_time);
    ASSERT_EQ(t.asked.size(), 6u);
    // In an open loop the last one opens another conversation.
    for (std::size_t i = 1; i < 5; ++i) EXPECT_EQ(t.asked[i].arrival, t.ended.at(t.asked[i - 1].id) + request_time);
  }
}

// Whom a conversation asks is drawn once, by the shares; what comes next takes that model's time to the server, and
// ends where its context does.
TEST(Conversations, StayWithTheirModel) {
  const std::vector<UserSide> sides = {{.context_max = 200, .request_time = Duration(3'000'000)},
                                       {.context_max = 40, .request_time = Duration(11'000'000)}};
  for (const std::int32_t users : {0, 3}) {
    const WorkloadOptions options{
        .requests = 3000, .rate = 50, .prompt = 10, .gen = 4, .seed = 5, .turns = 5, .mix = {1, 3}};
    Scheduler scheduler({.context_max = 200}, KvPool(10'000, 16));
    FixedCostExecutor executor(Duration(1'000'000), Duration(1000));
    ConversationArrivals arrivals(options, users, sides);
    Talk talk;
    ObserverList observers({&talk, &arrivals});
    VirtualClock clock;
    run_loop(scheduler, executor, arrivals, clock, observers);
    std::map<std::uint64_t, Request> last;  // of each conversation
    double n_first[2] = {};
    for (const Request& r : talk.asked) {
      const auto [at, is_new] = last.try_emplace(r.contents.front().id, r);
      const UserSide& side = sides.at(static_cast<std::size_t>(r.model));
      EXPECT_LE(r.n_prompt + r.n_gen_max, side.context_max);
      if (is_new) {
        ++n_first[r.model];
        continue;
      }
      EXPECT_EQ(r.model, at->second.model);
      EXPECT_EQ(r.arrival, talk.ended.at(at->second.id) + side.request_time);
      at->second = r;
    }
    const double n = n_first[0] + n_first[1];
    EXPECT_NEAR(n_first[1] / n, 0.75, 5 * std::sqrt(0.75 * 0.25 / n));
  }
}

// Thinking of one conversation moves no other one's beginning.
TEST(Conversations, BeginWhenTheirRateSays) {
  const auto begins = [](std::int64_t turns) {
    std::vector<TimePoint> times;
    for (const Request& r : talk({.requests = 60, .rate = 5, .prompt = 10, .gen = 3, .turns = turns}, 0).asked) {
      if (r.n_prompt == 10) times.push_back(r.arrival);
    }
    return times;
  };
  const std::vector<TimePoint> single = begins(1), several = begins(3);
  ASSERT_GE(several.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(single[i], several[i]) << i;
}

}  // namespace
}  // namespace tinderbox
