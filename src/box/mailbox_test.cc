#include "box/mailbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/random.h"
#include "box/test_executor.h"

namespace tinderbox {
namespace {

Request sized(std::int32_t n_prompt, std::int32_t n_gen_max) {
  Request request;
  request.n_prompt = n_prompt;
  request.n_gen_max = n_gen_max;
  return request;
}

// Everything until the last event.
std::vector<StreamEvent> read_all(TokenStream& stream) {
  std::vector<StreamEvent> all;
  while (all.empty() || all.back().kind == StreamEvent::Kind::Token) {
    for (const StreamEvent& event : stream.wait()) all.push_back(event);
  }
  return all;
}

struct Box {
  Mailbox mailbox;
  Scheduler scheduler{
      {.step_tokens_max = 64, .sequences_max = 8, .queue_max = 64, .context_max = 64},
      KvPool(32, 4)};
  FixedCostExecutor executor{Duration(500), Duration(1)};
  WallClock clock;
  void run() { run_loop(scheduler, executor, mailbox, clock, mailbox); }
};

TEST(Mailbox, DeliversTokensThenTheEnd) {
  Box box;
  int n_wakes = 0;
  const auto stream = std::make_shared<TokenStream>([&] { ++n_wakes; });
  const SeqId id = box.mailbox.submit(sized(5, 3), stream);
  EXPECT_GT(id, 0);
  box.mailbox.close();
  box.run();
  const auto events = stream->take();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(n_wakes, 3);
  EXPECT_EQ(events[0].kind, StreamEvent::Kind::Token);
  EXPECT_EQ(events[0].token, 7);
  EXPECT_EQ(events[2].kind, StreamEvent::Kind::Finished);
  EXPECT_EQ(events[2].token, 7);
  EXPECT_EQ(events[2].finish, FinishReason::Length);
  EXPECT_LT(events[0].at, events[2].at);
  EXPECT_TRUE(stream->take().empty());
}

TEST(Mailbox, TellsWhyARequestIsRefused) {
  Box box;
  const auto stream = std::make_shared<TokenStream>();
  box.mailbox.submit(sized(64, 1), stream);
  box.mailbox.close();
  box.run();
  const auto events = stream->take();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, StreamEvent::Kind::Refused);
  EXPECT_EQ(events[0].admission, Admission::TooLong);
}

TEST(Mailbox, AClosedOneRefuses) {
  Box box;
  box.mailbox.close();
  const auto stream = std::make_shared<TokenStream>();
  box.mailbox.submit(sized(1, 1), stream);
  box.run();
  ASSERT_EQ(read_all(*stream).front().kind, StreamEvent::Kind::Refused);
}

TEST(Mailbox, ACancelledRequestEndsOnceAndFreesItsMemory) {
  Box box;
  const auto stream = std::make_shared<TokenStream>();
  const SeqId id = box.mailbox.submit(sized(5, 50), stream);
  box.mailbox.cancel(id);
  box.mailbox.cancel(id);
  box.mailbox.cancel(12345);
  box.mailbox.close();
  box.run();
  const auto events = stream->take();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::Cancelled);
  EXPECT_EQ(events[0].token, -1);
  EXPECT_EQ(box.scheduler.kv().n_free(), 32);
}

TEST(Mailbox, AnArrivalIsWhenTheLoopTakesItUnlessSaid) {
  Mailbox mailbox;
  const TimePoint now(Duration(99)), earlier(Duration(50));
  mailbox.submit(sized(1, 1), std::make_shared<TokenStream>());
  Request said = sized(1, 1);
  said.arrival = earlier;
  mailbox.submit(said, std::make_shared<TokenStream>());
  const auto commands = mailbox.take(now);
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_EQ(std::get<Request>(commands[0]).arrival, now);
  EXPECT_EQ(std::get<Request>(commands[1]).arrival, earlier);
}

TEST(Mailbox, WhatComesIsDueAfterTheTimeThatARequestTakes) {
  VirtualClock clock;
  Mailbox mailbox(nullptr, &clock, Duration(10));
  EXPECT_EQ(mailbox.due(), TimePoint::max());
  clock.wait_until(TimePoint(Duration(5)));
  const SeqId first = mailbox.submit(sized(1, 1), std::make_shared<TokenStream>());
  clock.wait_until(TimePoint(Duration(7)));
  mailbox.cancel(first);
  mailbox.submit(sized(2, 1), std::make_shared<TokenStream>());
  EXPECT_EQ(mailbox.due(), TimePoint(Duration(15)));
  EXPECT_TRUE(mailbox.take(TimePoint(Duration(14))).empty());
  mailbox.close();
  const auto commands = mailbox.take(TimePoint(Duration(16)));
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(std::get<Request>(commands[0]).arrival, TimePoint(Duration(15)));
  EXPECT_EQ(mailbox.due(), TimePoint(Duration(17)));
  const auto late = mailbox.take(TimePoint(Duration(40)));
  ASSERT_EQ(late.size(), 2u);
  EXPECT_EQ(std::get<Cancel>(late[0]).id, first);
  EXPECT_EQ(std::get<Request>(late[1]).arrival, TimePoint(Duration(17)));
  EXPECT_EQ(mailbox.due(), TimePoint::max());
}

// Many clients at once, some of whom leave early. Under ThreadSanitizer this is the test of the
// locks.
TEST(Mailbox, ManyThreadsEachGetTheirOwnAnswer) {
  Box box;
  std::thread box_thread([&] { box.run(); });
  constexpr int kClients = 6, kRequests = 40;
  std::atomic<int> n_finished{0}, n_cancelled{0}, n_refused{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      Random random(1, Stream::Test, static_cast<std::uint32_t>(c));
      for (int i = 0; i < kRequests; ++i) {
        const auto n_gen = static_cast<std::int32_t>(random.range(1, 20));
        const auto stream = std::make_shared<TokenStream>();
        const SeqId id = box.mailbox.submit(
            sized(static_cast<std::int32_t>(random.range(1, 30)), n_gen), stream);
        if (random.range(0, 3) == 0) box.mailbox.cancel(id);
        const auto events = read_all(*stream);
        const StreamEvent& last = events.back();
        if (last.kind == StreamEvent::Kind::Refused) {
          ++n_refused;
        } else if (last.finish == FinishReason::Cancelled) {
          ++n_cancelled;
        } else {
          EXPECT_EQ(std::ssize(events), n_gen);
          ++n_finished;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  box.mailbox.close();
  box_thread.join();
  const SchedulerCounters& counters = box.scheduler.counters();
  EXPECT_EQ(n_finished + n_cancelled + n_refused, kClients * kRequests);
  EXPECT_EQ(counters.finished, n_finished);
  EXPECT_EQ(counters.cancelled, n_cancelled);
  EXPECT_GT(n_finished, 0);
  EXPECT_EQ(box.scheduler.kv().n_free(), 32);
  box.scheduler.verify();
}

}  // namespace
}  // namespace tinderbox
