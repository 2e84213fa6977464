#include "box/serving_box.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "base/error.h"
#include "box/twin_executor.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using Kind = StreamEvent::Kind;

// The next token of a sequence is its length so far; a step takes a millisecond of its clock.
class Counting final : public Executor {
 public:
  StepResult run(const Step& step, TimePoint start) override {
    StepResult result;
    result.end = start + std::chrono::milliseconds(1);
    for (const StepItem& item : step.items) {
      if (item.n_past > 0) reused_ += item.decodes ? 0 : item.n_past;
      if (item.samples) result.sampled.push_back(static_cast<TokenId>(item.history.size()));
    }
    return result;
  }
  static inline std::atomic<std::int64_t> reused_{0};  // tokens of prompts found in the KV of earlier ones
};

LoadedExecutor counting() {
  auto executor = std::make_shared<Counting>();
  return {.owner = executor, .executor = executor.get()};
}

ServedMember member(std::string id, std::int64_t bytes, bool pinned = false) {
  Policy policy;
  policy.prefix_cache = true;
  return {.id = std::move(id),
          .scheduler = Scheduler({.step_tokens_max = 64, .sequences_max = 4, .queue_max = 3, .context_max = 100},
                                 KvPool(100, 4), policy),
          .memory = {.bytes = bytes, .pinned = pinned},
          .load = counting};
}

Request asking(std::int32_t n_gen, TokenId first = 1) {
  Request request;
  for (TokenId i = 0; i < 20; ++i) request.prompt.push_back(first + i);
  request.n_prompt = 20;
  request.n_gen_max = n_gen;
  return request;
}

struct Asked {
  std::shared_ptr<TokenStream> stream = std::make_shared<TokenStream>();
  SeqId seq = 0;
  // Every event up to the last one.
  std::vector<StreamEvent> all() {
    std::vector<StreamEvent> events;
    while (events.empty() || events.back().kind == Kind::Token) {
      for (const StreamEvent& e : stream->wait()) events.push_back(e);
    }
    return events;
  }
};

Asked ask(ServingBox& box, std::size_t model, std::int32_t n_gen, TokenId first = 1) {
  Asked asked;
  asked.seq = box.mailbox(model).submit(asking(n_gen, first), asked.stream);
  return asked;
}

std::vector<ServedMember> two(std::int64_t each) {
  std::vector<ServedMember> members;
  members.push_back(member("a", each));
  members.push_back(member("b", each));
  return members;
}

// Whoever asks waits for the modelled machine to read the request, in its time, even if the box closes at once.
TEST(ServingBox, ARequestTakesItsTimeBeforeTheFirstStep) {
  constexpr Duration kReading = std::chrono::milliseconds(40);
  const auto first_token = [&](Clock& clock) {
    std::vector<ServedMember> members;
    members.push_back(member("a", 10));
    members[0].request_time = kReading;
    ServingBox box(std::move(members), {.bytes = 10}, clock);
    box.load_first();
    const TimePoint asked_at = clock.now();
    Asked asked = ask(box, 0, 2);
    box.close();
    box.run();
    const std::vector<StreamEvent> events = asked.all();
    EXPECT_EQ(events.size(), 2u);
    return events.front().at - asked_at;
  };
  WallClock wall;
  EXPECT_GE(first_token(wall), kReading + std::chrono::milliseconds(1));
  LeapingClock leaping;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_GE(first_token(leaping), kReading + std::chrono::milliseconds(1));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kReading);
}

// Where both fit, and where each has to give way to the other, everybody gets the same answer.
TEST(ServingBox, EverybodyIsAnsweredWhateverIsThere) {
  for (const std::int64_t bytes : {20, 10}) {
    VirtualClock clock;
    ServingBox box(two(10), {.bytes = bytes}, clock);
    box.load_first();
    std::vector<Asked> asked;
    for (int i = 0; i < 3; ++i) {
      asked.push_back(ask(box, 0, 5 + i));
      asked.push_back(ask(box, 1, 5 + i));
    }
    box.close();
    box.run();
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const auto events = asked[i].all();
      ASSERT_EQ(std::ssize(events), 5 + static_cast<int>(i) / 2);
      for (std::size_t k = 0; k < events.size(); ++k) EXPECT_EQ(events[k].token, static_cast<TokenId>(20 + k));
    }
    const BoxStatus status = box.status();
    EXPECT_EQ(status.models[0].n_generated, 5 + 6 + 7);
    EXPECT_EQ(status.models[0].n_prompt, 60);
    EXPECT_LE(status.bytes_used, bytes);
    EXPECT_EQ(status.models[1].pool.loads, bytes == 10 ? 1 : 0);
    for (std::size_t i = 0; i < 2; ++i) box.scheduler(i).verify();
  }
}

TEST(ServingBox, TheyTakeTurnsOnTheDevice) {
  VirtualClock clock;
  ServingBox box(two(10), {.bytes = 20}, clock);
  box.load_first();
  Asked a = ask(box, 0, 30), b = ask(box, 1, 30);
  box.close();
  box.run();
  const auto of_a = a.all(), of_b = b.all();
  // The same work at the same time: neither waits for the other to end.
  EXPECT_LE(std::chrono::abs(of_a.back().at - of_b.back().at), Duration(std::chrono::milliseconds(1)));
  EXPECT_EQ(box.now(), TimePoint(std::chrono::milliseconds(60)));
}

TEST(ServingBox, WhatWasInMemoryIsForgottenWithTheModel) {
  VirtualClock clock;
  ServingBox box(two(10), {.bytes = 10}, clock);
  box.load_first();
  std::thread thread([&] { box.run(); });
  Counting::reused_ = 0;
  ask(box, 0, 2).all();
  ask(box, 0, 2).all();
  EXPECT_GT(Counting::reused_, 0) << "the same prompt again";
  ask(box, 1, 2).all();
  Counting::reused_ = 0;
  ask(box, 0, 2).all();
  EXPECT_EQ(Counting::reused_, 0);
  box.close();
  thread.join();
  EXPECT_EQ(box.status().models[0].pool.loads, 1);
  EXPECT_EQ(box.status().models[0].pool.evictions, 1) << "for b, which has then made room in turn";
}

// Out of memory and on its way in again between two looks of the box: at rest, and at work.
TEST(ServingBox, AModelThatIsAskedForAsItGoesIsLoadedAnew) {
  for (const std::int32_t n_gen : {2, 40}) {
    VirtualClock clock;
    ServingBox box(two(10), {.bytes = 20}, clock);
    box.load_first();
    std::thread thread([&] { box.run(); });
    Asked before = ask(box, 0, n_gen), after;
    if (n_gen == 2) before.all();
    Counting::reused_ = 0;
    std::promise<void> dropped;
    box.post([&] {
      box.pool().drop(0, box.now());
      after = ask(box, 0, 3);
      dropped.set_value();
    });
    dropped.get_future().wait();
    EXPECT_EQ(after.all().size(), 3U);
    box.close();
    thread.join();
    EXPECT_EQ(box.status().models[0].pool.loads, 1);
    EXPECT_EQ(Counting::reused_, 0);
  }
}

TEST(ServingBox, WhoeverWaitsForAModelCanLeaveAndNotAllMayWait) {
  VirtualClock clock;
  auto members = two(10);
  std::atomic<bool> may_load = false;
  members[1].load = [&] {
    while (!may_load) std::this_thread::yield();
    return counting();
  };
  ServingBox box(std::move(members), {.bytes = 10}, clock);
  box.load_first();
  std::thread thread([&] { box.run(); });
  std::vector<Asked> asked;
  for (int i = 0; i < 4; ++i) asked.push_back(ask(box, 1, 2));
  EXPECT_EQ(asked[3].all().back().kind, Kind::Refused) << "three may wait";
  box.mailbox(1).cancel(asked[0].seq);
  EXPECT_EQ(asked[0].all().back().finish, FinishReason::Cancelled);
  may_load = true;
  EXPECT_EQ(asked[1].all().size(), 2u);
  EXPECT_EQ(asked[2].all().size(), 2u);
  box.close();
  thread.join();
}

TEST(ServingBox, AModelThatCannotBeLoadedIsTriedAnewWhenAskedFor) {
  VirtualClock clock;
  for (const bool pinned : {false, true}) {
    auto members = two(10);
    members[1].memory.pinned = false;
    int n_loads = 0;
    members[1].load = [&]() -> LoadedExecutor {
      if (++n_loads == 1) throw_invalid("the file has gone");
      return counting();
    };
    ServingBox box(std::move(members), {.bytes = pinned ? 20 : 10}, clock);
    if (pinned) {
      EXPECT_THROW(box.load_first(), Error);
      continue;
    }
    box.load_first();
    std::thread thread([&] { box.run(); });
    const auto refused = ask(box, 1, 2).all();
    EXPECT_EQ(refused.back().kind, Kind::Refused);
    EXPECT_EQ(refused.back().admission, Admission::Unavailable);
    EXPECT_EQ(ask(box, 1, 2).all().size(), 2u);
    box.close();
    thread.join();
    EXPECT_EQ(n_loads, 2);
    EXPECT_EQ(box.status().models[1].trouble, "");
  }
}

TEST(ServingBox, ErrandsRunBetweenSteps) {
  VirtualClock clock;
  ServingBox box(two(10), {.bytes = 10}, clock);
  box.load_first();
  std::thread thread([&] { box.run(); });
  std::promise<BoxStatus> told;
  box.post([&] {
    box.want(1);
    box.post([&] { told.set_value(box.status()); });
  });
  const BoxStatus status = told.get_future().get();
  EXPECT_EQ(status.models[0].state, ModelPool::State::Absent);
  EXPECT_NE(status.models[1].state, ModelPool::State::Absent);
  EXPECT_EQ(ask(box, 1, 3).all().size(), 3u);
  box.close();
  thread.join();
}

// Two models on one body: a fault that takes the box away takes all its work away, and what comes later waits.
TEST(ServingBox, AnOutageIsEverybodys) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  VirtualClock clock;
  TwinExecutor first(model, Placeholders{.n_ids = 100}), second(model, Placeholders{.n_ids = 100});
  Handicap frozen;
  frozen.frozen = true;
  BodyExecutor body(first, model, {});
  Executor& other = body.also(second, model);
  auto members = two(10);
  members[0].load = [&] { return LoadedExecutor{.owner = {}, .executor = &body}; };
  members[1].load = [&] { return LoadedExecutor{.owner = {}, .executor = &other}; };
  ServingBox box(std::move(members), {.bytes = 20}, clock);
  box.embody(body);
  box.load_first();
  std::thread thread([&] { box.run(); });
  ask(box, 0, 3).all();
  ask(box, 1, 3).all();
  std::promise<bool> down;
  box.post([&] {
    Fault fault;
    fault.name = "freeze";
    fault.handicap = frozen;
    body.inject({.begin = box.now(), .end = TimePoint::max(), .fault = fault});
    down.set_value(box.status().down);
  });
  EXPECT_TRUE(down.get_future().get());
  Asked waits = ask(box, 1, 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(waits.stream->take().empty());
  std::promise<bool> cleared;
  box.post([&] { cleared.set_value(body.clear("freeze", box.now())); });
  EXPECT_TRUE(cleared.get_future().get());
  EXPECT_EQ(waits.all().size(), 3u);
  box.close();
  thread.join();
}

// Who has nothing to do gives way at once, not only when the box goes away.
TEST(ServingBox, AnOutageToComeIsNoWork) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  VirtualClock clock;
  TwinExecutor first(model, Placeholders{.n_ids = 100}), second(model, Placeholders{.n_ids = 100});
  FaultEvent freeze;
  freeze.begin = TimePoint(std::chrono::hours(1));
  freeze.end = TimePoint(std::chrono::hours(2));
  freeze.fault.handicap.frozen = true;
  BodyExecutor body(first, model, {.faults = {freeze}});
  Executor& other = body.also(second, model);
  auto members = two(10);
  members[0].load = [&] { return LoadedExecutor{.owner = {}, .executor = &body}; };
  members[1].load = [&] { return LoadedExecutor{.owner = {}, .executor = &other}; };
  ServingBox box(std::move(members), {.bytes = 10}, clock);
  box.embody(body);
  box.load_first();
  Asked a = ask(box, 0, 3), b = ask(box, 1, 3);
  box.close();
  box.run();
  EXPECT_EQ(a.all().size(), 3u);
  const auto events = b.all();
  EXPECT_EQ(events.size(), 3u);
  EXPECT_LT(events.back().at, freeze.begin);
}

}  // namespace
}  // namespace tinderbox
