#include "box/validate_plots.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/text.h"

namespace tinderbox {
namespace {

// Pixels: a square between a title and its axis, a legend to the right.
constexpr double kLeft = 78, kTop = 62, kSide = 460, kWidth = 720, kHeight = 584;
constexpr double kRight = kLeft + kSide, kBottom = kTop + kSide;

// Of a middle lightness, so that each is seen on white and on near-black.
constexpr std::array<std::string_view, 10> kColours = {
    "#2f81f7", "#e5670c", "#2da44e", "#bf4bd0", "#d0342c",
    "#1b9aaa", "#b08800", "#e0609b", "#7d8590", "#8f6b52"};

// The attributes are the light theme; where the style does not apply, it stays light.
constexpr std::string_view kStyle =
    "<style>@media (prefers-color-scheme:dark){.paper{fill:#161b22}.ink{fill:#e6edf3}"
    ".quiet{fill:#9da7b3}.line{stroke:#3d444d}.axis{stroke:#9da7b3}.band{fill:#30363d}}</style>\n";

std::string pixel(double value) { return format("{:.0f}", value); }

std::string_view colour_of(const std::string& name, const std::vector<std::string>& series) {
  const auto at = std::ranges::find(series, name) - series.begin();
  return kColours[static_cast<std::size_t>(at) % kColours.size()];
}

std::string head(const std::string& title, const std::string& subtitle) {
  return format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "role=\"img\" aria-label=\"{2}\" font-family=\"system-ui,-apple-system,'Segoe UI',sans-serif\" "
      "font-size=\"13\">\n{4}<rect class=\"paper\" width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n"
      "<text class=\"ink\" fill=\"#1f2328\" x=\"{5}\" y=\"26\" font-size=\"17\" font-weight=\"600\">{2}</text>\n"
      "<text class=\"quiet\" fill=\"#59636e\" x=\"{5}\" y=\"47\">{3}</text>\n",
      pixel(kWidth), pixel(kHeight), xml_text(title), xml_text(subtitle), kStyle, pixel(kLeft));
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text,
                    std::string_view more = {}) {
  return format("<text class=\"quiet\" fill=\"#59636e\" x=\"{}\" y=\"{}\" text-anchor=\"{}\"{}>{}</text>\n",
                pixel(x), pixel(y), anchor, more, xml_text(text));
}

std::string labels(const std::string& x, const std::string& y) {
  const double middle = kTop + kSide / 2;
  return text_at(kLeft + kSide / 2, kBottom + 44, "middle", x) +
         text_at(20, middle, "middle", y,
                 format(" transform=\"rotate(-90 20 {})\"", pixel(middle)));
}

std::string frame() {
  return format("<rect class=\"axis\" fill=\"none\" stroke=\"#59636e\" x=\"{}\" y=\"{}\" width=\"{}\" "
                "height=\"{}\"/>\n",
                pixel(kLeft), pixel(kTop), pixel(kSide), pixel(kSide));
}

std::string grid_line(double x1, double y1, double x2, double y2) {
  return format("<path class=\"line\" stroke=\"#d1d9e0\" d=\"M{} {}L{} {}\"/>\n", pixel(x1), pixel(y1),
                pixel(x2), pixel(y2));
}

// A logarithmic axis from a to b, in shares of its length.
struct LogAxis {
  double low = 0, high = 1;  // logarithms to base 10

  double share(double value) const { return (std::log10(value) - low) / (high - low); }
  // 1, 2, 5 of each decade, or the decades alone if they are many.
  std::vector<double> ticks() const {
    std::vector<double> out;
    for (int decade = static_cast<int>(std::floor(low)) - 1; decade <= high; ++decade) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        if (digit != 1 && high - low > 3) continue;
        const double at = decade + std::log10(digit);
        if (at >= low - 1e-9 && at <= high + 1e-9) out.push_back(digit * std::pow(10, decade));
      }
    }
    return out;
  }
};

LogAxis axis_around(double least, double most) {
  // A little room, and never a range of nothing.
  return {std::log10(least) - 0.06, std::max(std::log10(most), std::log10(least) + 0.3) + 0.06};
}

std::string tick_text(double value) {
  if (value >= 1e6) return format("{:g}M", value / 1e6);
  if (value >= 1e3) return format("{:g}k", value / 1e3);
  return format("{:g}", value);
}

std::string legend(const std::map<std::string, std::size_t>& counts,
                   const std::vector<std::string>& series, std::string_view what) {
  const double x = kRight + 20;
  double y = kTop + 12;
  std::string out;
  for (const std::string& name : series) {
    const auto found = counts.find(name);
    if (found == counts.end()) continue;
    out += format("<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{}\"/>\n", pixel(x), pixel(y - 4),
                  colour_of(name, series));
    out += text_at(x + 12, y, "start", format("{} ({})", name, found->second));
    y += 20;
  }
  return out + text_at(x - 5, y + 6, "start", what);
}

// In the order of a group of dots that share what they look like.
std::string dots_svg(const std::vector<const Dot*>& dots, const LogAxis& axis,
                     std::string_view colour, bool hollow) {
  std::string out =
      hollow ? format("<g fill=\"none\" stroke=\"{}\" stroke-width=\"1.3\">\n", colour)
             : format("<g fill=\"{}\" fill-opacity=\"0.7\">\n", colour);
  for (const Dot* dot : dots) {
    out += format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}</title></circle>\n",
                  kLeft + kSide * axis.share(dot->x), kBottom - kSide * axis.share(dot->y),
                  xml_text(dot->name));
  }
  return out + "</g>\n";
}

std::string diagonal(const LogAxis& axis) {
  const double side = kSide / (axis.high - axis.low);
  const double up = side * std::log10(1.1), down = side * std::log10(1 / 0.9);
  return format(
      "<clipPath id=\"inside\"><path d=\"M{0} {1}H{2}V{3}H{0}z\"/></clipPath>\n"
      "<path class=\"band\" fill=\"#eaeef2\" clip-path=\"url(#inside)\" d=\"M{0} {4:.1f}L{2} {5:.1f}V{6:.1f}L{0} "
      "{7:.1f}z\"/>\n<path class=\"axis\" stroke=\"#59636e\" d=\"M{0} {3}L{2} {1}\"/>\n",
      pixel(kLeft), pixel(kTop), pixel(kRight), pixel(kBottom), kBottom - up, kTop - up, kTop + down,
      kBottom + down);
}

bool drawable(const Dot& dot) {
  return dot.x > 0 && dot.y > 0 && std::isfinite(dot.x) && std::isfinite(dot.y);
}

}  // namespace

std::string xml_text(std::string_view text) {
  std::string out;
  const std::string valid = to_valid_utf8(text);
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    const auto u = static_cast<unsigned char>(c);
    // U+FFFE and U+FFFF are characters of Unicode, but not of XML.
    if (valid.compare(i, 3, "\xEF\xBF\xBE") == 0 || valid.compare(i, 3, "\xEF\xBF\xBF") == 0) {
      i += 2;
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (u >= 0x20 || c == '\n' || c == '\t') {
      out += c;
    }
  }
  return out;
}

std::string scatter_svg(const ScatterPlot& plot, const std::vector<std::string>& series) {
  std::map<std::pair<std::string, bool>, std::vector<const Dot*>> groups;
  std::map<std::string, std::size_t> counts;
  double least = 1e300, most = 0;
  for (const Dot& dot : plot.dots) {
    if (!drawable(dot)) continue;
    groups[{dot.series, dot.hollow}].push_back(&dot);
    ++counts[dot.series];
    least = std::min({least, dot.x, dot.y});
    most = std::max({most, dot.x, dot.y});
  }
  const LogAxis axis = counts.empty() ? LogAxis{} : axis_around(least, most);
  std::string out = head(plot.title, plot.subtitle) + diagonal(axis);
  for (const double tick : axis.ticks()) {
    const double x = kLeft + kSide * axis.share(tick), y = kBottom - kSide * axis.share(tick);
    out += grid_line(x, kTop, x, kBottom) + grid_line(kLeft, y, kRight, y);
    out += text_at(x, kBottom + 18, "middle", tick_text(tick)) +
           text_at(kLeft - 8, y + 4, "end", tick_text(tick));
  }
  out += frame() + labels(format("measured, {}", plot.unit), format("predicted, {}", plot.unit));
  bool any_hollow = false;
  for (const auto& [key, dots] : groups) {
    out += dots_svg(dots, axis, colour_of(key.first, series), key.second);
    any_hollow = any_hollow || key.second;
  }
  out += legend(counts, series, "band: within 10 %");
  if (any_hollow) out += text_at(kRight + 15, kBottom, "start", "rings: speculation");
  return out + "</svg>\n";
}

std::string curves_svg(const CurvePlot& plot, const std::vector<std::string>& series) {
  const LogAxis axis{-2.5, 1};  // 0.3 % to 1000 %: outside is drawn at the edge
  std::string out = head(plot.title, plot.subtitle);
  for (const double tick : axis.ticks()) {
    const double y = kBottom - kSide * axis.share(tick);
    out += grid_line(kLeft, y, kRight, y) +
           text_at(kLeft - 8, y + 4, "end", format("{:g} %", 100 * tick));
  }
  for (int share = 0; share <= 100; share += 10) {
    const double x = kLeft + kSide * share / 100;
    out += grid_line(x, kTop, x, kBottom);
    if (share % 20 == 0) out += text_at(x, kBottom + 18, "middle", format("{} %", share));
  }
  out += frame() + labels(plot.x_label, "|predicted - measured| / measured");
  std::map<std::string, std::size_t> counts;
  for (const ErrorCurve& curve : plot.curves) {
    if (curve.errors.empty()) continue;
    std::vector<double> errors = curve.errors;
    std::ranges::sort(errors);
    counts[curve.series] += errors.size();
    std::string path;
    for (std::size_t i = 0; i < errors.size(); ++i) {
      // The middle of its step, so that one group alone stands at 50 %.
      const double x = (static_cast<double>(i) + 0.5) / static_cast<double>(errors.size());
      const double y = std::clamp(axis.share(std::max(errors[i], 1e-9)), 0.0, 1.0);
      path += format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", kLeft + kSide * x, kBottom - kSide * y);
    }
    const std::string_view colour = colour_of(curve.series, series);
    out += format("<path fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\" stroke-linecap=\"round\" "
                  "d=\"{}{}\"><title>{}</title></path>\n",
                  colour, path, errors.size() == 1 ? "m-4 0h8" : "", xml_text(curve.series));
  }
  return out + legend(counts, series, "number of groups") + "</svg>\n";
}

}  // namespace tinderbox
