#include "box/validation_body.h"

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "base/text.h"
#include "box/test_rows.h"

namespace tinderbox {
namespace {

const std::filesystem::path kData = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data";

// Two owners' short logs and a few powers: the whole way, in seconds.
const BodyValidation& small() {
  static const BodyValidation v = [] {
    std::vector<TelemetryRun> runs;
    for (const char* file : {"djangodevreng-qwen-3.5-2b-bf16.csv", "pulsar-nano-smoke-node1.csv"}) {
      for (TelemetryRun& run : parse_telemetry(read_file(kData / "telemetry" / file), file)) {
        if (runs.size() < 3 || run.source == "pulsar") runs.push_back(std::move(run));
      }
    }
    const std::string all(read_file(kData / "measurements/power-thermal.csv"));
    std::string rows = all.substr(0, all.find('\n') + 1);
    for (std::size_t at = 0; (at = all.find("\ndj-gpt-oss-20b", at)) != std::string::npos; ++at) {
      rows += all.substr(at + 1, all.find('\n', at + 1) - at);
    }
    return validate_body(read_file(kData / "machines/dgx-spark.toml"), "dgx-spark", std::move(runs),
                         Csv::parse(rows, "rows.csv"), testing::known().resources());
  }();
  return v;
}

TEST(ValidationBody, EveryRunIsReplayedAndEveryPartCools) {
  EXPECT_EQ(small().runs.size(), small().replays.size());
  EXPECT_EQ(small().runs.size(), small().heat.runs.size());
  EXPECT_EQ(small().power.rows.size(), small().workloads.size());
  EXPECT_TRUE(small().cool_downs.empty());  // no such log ends with a long rest
}

// A made-up log: the body's own answer to watts that stop, so that what cools is known.
TEST(ValidationBody, ACoolDownIsFoundAndIsTheBodysOwn) {
  TelemetryRun run{.name = "made-up", .source = "made-up"};
  Body body(small().facts, {.room = small().facts.room_prior});
  // A log does not say when between two samples the load ended: they are much closer than the fall is long.
  constexpr int kApart = 20;  // s
  for (int i = 0; i < 3600 / kApart; ++i) {
    const Watts smi(i < 1200 / kApart ? 70 : 11);
    body.set_logged(smi);
    body.advance(std::chrono::seconds(kApart));
    run.samples.push_back(
        {.seconds = 1.0 * kApart * i, .gpu = body.temperature(small().facts.gpu), .smi = smi});
  }
  const std::string toml(read_file(kData / "machines/dgx-spark.toml"));
  const std::string all(read_file(kData / "measurements/power-thermal.csv"));
  const std::size_t at = all.find("\ndj-gpt-oss-20b");
  const std::string rows =
      all.substr(0, all.find('\n') + 1) + all.substr(at + 1, all.find('\n', at + 1) - at);
  const BodyValidation v = validate_body(toml, "dgx-spark", {run}, Csv::parse(rows, "rows.csv"),
                                         testing::known().resources());
  ASSERT_EQ(v.cool_downs.size(), 1U);
  EXPECT_EQ(v.cool_downs[0].part, "GPU");
  EXPECT_GT(v.cool_downs[0].measured, 10);
  EXPECT_NEAR(v.cool_downs[0].modelled / v.cool_downs[0].measured, 1, 0.25);
}

// The load of a log ends shortly before a sample or shortly after the one before: the same fall, whose
// first minute looks different. When it ended is inferred, so that the body finds its own fall in both.
TEST(ValidationBody, ACoolDownDoesNotHangOnWhenBetweenSamplesTheLoadEnded) {
  constexpr int kApart = 60, kLoad = 2400;  // s
  const std::string all(read_file(kData / "measurements/power-thermal.csv"));
  const std::size_t at = all.find("\ndj-gpt-oss-20b");
  const std::string rows =
      all.substr(0, all.find('\n') + 1) + all.substr(at + 1, all.find('\n', at + 1) - at);
  std::vector<TelemetryRun> runs;
  for (const int before : {4, 56}) {
    TelemetryRun run{.name = format("{} s", before), .source = "made-up"};
    Body body(small().facts, {.room = small().facts.room_prior});
    body.set_logged(Watts(70));
    for (int t = 0; t < kLoad + 3000; t += kApart) {
      if (t == kLoad) {
        body.advance(std::chrono::seconds(kApart - before));
        body.set_logged(Watts(11));
        body.advance(std::chrono::seconds(before));
      } else if (t > 0) {
        body.advance(std::chrono::seconds(kApart));
      }
      run.samples.push_back({.seconds = 1.0 * t,
                             .gpu = body.temperature(small().facts.gpu),
                             .smi = Watts(t < kLoad ? 70 : 11)});
    }
    runs.push_back(std::move(run));
  }
  const BodyValidation v =
      validate_body(read_file(kData / "machines/dgx-spark.toml"), "dgx-spark", runs,
                    Csv::parse(rows, "rows.csv"), testing::known().resources());
  ASSERT_EQ(v.cool_downs.size(), 2U);
  for (const CoolDown& c : v.cool_downs)
    EXPECT_NEAR(c.modelled / c.measured, 1, 0.05) << c.run;
  EXPECT_GT(v.cool_downs[1].measured, 1.2 * v.cool_downs[0].measured);
}

TEST(ValidationBody, TheDocumentNamesEachTargetAndLinksEachPlot) {
  const std::string text = body_markdown(small(), "docs/body");
  for (const char* part :
       {"## The body", "source left out", "clock while it works", "decode, one stream",
        "pulsar-nano-smoke-node1", "no published log resolves it"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(text.find(" nan"), std::string::npos);
  for (const PlotFile& plot : body_plots(small())) {
    EXPECT_NE(text.find("docs/body/" + plot.name), std::string::npos) << plot.name;
    EXPECT_NE(plot.svg.find("</svg>"), std::string::npos);
    for (const char* bad : {"Lnan", "Mnan", " nan", "\"nan"})
      EXPECT_EQ(plot.svg.find(bad), std::string::npos);
    // Two curves of temperature and one of watts, each broken between runs.
    EXPECT_GE(std::ranges::count(plot.svg, 'M'), 3);
  }
}

TEST(ValidationBody, WarmerRoomsAreWarmerBoxesAndNeverFaster) {
  const BodyFacts& facts = small().facts;
  Load load;
  load.clock = Hertz(2450e6);
  load.flops[static_cast<std::size_t>(MathType::F16)] = 80e12;
  load.memory_bytes = 100e9;
  load.gpu_busy = load.compute_share = 1;
  load.awake = true;
  const TimeChart chart = rooms_chart(facts, load, 100, "load", {Celsius(20), Celsius(35)});
  ASSERT_EQ(chart.panels.size(), 3U);
  const auto last = [&](std::size_t panel, std::size_t room) {
    return chart.panels[panel].curves[room].points.back().second;
  };
  EXPECT_GT(last(0, 1), last(0, 0) + 5);
  EXPECT_LE(last(2, 1), last(2, 0));
}

}  // namespace
}  // namespace tinderbox
