// Curves over time as SVG, in panels one below the other: readable in light and dark, the same
// bytes for the same values.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tinderbox {

struct TimeCurve {
  std::string name;
  std::vector<std::pair<double, double>>
      points{};  // s, value; ascending; those not finite break the curve
  bool dashed = false;
};

struct TimePanel {
  std::string label;  // "°C"
  std::vector<TimeCurve> curves{};
  double height = 180;     // pixels
  bool from_zero = false;  // the axis begins at 0
};

struct TimeMark {
  double seconds = 0;
  std::string text;
};

struct TimeChart {
  std::string title, subtitle;
  std::vector<TimePanel> panels{};
  std::string x_label{};          // given: x is not time but what this says
  std::vector<TimeMark> marks{};  // upright lines through all panels
};

// Of many points of a curve those are drawn that keep its peaks.
std::string time_chart_svg(const TimeChart& chart);

}  // namespace tinderbox
