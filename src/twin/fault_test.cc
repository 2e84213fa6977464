#include "twin/fault.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"
#include "twin/test_body.h"

namespace tinderbox {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const Machine& spark() {
  static const Machine machine = parse_machine(
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/machines/dgx-spark.toml"),
      "dgx-spark");
  return machine;
}

std::string refusal(const std::string& plan) {
  try {
    plan_faults({plan}, spark(), hours(1), 1);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

Body under(const std::string& fault, const Load& load, Duration time) {
  Body body(spark_body());
  body.set_load(load);
  body.advance(minutes(10));
  const auto events = plan_faults({fault}, spark(), hours(2), 1);
  body.set_handicap(handicap_at(events, TimePoint{}));
  body.advance(time);
  return body;
}

TEST(Fault, EveryOneIsDocumentedAndNamedOnce) {
  const auto faults = faults_of(spark());
  EXPECT_EQ(faults.size(), 10U);
  for (const Fault& fault : faults) {
    EXPECT_FALSE(fault.what.empty() || fault.ends.empty() || fault.sources.empty()) << fault.name;
    EXPECT_EQ(std::ranges::count(faults, fault.name, &Fault::name), 1);
    if (!fault.link.empty()) {
      EXPECT_NE(std::ranges::find(spark().links, fault.link, &Link::name), spark().links.end());
    }
  }
  EXPECT_TRUE(faults_of(Machine{}).empty());
}

TEST(Fault, SignaturesAreThoseThatOwnersMeasured) {
  const double healthy = under("slow-memory@1h", decode_load(), minutes(1)).state().speed;
  const Body stuck = under("stuck-low-power", gemm_load(), minutes(5));
  EXPECT_NEAR(stuck.state().clock.value(), 650e6, 10e6);
  EXPECT_NEAR(stuck.state().speed, 0.27, 0.02);  // 650 of 2450 MHz, all of it compute
  EXPECT_LT(smi_power(spark_body(), stuck.state().rails[0]), Watts(26));
  const Body slow = under("slow-memory", decode_load(), seconds(10));
  EXPECT_NEAR(slow.state().speed / healthy, 73.0 / 240, 0.01);
  const Body safe = under("pd-safety-mode", decode_load(), minutes(5));
  EXPECT_LE(safe.state().clock, Hertz(500e6));
  EXPECT_EQ(safe.state().limit, ClockLimit::Fault);
  const Body off = under("power-off", decode_load(), minutes(5));
  EXPECT_EQ(dc_power(off.state().rails), Watts(0));
  EXPECT_EQ(off.state().speed, 0);
  const Body frozen = under("memory-exhaustion", decode_load(), minutes(5));
  EXPECT_EQ(frozen.state().speed, 0);
  EXPECT_GT(dc_power(frozen.state().rails), Watts(20));
  EXPECT_GT(under("blocked-intake", decode_load(), minutes(20)).temperature(spark_body().gpu),
            under("slow-memory@1h", decode_load(), minutes(20)).temperature(spark_body().gpu) +
                Kelvins(5));
}

TEST(Fault, PlansAreReadAndWrongOnesRefused) {
  const auto at = plan_faults({"slow-memory@10min+30s", "fan-failure"}, spark(), hours(1), 1);
  ASSERT_EQ(at.size(), 2U);
  EXPECT_EQ(at[0].fault.name, "fan-failure");
  EXPECT_EQ(at[0].end, TimePoint(hours(1)));
  EXPECT_EQ(at[1].begin, TimePoint(minutes(10)));
  EXPECT_EQ(at[1].end, TimePoint(minutes(10) + seconds(30)));
  EXPECT_EQ(next_change(at, TimePoint{}), TimePoint(minutes(10)));
  EXPECT_EQ(next_change(at, TimePoint(hours(1))), TimePoint::max());
  EXPECT_NE(refusal("slow-memoy").find("did you mean 'slow-memory'"), std::string::npos);
  for (const char* plan : {"slow-memory@", "slow-memory@x", "slow-memory@-1s", "slow-memory@2h",
                           "slow-memory~2", "slow-memory~0/h", "slow-memory~nan/h",
                           "slow-memory@1min+", "slow-memory@1min+9h", "", "@1s"}) {
    EXPECT_NE(refusal(plan), "accepted") << plan;
  }
}

RC_GTEST_PROP(FaultLaws, RandomFaultsFollowTheSeedAndTheRate, (std::uint64_t seed)) {
  const auto one = plan_faults({"slow-memory~6/h"}, spark(), hours(200), seed);
  const auto two = plan_faults({"slow-memory~6/h"}, spark(), hours(200), seed);
  RC_ASSERT(one.size() == two.size());
  RC_ASSERT(one.size() > 1000 && one.size() < 1400);
  for (std::size_t i = 0; i < one.size(); ++i) RC_ASSERT(one[i].begin == two[i].begin);
}

RC_GTEST_PROP(FaultLaws, NoPlanCrashes, (const std::string& text)) {
  try {
    plan_faults({text, "slow-memory@" + text, "slow-memory~" + text}, spark(), hours(1), 1);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace tinderbox
