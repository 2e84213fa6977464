#include "box/validate_plots.h"

#include <cctype>
#include <vector>

#include <gtest/gtest.h>

#include "base/text.h"

namespace tinderbox {
namespace {

// Well-formed XML of the kind written here (elements, attributes in double quotes, text, the five
// entities): "" or what is wrong.
std::string xml_fault(std::string_view xml) {
  std::vector<std::string> open;
  const auto entity_ok = [&](std::size_t i) {
    for (const std::string_view e : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
      if (xml.substr(i, e.size()) == e) return true;
    }
    return false;
  };
  for (std::size_t i = 0; i < xml.size(); ++i) {
    const char c = xml[i];
    if (c == '&' && !entity_ok(i)) return format("bare & at {}", i);
    if (c == '>') return format("bare > at {}", i);
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return "control character";
    if (c != '<') {
      if (open.empty() && c != '\n') return format("text outside of the root at {}", i);
      continue;
    }
    const bool closes = xml.substr(i, 2) == "</";
    std::size_t at = i + (closes ? 2 : 1);
    std::string name;
    while (at < xml.size() && std::isalpha(static_cast<unsigned char>(xml[at])) != 0) name += xml[at++];
    if (name.empty()) return format("no name at {}", i);
    bool quoted = false;
    while (at < xml.size() && (quoted || xml[at] != '>')) {
      if (xml[at] == '"') quoted = !quoted;
      if (xml[at] == '<') return format("< within a tag at {}", at);
      if (xml[at] == '&' && !entity_ok(at)) return format("bare & at {}", at);
      ++at;
    }
    if (at == xml.size()) return "tag without end";
    const bool alone = xml[at - 1] == '/';
    if (closes) {
      if (open.empty() || open.back() != name) return format("</{}> closes nothing", name);
      open.pop_back();
    } else if (!alone) {
      open.push_back(name);
    }
    i = at;
  }
  return open.empty() ? "" : format("<{}> stays open", open.back());
}

std::size_t count(std::string_view text, std::string_view word) {
  std::size_t n = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

const std::string kHostile = "<script>\"'&\x01\xFF\xEF\xBF\xBF]]>";

TEST(ValidatePlots, TheCheckOfXmlFindsFaults) {
  for (const char* bad : {"<a>", "<a></b>", "<a>&</a>", "<a b=\"<\"/>", "<a/>x", "<a>></a>", "< a/>"})
    EXPECT_NE(xml_fault(bad), "") << bad;
  EXPECT_EQ(xml_fault("<a b=\"1\"><c/>x&lt;</a>\n"), "");
}

TEST(ValidatePlots, TextIsEscaped) {
  EXPECT_EQ(xml_text("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(xml_fault("<a b=\"" + xml_text(kHostile) + "\">" + xml_text(kHostile) + "</a>"), "");
  EXPECT_EQ(xml_text("\xEF\xBF\xBF" "a\x02"), "a");
}

TEST(ValidatePlots, ScatterIsXmlWithADotForEachRow) {
  ScatterPlot plot{.title = kHostile, .subtitle = "s", .unit = kHostile, .dots = {}};
  for (int i = 1; i <= 50; ++i)
    plot.dots.push_back({1.0 * i, 1.1 * i, i % 2 == 0 ? "vllm" : kHostile, format("row{}", i), i % 5 == 0});
  plot.dots.push_back({0, 1, "vllm", "none", false});  // no place on a logarithmic axis
  const std::string svg = scatter_svg(plot, {kHostile, "vllm"});
  EXPECT_EQ(xml_fault(svg), "");
  EXPECT_EQ(count(svg, "<title>row"), 50U);
  EXPECT_EQ(svg.find("none</title>"), std::string::npos);
  EXPECT_NE(svg.find("rings: speculation"), std::string::npos);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg, scatter_svg(plot, {kHostile, "vllm"}));
}

// A prediction that is right lies on the diagonal: as far from the left edge as from the bottom.
TEST(ValidatePlots, ATruePredictionLiesOnTheDiagonal) {
  const ScatterPlot plot{.title = "t",
                         .subtitle = "s",
                         .unit = "u",
                         .dots = {{10, 10, "a", "on", false}, {100, 1000, "a", "above", false}}};
  const std::string svg = scatter_svg(plot, {"a"});
  const auto centre = [&](std::string_view name) {
    const std::size_t end = svg.find(format("<title>{}", name));
    const std::size_t at = svg.rfind("cx=\"", end) + 4, y = svg.rfind("cy=\"", end) + 4;
    return std::pair(*parse_double(svg.substr(at, svg.find('"', at) - at)),
                     *parse_double(svg.substr(y, svg.find('"', y) - y)));
  };
  const auto [x, y] = centre("on");
  EXPECT_NEAR(x - 78, 522 - y, 0.2);  // the square's left and bottom edges
  const auto [x2, y2] = centre("above");
  EXPECT_GT(x2, x);
  EXPECT_GT(522 - y2, x2 - 78 + 50);
}

TEST(ValidatePlots, CurvesAreXml) {
  const CurvePlot plot{.title = "t",
                       .subtitle = "s",
                       .x_label = "x",
                       .curves = {{"a", {0.5, 0.01, 0.1}}, {kHostile, {0.0}}, {"empty", {}}}};
  const std::string svg = curves_svg(plot, {"a", kHostile, "empty"});
  EXPECT_EQ(xml_fault(svg), "");
  EXPECT_NE(svg.find(">a (3)<"), std::string::npos);
  EXPECT_EQ(svg.find("empty"), std::string::npos);
}

TEST(ValidatePlots, NoDotsAreAPlot) {
  const ScatterPlot nothing{.title = "t", .subtitle = "s", .unit = "u", .dots = {}};
  EXPECT_EQ(xml_fault(scatter_svg(nothing, {})), "");
  const CurvePlot none{.title = "t", .subtitle = "s", .x_label = "x", .curves = {}};
  EXPECT_EQ(xml_fault(curves_svg(none, {})), "");
}

}  // namespace
}  // namespace tinderbox
