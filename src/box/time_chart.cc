#include "box/time_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/text.h"
#include "box/validate_plots.h"

namespace tinderbox {
namespace {

constexpr double kLeft = 64, kTop = 62, kWidth = 860, kPlot = 620, kGap = 26, kFoot = 24,
                 kLine = 18;
constexpr std::size_t kPointsMax = 700;
constexpr int kTicks = 5;

constexpr std::array<std::string_view, 8> kColours = {"#2f81f7", "#e5670c", "#2da44e", "#bf4bd0",
                                                      "#d0342c", "#1b9aaa", "#b08800", "#7d8590"};

constexpr std::string_view kStyle =
    "<style>@media (prefers-color-scheme:dark){.paper{fill:#161b22}.ink{fill:#e6edf3}"
    ".quiet{fill:#9da7b3}.line{stroke:#3d444d}.axis{stroke:#9da7b3}}</style>\n";

struct Axis {
  double low = 0, high = 1, step = 1;
  double share(double value) const { return (value - low) / (high - low); }
};

// Steps of 1, 2 or 5 times a power of ten, about kTicks of them, around the range.
Axis axis_of(double low, double high, bool from_zero) {
  if (from_zero) low = std::min(low, 0.0);
  if (!(high - low > 1e-9 * (1 + std::abs(high)))) high = low + 1;
  const double raw = (high - low) / kTicks;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (const double digit : {1.0, 2.0, 5.0, 10.0}) {
    step = digit * power;
    if (step >= raw) break;
  }
  return {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step, step};
}

double time_step(double seconds) {
  for (const double step : {1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
                            7200.0, 14400.0, 21600.0, 43200.0, 86400.0, 172800.0, 604800.0}) {
    if (seconds / step <= 8) return step;
  }
  return seconds / 8;
}

std::string time_text(double seconds, double step) {
  if (step < 60) return format("{:g} s", seconds);
  if (step < 3600) return format("{:g} min", seconds / 60);
  if (step < 86400) return format("{:g} h", seconds / 3600);
  return format("{:g} d", seconds / 86400);
}

std::string text(double x, double y, std::string_view anchor, std::string_view what,
                 std::string_view more = {}) {
  return format(
      "<text class=\"quiet\" fill=\"#59636e\" x=\"{:.0f}\" y=\"{:.0f}\" "
      "text-anchor=\"{}\"{}>{}</text>\n",
      x, y, anchor, more, xml_text(what));
}

using Points = std::vector<std::pair<double, double>>;

// Between points that are not finite.
std::vector<Points> pieces_of(const Points& points) {
  std::vector<Points> pieces(1);
  for (const auto& p : points) {
    if (std::isfinite(p.first) && std::isfinite(p.second)) {
      pieces.back().push_back(p);
    } else if (!pieces.back().empty()) {
      pieces.emplace_back();
    }
  }
  return pieces;
}

// Of each of so many buckets of neighbours the lowest and the highest, in order of time.
Points thinned(const Points& points, std::size_t buckets) {
  if (points.size() <= 2 * buckets) return points;
  Points out;
  for (std::size_t b = 0; b < buckets; ++b) {
    const auto at = [&](std::size_t i) {
      return points.begin() + static_cast<std::ptrdiff_t>(i * points.size() / buckets);
    };
    auto [low, high] =
        std::ranges::minmax_element(at(b), at(b + 1), {}, &std::pair<double, double>::second);
    if (low > high) std::swap(low, high);
    out.push_back(*low);
    if (high != low) out.push_back(*high);
  }
  return out;
}

std::string curve_svg(const TimeCurve& curve, const Axis& x, const Axis& y, double top,
                      double height, std::string_view colour) {
  std::string path;
  for (const Points& piece : pieces_of(curve.points)) {
    const std::size_t buckets = 1 + kPointsMax / 2 * piece.size() / curve.points.size();
    std::string_view go = "M";
    for (const auto& [at, value] : thinned(piece, buckets)) {
      path += format("{}{:.1f} {:.1f}", std::exchange(go, "L"), kLeft + kPlot * x.share(at),
                     top + height * (1 - y.share(value)));
    }
  }
  return format(
      "<path fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"{} "
      "d=\"{}\"><title>{}</title></path>\n",
      colour, curve.dashed ? " stroke-dasharray=\"5 3\"" : "", path, xml_text(curve.name));
}

std::string panel_svg(const TimePanel& panel, const Axis& x, double top, bool last, bool times) {
  double low = INFINITY, high = -INFINITY;
  for (const TimeCurve& curve : panel.curves) {
    for (const auto& [at, value] : curve.points) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (low > high) low = 0, high = 1;
  const Axis y = axis_of(low, high, panel.from_zero);
  const double bottom = top + panel.height;
  std::string out;
  for (double tick = y.low; tick <= y.high + y.step / 2; tick += y.step) {
    const double at = bottom - panel.height * y.share(tick);
    out += format("<path class=\"line\" stroke=\"#d1d9e0\" d=\"M{:.0f} {:.1f}h{:.0f}\"/>\n", kLeft,
                  at, kPlot);
    out +=
        text(kLeft - 8, at + 4, "end", format("{:.6g}", std::abs(tick) < y.step / 1e6 ? 0 : tick));
  }
  for (double tick = 0; tick <= x.high + x.step / 1e6; tick += x.step) {
    const double at = kLeft + kPlot * x.share(tick);
    out += format("<path class=\"line\" stroke=\"#d1d9e0\" d=\"M{:.1f} {:.0f}v{:.0f}\"/>\n", at,
                  top, panel.height);
    if (last) out += text(at, bottom + 20, "middle", times ? time_text(tick, x.step) : format("{:.6g}", tick));
  }
  out += text(16, top + panel.height / 2, "middle", panel.label,
              format(" transform=\"rotate(-90 16 {:.0f})\"", top + panel.height / 2));
  for (std::size_t i = 0; i < panel.curves.size(); ++i) {
    const std::string_view colour = kColours[i % kColours.size()];
    out += curve_svg(panel.curves[i], x, y, top, panel.height, colour);
    const double at = top + 14 + 18 * static_cast<double>(i);
    out += format("<path stroke=\"{}\" stroke-width=\"3\" d=\"M{:.0f} {:.0f}h16\"/>\n", colour,
                  kLeft + kPlot + 14, at - 4);
    out += text(kLeft + kPlot + 36, at, "start", panel.curves[i].name);
  }
  return out;
}

}  // namespace

std::string time_chart_svg(const TimeChart& chart) {
  double end = 0, height = kTop + kFoot + kLine * static_cast<double>(chart.marks.size());
  for (const TimePanel& panel : chart.panels) {
    height += panel.height + kGap;
    for (const TimeCurve& curve : panel.curves) {
      for (const auto& [at, value] : curve.points) {
        if (std::isfinite(at)) end = std::max(end, at);
      }
    }
  }
  if (end <= 0) end = 1;
  const bool times = chart.x_label.empty();
  const Axis x = times ? Axis{0, end, time_step(end)} : axis_of(0, end, true);
  std::string out = format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" "
      "role=\"img\" aria-label=\"{2}\" font-family=\"system-ui,-apple-system,'Segoe "
      "UI',sans-serif\" "
      "font-size=\"13\">\n{4}<rect class=\"paper\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "fill=\"#ffffff\"/>\n"
      "<text class=\"ink\" fill=\"#1f2328\" x=\"{5:.0f}\" y=\"26\" font-size=\"17\" "
      "font-weight=\"600\">{2}</text>\n"
      "<text class=\"quiet\" fill=\"#59636e\" x=\"{5:.0f}\" y=\"47\">{3}</text>\n",
      kWidth, height, xml_text(chart.title), xml_text(chart.subtitle), kStyle, kLeft);
  double top = kTop;
  for (std::size_t i = 0; i < chart.panels.size(); ++i) {
    out += panel_svg(chart.panels[i], x, top, i + 1 == chart.panels.size(), times);
    top += chart.panels[i].height + kGap;
  }
  if (!times) out += text(kLeft + kPlot + 36, top - kGap + 20, "start", chart.x_label);
  // Upright lines with numbers, told below.
  for (std::size_t i = 0; i < chart.marks.size(); ++i) {
    const double at = kLeft + kPlot * std::clamp(x.share(chart.marks[i].seconds), 0.0, 1.0);
    out += format(
        "<path class=\"axis\" stroke=\"#59636e\" stroke-dasharray=\"2 3\" d=\"M{:.1f} "
        "{:.0f}V{:.0f}\"/>\n",
        at, kTop, top - kGap);
    out += text(at, kTop - 3, "middle", format("{}", i + 1), " font-size=\"11\"");
    out += text(
        kLeft, top + kLine * static_cast<double>(i + 1), "start",
        format("{}: {}, {}", i + 1, human(Seconds(chart.marks[i].seconds)), chart.marks[i].text));
  }
  return out + "</svg>\n";
}

}  // namespace tinderbox
