// Plots of predictions beside measurements as SVG: readable in light and dark, each dot named when
// the pointer rests on it, the same bytes for the same values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

struct Dot {
  double x = 0, y = 0;  // positive and finite, or the dot is left out
  std::string series;
  std::string name;     // shown on hover
  bool hollow = false;
};

// Predicted (y) over measured (x), both logarithmic over the same range, with the diagonal and a band
// of 10 % around it.
struct ScatterPlot {
  std::string title, subtitle;
  std::string unit;  // "tokens/s": of both axes
  std::vector<Dot> dots;
};

struct ErrorCurve {
  std::string series;
  std::vector<double> errors;  // fractions, any order
};

// Errors (logarithmic) sorted, over the share of their series: where a curve crosses 50 % is the
// median.
struct CurvePlot {
  std::string title, subtitle;
  std::string x_label;
  std::vector<ErrorCurve> curves;
};

// series: all there are, in the order that gives each its colour in every plot.
std::string scatter_svg(const ScatterPlot& plot, const std::vector<std::string>& series);
std::string curves_svg(const CurvePlot& plot, const std::vector<std::string>& series);

// Text as the content of an XML element or attribute: escaped, valid UTF-8, without characters that
// XML does not allow.
std::string xml_text(std::string_view text);

}  // namespace tinderbox
