#include "box/time_lines.h"

#include <gtest/gtest.h>

#include <cmath>

#include "box/simulate.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

StepModel twin(bool with_body = false) {
  return testing::fp8_twin_on(with_body ? round_machine_with_body() : testing::round_machine());
}

SimulationResult simulate_with(TimeLines& lines, const StepModel& model, SimulateOptions options) {
  options.watch = [&](std::int64_t box, std::int64_t) { return std::vector<BoxWatch*>{lines.box(box)}; };
  options.on_finished = [&](const RequestTimes& times) { lines.finished(times); };
  return simulate(model, options);
}

// The windows are the run in parts: their sums are the report's, of however many boxes and windows.
TEST(TimeLines, WindowsSumUpToTheReport) {
  const StepModel model = twin();
  for (const std::int64_t boxes : {1, 3}) {
    for (const std::int64_t requests : {1, 20, 2000}) {
      TimeLines lines;
      const SimulationResult result = simulate_with(
          lines, model,
          {.workload =
               {.requests = requests, .rate = 1.4, .prompt = 100, .gen = 30, .range_ratio = 0.5},
           .kv_tokens = 2000,
           .boxes = boxes});
      const Report& r = result.report;
      TimeLines::Window all;
      for (const TimeLines::Window& w : lines.windows()) {
        all.merge(w);
        EXPECT_LE(w.busy_s,
                  static_cast<double>(boxes) * to_seconds(lines.window_length()).value() + 1e-9);
      }
      EXPECT_LE(lines.windows().size(), TimeLines::kWindowsMax);
      EXPECT_GE(lines.windows().size(), TimeLines::kWindowsMax / 2);
      const double s = r.duration.value();
      const auto n = [](std::int64_t count) { return static_cast<double>(count); };
      EXPECT_NEAR(all.output_tokens, n(r.output_tokens), 1e-6 * n(r.output_tokens));
      if (r.preemptions == 0) {
        EXPECT_NEAR(all.prompt_tokens, n(r.prompt_tokens), 1e-6 * n(r.prompt_tokens));
      }
      EXPECT_NEAR(all.busy_s, r.busy.value(), 1e-6 * s);
      EXPECT_NEAR(all.running_s, r.mean_running * s, 1e-6 * s);
      EXPECT_NEAR(all.waiting_s, r.mean_waiting * s, 1e-6 * s);
      EXPECT_NEAR(all.kv_s, r.mean_kv_share * s * n(boxes), 1e-6 * s);
      EXPECT_EQ(all.ttft.n(), r.ttft.n);
      EXPECT_EQ(all.tpot.n(), r.tpot.n);
      if (requests < 1000) continue;  // between few order statistics percentiles interpolate
      EXPECT_NEAR(all.ttft.percentile(50), r.ttft.p50.value(), 0.03 * r.ttft.p50.value());
      EXPECT_NEAR(all.tpot.percentile(50), r.tpot.p50.value(), 0.03 * r.tpot.p50.value());
    }
  }
}

TEST(TimeLines, HistogramsAreWithinTheirError) {
  TimeLines::Histogram h;
  EXPECT_TRUE(std::isnan(h.percentile(50)));
  for (std::int64_t i = 1; i <= 1000; ++i) h.add(std::chrono::microseconds(i * i));
  for (const double percent : {0.0, 10.0, 50.0, 90.0, 99.0, 100.0}) {
    const double i = 1 + std::floor(percent / 100 * 999);
    EXPECT_NEAR(h.percentile(percent), 1e-6 * i * i, 0.023 * 1e-6 * i * i) << percent;
  }
  h.add(Duration(0));  // shorter than any bucket
  EXPECT_LT(h.percentile(0), 2e-9);
}

// The chart has a panel for each thing, and those of the body if there is one; only so much of it
// however long.
TEST(TimeLines, ChartsAreBounded) {
  for (const bool with_body : {false, true}) {
    TimeLines lines;
    SimulateOptions options{.workload = {.requests = 500, .rate = 0.5, .prompt = 100, .gen = 30}};
    if (with_body) options.body = BodyOptions{};
    const SimulationResult result = simulate_with(lines, twin(with_body), options);
    const TimeChart chart = lines.chart("a <b>", "c");
    EXPECT_EQ(chart.panels.size(), with_body ? 8u : 5u);
    for (const TimePanel& panel : chart.panels) {
      for (const TimeCurve& curve : panel.curves) {
        EXPECT_EQ(curve.points.size(), lines.windows().size());
        EXPECT_LE(curve.points.back().first, result.report.duration.value() + 10);
      }
    }
    const std::string svg = time_chart_svg(chart);
    EXPECT_NE(svg.find("a &lt;b&gt;"), std::string::npos);
    EXPECT_LT(svg.size(), 60'000u);
    if (!with_body) continue;
    double joules = 0, gpu_max = 0;
    for (const TimeLines::Window& w : lines.windows()) {
      joules += w.wall_joules;
      gpu_max = std::max(gpu_max, w.gpu_max);
    }
    EXPECT_NEAR(joules, result.body->wall_joules, 0.05 * joules);  // read once a second
    EXPECT_NEAR(gpu_max, result.body->gpu_max.degrees(), 1);
  }
}

}  // namespace
}  // namespace tinderbox
