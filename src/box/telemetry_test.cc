#include "box/telemetry.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "twin/test_body.h"

namespace tinderbox {
namespace {

std::string refusal(std::string_view text) {
  try {
    parse_telemetry(text, "me-log.csv");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

void expect_in(const std::string& message, std::string_view words) {
  EXPECT_NE(message.find(words), std::string::npos) << message;
}

TEST(Telemetry, ReadsRunsAndWhatTheyHave) {
  const auto runs = parse_telemetry(
      "run,t_s,gpu_power_w,gpu_temp_c,zone0_c,nvme_temp_c,link_up\n"
      "a,0,10,40,44,,1\na,10,20,41,45,39,1\nb,0,10,40,,,0\nb,5,10,40,,,0\n",
      "me-log.csv");
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].name, "me-log: a");
  EXPECT_EQ(runs[0].source, "me");
  EXPECT_TRUE(runs[0].link_up);
  EXPECT_FALSE(runs[1].link_up);
  EXPECT_EQ(runs[0].samples[1].smi, Watts(20));
  EXPECT_EQ(runs[0].samples[1].drive, Celsius(39));
  EXPECT_FALSE(runs[0].samples[0].drive);
  ASSERT_EQ(runs[0].samples[0].zones.size(), 1U);
  EXPECT_EQ(runs[0].samples[0].zones[0], Celsius(44));
}

TEST(Telemetry, RefusesWhatIsNoLogNamingTheLine) {
  expect_in(refusal("t_s,gpu_temp_c\n0,40\n10,hot\n"), "me-log.csv:3: gpu_temp_c");
  expect_in(refusal("t_s,gpu_temp_c\n0,40\n10,41\n5,42\n"),
            "me-log.csv:4: t_s: expected more than 10 s");
  expect_in(refusal("t_s,gpu_temp_c\n0,40\n10,41\n20,42\n500,42\n"),
            "nothing for 480 s after 20 s");
  expect_in(refusal("t_s,gpu_power_w,gpu_temp_c\n0,-5,40\n10,5,41\n"),
            "gpu_power_w: expected a number from 0");
  expect_in(refusal("t_s,gpu_power_w,gpu_temp_c\n0,5,40\n10,,41\n"), "in every sample or in none");
  expect_in(refusal("t_s,gpu_temp_c\n0,40\n"), "at least 2 samples");
  expect_in(refusal("t_s,gpu_temp_c\n"), "expected samples");
  expect_in(refusal("t_s,gpu_temp_c\n0,\n"), "the cell is empty");
  expect_in(refusal("t_s\n0\n1\n"), "gpu_temp_c");
}

// A log that the body itself wrote is replayed without error, and its room is found.
TEST(Telemetry, ARoomIsInferredFromTheLogAlone) {
  BodyFacts facts = spark_body();
  Body body(facts, {.room = Celsius(27)});
  TelemetryRun run{.name = "own", .source = "own"};
  const auto record = [&](double t, double watts) {
    TelemetrySample s{.seconds = t, .gpu = body.temperature(facts.gpu)};
    s.smi = Watts(watts);
    run.samples.push_back(s);
  };
  body.set_logged(Watts(40));
  body.begin_at(Celsius(60));
  record(0, 40);
  for (int i = 1; i <= 200; ++i) {
    const double watts = i < 100 ? 40 : 70;
    body.advance(std::chrono::seconds(5));
    body.set_logged(Watts(watts));
    body.advance(std::chrono::seconds(5));
    record(10 * i, watts);
  }
  const Replay same = replay(Body(facts), run, Celsius(27));
  EXPECT_LT(same.rmse, 1e-6);
  const Replay inferred = replay(Body(facts), run);
  EXPECT_NEAR(inferred.room.degrees(), 27, 0.5);
  EXPECT_LT(inferred.rmse, 0.5);
}

TEST(Telemetry, EveryLogOfTheRepositoryLoads) {
  const auto runs = load_telemetry(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/telemetry");
  EXPECT_GT(runs.size(), 200U);
  for (const TelemetryRun& run : runs) EXPECT_GE(run.samples.size(), 20U) << run.name;
}

}  // namespace
}  // namespace tinderbox
