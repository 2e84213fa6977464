#include "box/time_chart.h"

#include <cmath>

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(TimeChart, DrawsACurveForEachAndEscapesNames) {
  TimeChart chart{.title = "a <b>", .subtitle = "c"};
  chart.panels = {{.label = "°C",
                   .curves = {{.name = "x & y", .points = {{0, 1}, {10, 2}}},
                              {.name = "z", .points = {{0, 3}, {10, 1}}}}},
                  {.label = "W", .curves = {{.name = "w", .points = {{0, 1}, {10, 5}}}}}};
  chart.marks = {{5, "here"}};
  const std::string svg = time_chart_svg(chart);
  EXPECT_EQ(count(svg, "stroke-width=\"1.6\""), 3U);
  EXPECT_NE(svg.find("a &lt;b&gt;"), std::string::npos);
  EXPECT_NE(svg.find("x &amp; y"), std::string::npos);
  EXPECT_NE(svg.find("here"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(TimeChart, NothingAndNotFiniteAreDrawnAsNothing) {
  TimeChart chart{.title = "t", .subtitle = ""};
  chart.panels = {
      {.label = "x", .curves = {{.name = "n", .points = {{0, NAN}, {NAN, 1}, {1, INFINITY}}}}},
      {.label = "y"}};
  const std::string svg = time_chart_svg(chart);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_NE(time_chart_svg({.title = "", .subtitle = ""}).find("</svg>"), std::string::npos);
}

TEST(TimeChart, ALongCurveKeepsItsPeakAndStaysSmall) {
  TimeCurve curve{.name = "c"};
  for (int i = 0; i < 100000; ++i) curve.points.emplace_back(i, i == 77777 ? 1000 : 1);
  TimeChart chart{.title = "t", .subtitle = ""};
  chart.panels = {{.label = "x", .curves = {curve}, .height = 180}};
  const std::string svg = time_chart_svg(chart);
  EXPECT_LT(svg.size(), 20000U);
  EXPECT_NE(svg.find(" 62.0"), std::string::npos);  // the top of the panel
}

}  // namespace
}  // namespace tinderbox
