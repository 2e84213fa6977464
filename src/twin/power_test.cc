#include "twin/power.h"

#include <gtest/gtest.h>

#include "twin/test_body.h"

namespace tinderbox {
namespace {

TEST(Power, AnIdleBoxDrawsItsIdleRails) {
  const BodyFacts& body = spark_body();
  const Rails out = rails(body, {}, body.clock_idle, 1, body.leakage_temperature);
  for (std::size_t i = 0; i < kRails; ++i)
    EXPECT_DOUBLE_EQ(out[i].value(), body.idle[i].value()) << i;
  EXPECT_DOUBLE_EQ(dc_power(out).value(), (module_power(out) + out[index_of(Rail::Network)] +
                                           out[index_of(Rail::Drive)] + out[index_of(Rail::Board)])
                                              .value());
}

TEST(Power, SmiIsRightAtIdleAndLowUnderLoadAndInvertible) {
  const BodyFacts& body = spark_body();
  EXPECT_EQ(smi_power(body, Watts(4)), Watts(4));
  EXPECT_LT(smi_power(body, Watts(109)), Watts(95));
  for (const double watts : {1.0, 4.85, 12.0, 60.0, 110.0}) {
    EXPECT_NEAR(rail_of_smi(body, smi_power(body, Watts(watts))).value(), watts, 1e-12);
  }
}

TEST(Power, GrowsWithClockTemperatureAndWork) {
  const BodyFacts& body = spark_body();
  const auto gpu = [&](const Load& load, double mhz, double temperature) {
    return rails(body, load, Hertz(mhz * 1e6), speed_ratio(load, Hertz(mhz * 1e6)),
                 Celsius(temperature))[0];
  };
  for (const Load& load : {gemm_load(), decode_load()}) {
    EXPECT_LT(gpu(load, 1500, 70), gpu(load, 2000, 70));
    EXPECT_LT(gpu(load, 2000, 70), gpu(load, 2450, 70));
    EXPECT_LT(gpu(load, 2000, 50), gpu(load, 2000, 90));
  }
  EXPECT_LT(gpu(decode_load(), 2450, 70), gpu(gemm_load(), 2450, 70));
}

TEST(Power, SpeedFollowsWhatBoundsIt) {
  Load load = gemm_load();
  EXPECT_DOUBLE_EQ(speed_ratio(load, load.clock), 1);
  EXPECT_DOUBLE_EQ(speed_ratio(load, load.clock * 0.5), 0.5);
  load = decode_load();
  EXPECT_DOUBLE_EQ(speed_ratio(load, load.clock * 0.5), 1);
  EXPECT_DOUBLE_EQ(speed_ratio(load, load.clock, 0.25), 0.25);
}

TEST(Power, ALoggedWattIsALoadThatGrowsWithIt) {
  const BodyFacts& body = spark_body();
  EXPECT_EQ(load_of_smi(body, Watts(5)).memory_bytes, 0);
  EXPECT_FALSE(load_of_smi(body, Watts(4)).awake);
  EXPECT_TRUE(load_of_smi(body, Watts(40)).awake);
  EXPECT_EQ(load_of_smi(body, body.smi_works).memory_bytes, body.working_bytes.value());
  EXPECT_EQ(load_of_smi(body, body.smi_decodes).memory_bytes, body.working_bytes.value());
  EXPECT_EQ(load_of_smi(body, body.smi_computes + Watts(5)).memory_bytes, body.computing_bytes.value());
}

// A box is held to its module's limit: whatever nvidia-smi shows of the GPU, there was as much for the rest.
TEST(Power, ALoggedLoadIsWithinTheModulesLimit) {
  const BodyFacts& body = spark_body();
  for (double smi = 5; smi <= 90; smi += 1) {
    Rails out = rails(body, load_of_smi(body, Watts(smi)), Hertz(2.4e9), 1, Celsius(80));
    out[index_of(Rail::Gpu)] = rail_of_smi(body, Watts(smi));
    EXPECT_LE(module_power(out).value(), 1.02 * body.module_limit.value()) << smi;
  }
}

}  // namespace
}  // namespace tinderbox
