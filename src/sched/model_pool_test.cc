#include "sched/model_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/random.h"

namespace tinderbox {
namespace {

using State = ModelPool::State;

TimePoint at(int s) { return TimePoint(std::chrono::seconds(s)); }
constexpr Duration kLoad = std::chrono::seconds(10);

TEST(ModelPool, ThoseThatFitAreThereFromTheBeginning) {
  const ModelPool pool(10, {{6, kLoad}, {6, kLoad}, {3, kLoad}, {1, kLoad, true}});
  EXPECT_EQ(pool.state(0), State::Ready);
  EXPECT_EQ(pool.state(1), State::Absent);
  EXPECT_EQ(pool.state(2), State::Ready);
  EXPECT_EQ(pool.state(3), State::Ready);
  EXPECT_EQ(pool.bytes_used(), 10);
  EXPECT_EQ(pool.next(), TimePoint::max());
  pool.verify();
}

TEST(ModelPool, TheLongestUnusedOfThoseAtRestGivesWay) {
  ModelPool pool(9, {{3, kLoad}, {3, kLoad}, {3, kLoad}, {3, kLoad}});
  for (const std::size_t i : {1u, 0u, 2u}) {
    EXPECT_TRUE(pool.want(i, at(static_cast<int>(i) + 1)));
    pool.rest(i, at(i == 1 ? 4 : i == 0 ? 5 : 6));
  }
  EXPECT_FALSE(pool.want(3, at(7)));
  EXPECT_EQ(pool.state(1), State::Absent);
  EXPECT_EQ(pool.counters(1).evictions, 1);
  EXPECT_EQ(pool.state(3), State::Loading);
  EXPECT_EQ(pool.next(), at(17));
  EXPECT_TRUE(pool.advance(at(16)).empty());
  EXPECT_EQ(pool.advance(at(17)), std::vector<std::size_t>{3});
  EXPECT_EQ(pool.state(3), State::Ready);
  EXPECT_EQ(pool.bytes_peak(), 9);
  pool.verify();
}

TEST(ModelPool, WhoWorksFinishesFirstAndTakesNothingNew) {
  ModelPool pool(5, {{4, kLoad}, {4, kLoad}});
  EXPECT_TRUE(pool.want(0, at(1)));
  EXPECT_FALSE(pool.want(1, at(2)));
  EXPECT_EQ(pool.state(0), State::Closed);
  EXPECT_FALSE(pool.want(0, at(3)));  // behind the other, though it is still there
  pool.verify();
  pool.rest(0, at(4));
  EXPECT_EQ(pool.state(0), State::Absent);
  EXPECT_EQ(pool.state(1), State::Loading);
  pool.verify();
  EXPECT_EQ(pool.advance(at(14)), std::vector<std::size_t>{1});
  EXPECT_EQ(pool.state(1), State::Closed);  // does what waited for it, and no more
  pool.rest(1, at(20));
  EXPECT_EQ(pool.state(0), State::Loading);
  EXPECT_EQ(pool.counters(0).loads, 1);
  EXPECT_EQ(pool.counters(1).loads, 1);
}

TEST(ModelPool, PinnedOnesStay) {
  ModelPool pool(10, {{5, kLoad, true}, {5, kLoad}, {4, kLoad}}, std::chrono::seconds(60));
  EXPECT_FALSE(pool.want(2, at(1)));
  EXPECT_EQ(pool.state(0), State::Ready);
  EXPECT_EQ(pool.state(1), State::Absent);
  pool.advance(at(1000));
  EXPECT_EQ(pool.state(0), State::Ready);
  pool.verify();
  EXPECT_DEATH(ModelPool(10, {{5, kLoad, true}, {6, kLoad}}), "CHECK failed");
}

TEST(ModelPool, WhoRestsTooLongIsUnloaded) {
  ModelPool pool(10, {{5, kLoad}, {5, kLoad}}, std::chrono::seconds(60));
  EXPECT_EQ(pool.next(), at(60));
  EXPECT_TRUE(pool.want(0, at(10)));
  pool.advance(at(60));
  EXPECT_EQ(pool.state(1), State::Absent);
  EXPECT_EQ(pool.next(), TimePoint::max());  // the other works
  pool.rest(0, at(70));
  EXPECT_EQ(pool.next(), at(130));
  pool.advance(at(130));
  EXPECT_EQ(pool.counters(0).expiries, 1);
  EXPECT_EQ(pool.bytes_used(), 0);
  pool.verify();
}

TEST(ModelPool, WhatIsDroppedGoesWhenItIsDone) {
  ModelPool pool(10, {{5, kLoad}, {5, kLoad, true}});
  EXPECT_TRUE(pool.want(0, at(1)));
  pool.drop(0, at(2));
  EXPECT_EQ(pool.state(0), State::Closed);
  pool.rest(0, at(3));
  EXPECT_EQ(pool.state(0), State::Absent);
  pool.drop(1, at(4));
  EXPECT_EQ(pool.state(1), State::Ready) << "pinned";
  EXPECT_FALSE(pool.want(0, at(5)));
  pool.verify();
  EXPECT_EQ(pool.advance(at(15)), std::vector<std::size_t>{0});
  pool.rest(0, at(16));
  pool.drop(0, at(17));
  EXPECT_EQ(pool.state(0), State::Absent) << "at rest: at once";
  pool.verify();
}

TEST(ModelPool, PinsAreRefusedThatLeaveNoRoom) {
  ModelPool pool(10, {{5, kLoad}, {5, kLoad}, {4, kLoad}});
  EXPECT_TRUE(pool.pin(0, true, at(1)));
  EXPECT_FALSE(pool.pin(1, true, at(1))) << "the third would never find room";
  EXPECT_EQ(pool.state(2), State::Absent);
  EXPECT_TRUE(pool.pin(0, false, at(2)));
  EXPECT_TRUE(pool.pin(2, true, at(3)));
  EXPECT_EQ(pool.state(2), State::Loading) << "and the longest unused has gone";
  pool.verify();
  pool.advance(at(13));
  EXPECT_EQ(pool.state(2), State::Ready);
  pool.verify();
}

// Whatever is wanted and whoever rests, in any order: memory is never too little, and once nothing new comes and all
// work ends, everybody who was wanted has been there.
TEST(ModelPool, EverybodyWhoIsWantedIsLoadedInTheEnd) {
  for (std::uint32_t seed = 0; seed < 2000; ++seed) {
    Random random(seed, Stream::Test);
    std::vector<ModelPool::Model> models;
    for (std::int64_t i = random.range(1, 5); i > 0; --i) {
      models.push_back({random.range(1, 8), std::chrono::seconds(random.range(0, 20)), false});
    }
    models.front().pinned = random.range(0, 2) == 0;
    const std::int64_t pinned = models.front().pinned ? models.front().bytes : 0;
    ModelPool pool(random.range(8, 16) + pinned, models,
                   random.range(0, 1) == 0 ? Duration::max() : Duration(std::chrono::seconds(random.range(1, 30))));
    std::set<std::size_t> waiting, working;
    int now = 0;
    const auto advance = [&] {
      for (const std::size_t i : pool.advance(at(now))) {
        waiting.erase(i);
        working.insert(i);
      }
      pool.verify();
    };
    for (int step = 0; step < 60; ++step) {
      now += static_cast<int>(random.range(0, 5));
      advance();
      const auto i = static_cast<std::size_t>(random.range(0, std::ssize(models) - 1));
      if (random.range(0, 5) == 0) {
        pool.drop(i, at(now));
      } else if (random.range(0, 5) == 0) {
        const State before = pool.state(i);
        const bool pin = random.range(0, 1) == 0;
        // One that is pinned and not there is wanted.
        if (pool.pin(i, pin, at(now)) && pin && before != State::Ready && pool.state(i) != State::Ready) {
          waiting.insert(i);
        }
      } else if (random.range(0, 1) == 0) {
        (pool.want(i, at(now)) ? working : waiting).insert(i);
      } else if (working.erase(i) > 0) {
        pool.rest(i, at(now));
      }
      pool.verify();
    }
    for (int i = 0; i < 100 && !waiting.empty(); ++i) {
      for (const std::size_t m : std::exchange(working, {})) pool.rest(m, at(now));
      pool.verify();
      now += 20;
      advance();
    }
    ASSERT_TRUE(waiting.empty()) << seed;
  }
}

}  // namespace
}  // namespace tinderbox
