#include "twin/body.h"

#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"
#include "twin/test_body.h"

namespace tinderbox {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Body after(const Load& load, Duration time, Celsius room = Celsius(25)) {
  Body body(spark_body(), {.room = room});
  body.set_load(load);
  body.advance(time);
  return body;
}

TEST(Body, GemmSettlesAtTheModuleLimitNearItsMeasuredClock) {
  const Body body = after(gemm_load(), minutes(30));
  EXPECT_EQ(body.state().limit, ClockLimit::Power);
  EXPECT_NEAR(module_power(body.state().rails).value(), 140, 1);
  EXPECT_LE(module_power(body.state().rails), Watts(140));
  EXPECT_NEAR(body.state().clock.value(), 2150e6, 0.05 * 2150e6);
}

TEST(Body, DecodeStaysNearItsMeasuredClock) {
  const Body body = after(decode_load(), minutes(30));
  EXPECT_EQ(body.state().limit, ClockLimit::None);
  EXPECT_NEAR(body.state().clock.value(), 2450e6, 0.02 * 2450e6);
}

TEST(Body, ACapSnapsToAStepAndSavesPower) {
  Body body(spark_body(), {}, Hertz(2001e6));
  body.set_load(decode_load());
  body.advance(minutes(10));
  EXPECT_EQ(body.state().limit, ClockLimit::UserCap);
  EXPECT_LE(body.state().clock, Hertz(2001e6));
  EXPECT_GT(body.state().clock, Hertz(1990e6));
  EXPECT_LT(body.state().rails[0], after(decode_load(), minutes(10)).state().rails[0] - Watts(5));
  EXPECT_DOUBLE_EQ(body.state().speed, 1);
}

TEST(Body, AStoppedFanEndsInHeatSlowdownOrTrip) {
  Body body(spark_body());
  body.set_load(gemm_load());
  body.set_handicap({.fan = 0});
  bool slowed = false;
  for (int i = 0; i < 3600 && !body.state().tripped; ++i) {
    body.advance(seconds(1));
    slowed = slowed || body.state().limit == ClockLimit::Heat;
    EXPECT_LE(body.hottest_zone(), spark_body().zone_critical + Kelvins(1));
  }
  EXPECT_TRUE(slowed);
}

// After the load: the fan is still fast while the zones are cool, cools more than one that follows them at once would,
// and ends at the same speed.
TEST(Body, AFanThatSlowsLaterCoolsSooner) {
  BodyFacts late = spark_body(), soon = spark_body();
  late.fan_slowing_lag = Seconds(90);
  soon.fan_slowing_lag = Seconds(1);
  Body a(late), b(soon);
  for (Body* body : {&a, &b}) {
    body->set_load(decode_load());
    body->advance(minutes(60));
    body->set_load({});
    body->advance(seconds(60));
  }
  EXPECT_GT(a.fan(), late.fan.at(a.hottest_zone().degrees()) + 0.05);
  EXPECT_GT(a.fan(), b.fan() + 0.05);
  EXPECT_LT(a.temperature(late.gpu), b.temperature(soon.gpu) - Kelvins(0.5));
  EXPECT_LT(a.temperature(late.network), b.temperature(soon.network) - Kelvins(0.5));
  for (Body* body : {&a, &b}) body->advance(hours(3));
  EXPECT_EQ(a.fan(), b.fan());
  EXPECT_NEAR(a.temperature(late.gpu).degrees(), b.temperature(soon.gpu).degrees(), 0.1);
}

TEST(Body, ATrippedBoxDrawsNothingAndCools) {
  Body body(spark_body(), {.room = Celsius(55)});
  Load load = gemm_load();
  load.cpu_p_busy = load.cpu_e_busy = 1;
  body.set_load(load);
  body.set_handicap({.fan = 0, .intake = 0});
  for (int i = 0; i < 36000 && !body.state().tripped; ++i) body.advance(seconds(1));
  ASSERT_TRUE(body.state().tripped);
  body.advance(seconds(1));
  EXPECT_EQ(dc_power(body.state().rails), Watts(0));
  EXPECT_EQ(body.state().speed, 0);
  const Celsius hot = body.temperature(spark_body().gpu);
  body.advance(minutes(10));
  EXPECT_LT(body.temperature(spark_body().gpu), hot);
}

TEST(Body, SurroundingsThatAreNoneAreRefused) {
  EXPECT_THROW(Body(spark_body(), {.room = Celsius(-80)}), Error);
  EXPECT_THROW(Body(spark_body(), {.room = Celsius(std::nan(""))}), Error);
  EXPECT_THROW(Body(spark_body(), {.altitude = 20000}), Error);
  EXPECT_THROW(Body(spark_body(), {}, Hertz(1e6)), Error);
}

// A random life: loads, handicaps and rooms that change at random times.
struct Life {
  Body body{spark_body()};
  void live(unsigned what) {
    switch (what % 6) {
      case 0:
        body.set_load(gemm_load());
        break;
      case 1:
        body.set_load(decode_load());
        break;
      case 2:
        body.set_load({});
        break;
      case 3:
        body.set_handicap({.fan = (what / 6 % 10) * 0.1, .intake = 1});
        break;
      case 4:
        body.set_handicap({.module_limit = Watts(20 + what / 6 % 120), .memory = 0.3});
        break;
      default:
        body.set_load(load_of_smi(spark_body(), Watts(what / 6 % 100)));
        break;
    }
  }
};

RC_GTEST_PROP(BodyLaws, EnergyInIsHeatOutAndStored, (const std::vector<unsigned>& events)) {
  Life life;
  for (const unsigned event : events) {
    life.live(event);
    life.body.advance(milliseconds(event % 100000));
    const BodyState& s = life.body.state();
    RC_ASSERT(std::abs(s.joules_held + s.joules_in - s.joules_out - life.body.joules_stored()) <=
              1e-9 * (s.joules_held + s.joules_in + s.joules_out + 1));
  }
}

RC_GTEST_PROP(BodyLaws, TemperaturesStayBetweenRoomAndTrip, (const std::vector<unsigned>& events)) {
  Life life;
  for (const unsigned event : events) {
    life.live(event);
    life.body.advance(milliseconds(event % 1000000));
    for (std::size_t i = 0; i < life.body.network().size(); ++i) {
      RC_ASSERT(life.body.state().rise[i] >= -1e-9);
      RC_ASSERT(life.body.state().rise[i] + 25 <= spark_body().zone_critical.degrees());
    }
    RC_ASSERT(life.body.state().clock > Hertz(0));
    RC_ASSERT(std::isfinite(life.body.state().speed));
  }
}

RC_GTEST_PROP(BodyLaws, SlicesOfTimeDoNotMatter, (const std::vector<unsigned>& events)) {
  Life whole, sliced;
  for (const unsigned event : events) {
    whole.live(event);
    sliced.live(event);
    const Duration time = milliseconds(event % 100000);
    whole.body.advance(time);
    Duration left = time;
    while (left > Duration(0)) {
      const Duration slice = std::min<Duration>(left, milliseconds(*rc::gen::inRange(1, 30000)));
      sliced.body.advance(slice);
      left -= slice;
    }
    const BodyState &a = whole.body.state(), &b = sliced.body.state();
    RC_ASSERT(a.time == b.time);
    RC_ASSERT(a.limit == b.limit);
    RC_ASSERT(a.clock == b.clock);
    for (std::size_t i = 0; i < kHeatNodesMax; ++i)
      RC_ASSERT(std::abs(a.rise[i] - b.rise[i]) <= 1e-6);
    RC_ASSERT(std::abs(a.joules_in - b.joules_in) <= 1e-6 * (1 + a.joules_in));
  }
}

TEST(Body, ARoomThatChangesKeepsTheBooks) {
  Body body = after(decode_load(), minutes(10));
  const Celsius before = body.temperature(spark_body().gpu);
  body.set_room(Celsius(30));
  EXPECT_NEAR(body.temperature(spark_body().gpu).degrees(), before.degrees(), 1e-9);
  body.advance(hours(1));
  const BodyState& s = body.state();
  EXPECT_NEAR(s.joules_held + s.joules_in, s.joules_out + body.joules_stored(), 1e-9 * s.joules_in);
  EXPECT_GT(body.temperature(spark_body().gpu), before);
}

}  // namespace
}  // namespace tinderbox
