// Numbers within bounds, patterns of strings and schemas that are combined, each against an
// independent judge.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <regex>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "model/json_numbers.h"
#include "model/json_pattern.h"
#include "model/json_schema.h"

namespace tinderbox {
namespace {

using Bound = std::optional<std::int64_t>;

bool accepts(const Grammar& grammar, std::string_view text) {
  Grammar::State state = grammar.begin();
  for (const char c : text) state = grammar.next(state, static_cast<unsigned char>(c));
  return Grammar::may_end(state);
}

Grammar of_schema(const std::string& schema) {
  Grammar grammar;
  grammar.finish(add_json_schema(grammar, schema));
  return grammar;
}

Grammar of_pattern(const std::string& pattern) {
  Grammar grammar;
  grammar.finish(add_json_pattern(grammar, pattern, "#"));
  return grammar;
}

bool within(double x, Bound low, Bound high) {
  return (!low || x >= static_cast<double>(*low)) && (!high || x <= static_cast<double>(*high));
}

TEST(JsonNumbersLaw, ExactlyThoseWithinTheBounds) {
  const std::vector<Bound> bounds = {std::nullopt, -1000, -120, -99, -10, -9,  -1,  0, 1, 7,
                                     10,           11,    99,   100, 109, 999, 1000};
  for (const Bound low : bounds) {
    for (const Bound high : bounds) {
      if (low && high && *low > *high) continue;
      Grammar integers, numbers;
      integers.finish(add_json_integers(integers, low, high));
      const auto bound = [](Bound x) {
        return x ? std::optional(number_bound(static_cast<double>(*x))) : std::nullopt;
      };
      numbers.finish(add_json_numbers(numbers, bound(low), bound(high)));
      for (int n = -1205; n <= 1205; n += n > -130 && n < 130 ? 1 : 7) {
        ASSERT_EQ(accepts(integers, format("{}", n)), within(n, low, high)) << n;
        for (const char* more : {"", ".0", ".00", ".5", ".25"}) {
          const std::string text = format("{}{}", n, more);
          ASSERT_EQ(accepts(numbers, text), within(std::stod(text), low, high)) << text;
        }
      }
      for (const char* text : {"-0", "01", "-", "", "1.", "+1", "-01"})
        EXPECT_FALSE(accepts(integers, text)) << text;
      for (const char* text : {"01", "-", "", "1.", "+1", "-01", "1e2"})
        EXPECT_FALSE(accepts(numbers, text)) << text;
      for (const double x : {-0.5, 0.5, -0.01, 0.01}) {
        const std::string text = format("{}", x);
        EXPECT_EQ(accepts(numbers, text), within(x, low, high)) << text;
      }
    }
  }
}

// All numbers of up to three digits after the point around bounds that have some, open and closed.
TEST(JsonNumbersLaw, BoundsMayHaveFractionsAndBeOpen) {
  using Edge = std::optional<std::pair<double, bool>>;
  std::vector<Edge> edges = {std::nullopt};
  for (const double x : {-12.0, -1.25, -1.2, -0.05, 0.0, 0.05, 0.3, 0.35, 1.0, 1.205, 2.0, 10.5}) {
    for (const bool open : {false, true}) edges.push_back(std::pair{x, open});
  }
  std::vector<std::string> texts;
  for (int n = -1300; n <= 1300; n += n > -320 && n < 320 ? 1 : 5) {
    const std::string sign = n < 0 ? "-" : "";
    const int size = std::abs(n);
    texts.push_back(format("{}{}.{:02}", sign, size / 100, size % 100));
    texts.push_back(format("{}{}.{:02}5", sign, size / 100, size % 100));
    if (n % 10 == 0) texts.push_back(format("{}{}.{}", sign, size / 100, size % 100 / 10));
    if (n % 100 == 0) texts.push_back(format("{}{}", sign, size / 100));
  }
  for (const Edge& low : edges) {
    for (const Edge& high : edges) {
      if (low && high && (low->first > high->first || (low->first == high->first && (low->second || high->second)))) {
        continue;
      }
      const auto bound = [](const Edge& e) {
        return e ? std::optional(number_bound(e->first, e->second)) : std::nullopt;
      };
      Grammar numbers;
      numbers.finish(add_json_numbers(numbers, bound(low), bound(high)));
      for (const std::string& text : texts) {
        const double x = std::stod(text);
        const bool in = (!low || x > low->first || (x == low->first && !low->second)) &&
                        (!high || x < high->first || (x == high->first && !high->second));
        ASSERT_EQ(accepts(numbers, text), in)
            << text << " from " << (low ? low->first : -1e9) << " to " << (high ? high->first : 1e9);
      }
    }
  }
}

TEST(JsonNumbers, ABoundIsItsShortestDecimalNumber) {
  EXPECT_EQ(number_bound(-1e15).whole, 1'000'000'000'000'000u);
  EXPECT_TRUE(number_bound(-0.5).negative);
  EXPECT_EQ(number_bound(-0.5).fraction, "5");
  EXPECT_EQ(number_bound(1e-7).fraction, "0000001");
  EXPECT_EQ(number_bound(2.0).fraction, "");
  EXPECT_TRUE(number_bound(-0.0).is_zero());
  EXPECT_EQ(number_bound(5e-324).fraction.size(), 324u);
}

TEST(JsonNumbers, TheWidestBounds) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min(),
                         kMax = std::numeric_limits<std::int64_t>::max();
  Grammar g;
  g.finish(add_json_integers(g, kMin, kMax));
  for (const char* yes :
       {"-9223372036854775808", "9223372036854775807", "0", "-1", "8999999999999999999"}) {
    EXPECT_TRUE(accepts(g, yes)) << yes;
  }
  for (const char* no : {"-9223372036854775809", "9223372036854775808", "10000000000000000000"}) {
    EXPECT_FALSE(accepts(g, no)) << no;
  }
}

// Every text of up to four characters, as std::regex judges it.
TEST(JsonPatternLaw, MatchesWhatRegexSearchFinds) {
  const std::string letters = "ab1-_";
  std::vector<std::string> all = {""};
  for (std::size_t begin = 0, length = 1; length <= 4; ++length) {
    const std::size_t end = all.size();
    for (; begin < end; ++begin) {
      for (const char c : letters) all.push_back(all[begin] + c);
    }
  }
  for (const char* pattern : {"a",
                              "^a",
                              "a$",
                              "^a$",
                              "^ab|b1$",
                              "^(a|b)+$",
                              "^[ab]{2}$",
                              "^[ab]{1,3}$",
                              "^a{2,}$",
                              "^[^a]*$",
                              "^\\d+$",
                              "^\\w\\W$",
                              "^(?:a|1)?b$",
                              "b.b",
                              "^(a(b(1)?)*)+$",
                              "^[a-b1]-[^1-9]$",
                              "",
                              "^$",
                              "a|",
                              "^a+?b*?$",
                              "^-?\\d{1,2}$",
                              "[_-]",
                              "^[\\d_-]+$",
                              "^(?<x>a)b{0}1?$"}) {
    const Grammar g = of_pattern(pattern);
    // std::regex knows no names of groups.
    const std::regex judge(std::regex_replace(std::string(pattern), std::regex("\\?<x>"), "?:"));
    for (const std::string& text : all)
      ASSERT_EQ(accepts(g, text), std::regex_search(text, judge)) << pattern << "  " << text;
  }
}

TEST(JsonPattern, CharactersStandAsJsonWritesThem) {
  const Grammar quoted = of_schema(R"({"type":"string","pattern":"^\"\\\\\\n[\\t-\\r]$"})");
  EXPECT_TRUE(accepts(quoted, R"("\"\\\n\t")"));
  EXPECT_TRUE(accepts(quoted, R"("\"\\\n\r")"));
  EXPECT_FALSE(accepts(quoted, "\"\\\"\\\\\\n\n\"")) << "a control as itself is no JSON";
  const Grammar wide = of_pattern("^[à-ü☃\\u4e00-\\u9fff]{2}$");
  EXPECT_TRUE(accepts(wide, "éü"));
  EXPECT_TRUE(accepts(wide, "☃中"));
  EXPECT_FALSE(accepts(wide, "ÿé"));
  EXPECT_FALSE(accepts(wide, "é"));
  const Grammar dot = of_pattern("^.$");
  for (const char* yes : {"x", "é", "☃", "😀"}) EXPECT_TRUE(accepts(dot, yes)) << yes;
  for (const char* no : {"", "xy", "\xC3", "\xED\xA0\x80", "\xF5\x80\x80\x80"})
    EXPECT_FALSE(accepts(dot, no));
}

TEST(JsonPattern, WhatAGrammarCannotHoldIsRefusedByName) {
  for (const char* pattern : {"(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "\\bword", "(a)\\1",
                              "\\p{L}", "a^b", "(a$)b", "(a*)*"}) {
    Grammar g;
    try {
      add_json_pattern(g, pattern, "#/x");
      ADD_FAILURE() << pattern;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Error::Code::Unsupported) << pattern << ": " << e.what();
      EXPECT_TRUE(std::string_view(e.what()).starts_with("#/x: pattern: ")) << e.what();
    }
  }
  for (const char* pattern :
       {"(a", "a)", "[a", "*a", "a{2", "a{3,2}", "a\\", "\\xg0", "[b-a]", "a{,2}", "a**", "\xFF"}) {
    Grammar g;
    EXPECT_THROW(g.finish(add_json_pattern(g, pattern, "#")), Error) << pattern;
  }
  Grammar g;
  EXPECT_THROW(add_json_pattern(g, std::string(1000, '('), "#"), Error);
  EXPECT_THROW(add_json_pattern(g, "a{1001}", "#"), Error);
}

TEST(JsonSchema, WhatStandsTogetherHoldsTogether) {
  const Grammar all = of_schema(
      R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},
                   {"$ref":"#/$defs/named"}],
          "$defs":{"named":{"properties":{"name":{"type":"string"}},"required":["name"]}}})");
  EXPECT_TRUE(accepts(all, R"({"a":1,"name":"x"})"));
  EXPECT_FALSE(accepts(all, R"({"a":1})"));
  EXPECT_FALSE(accepts(all, R"({"name":"x"})"));
  const Grammar any = of_schema(
      R"({"type":"object","properties":{"kind":{"enum":["a","b"]}},"required":["kind"],
          "anyOf":[{"properties":{"x":{"type":"integer"}},"required":["x"]},{"properties":{"y":{"type":"null"}}}]})");
  EXPECT_TRUE(accepts(any, R"({"kind":"a","x":1})"));
  EXPECT_TRUE(accepts(any, R"({"kind":"b","y":null})"));
  EXPECT_FALSE(accepts(any, R"({"x":1})"));
  const Grammar beside = of_schema(
      R"({"$defs":{"s":{"type":"string"}},"$ref":"#/$defs/s","maxLength":1,"title":"t"})");
  EXPECT_TRUE(accepts(beside, R"("x")"));
  EXPECT_FALSE(accepts(beside, R"("xy")"));
  for (const char* schema :
       {R"({"allOf":[{"type":"string"},{"type":"integer"}]})",
        R"({"type":"string","pattern":"a","maxLength":3})", R"({"type":"integer","multipleOf":3})",
        R"({"type":"integer","minimum":2,"maximum":1})", R"({"type":"number","minimum":0.5,"exclusiveMaximum":0.5})"}) {
    EXPECT_THROW(of_schema(schema), Error) << schema;
  }
  const Grammar some = of_schema(R"({"type":["integer","null"],"enum":[1,"1",null,1.5],"title":"t"})");
  for (const char* yes : {"1", "null"}) EXPECT_TRUE(accepts(some, yes)) << yes;
  for (const char* no : {"\"1\"", "1.5"}) EXPECT_FALSE(accepts(some, no)) << no;
  EXPECT_THROW(of_schema(R"({"enum":["a"],"maxLength":1})"), Error);
  EXPECT_THROW(of_schema(R"({"type":"string","enum":[1]})"), Error);
  EXPECT_THROW(of_schema(R"({"type":"string","format":"date","maxLength":3})"), Error);
  const Grammar share = of_schema(R"({"type":"number","exclusiveMinimum":0,"minimum":-1,"maximum":0.95})");
  for (const char* yes : {"0.1", "0.95", "0.0001"}) EXPECT_TRUE(accepts(share, yes)) << yes;
  for (const char* no : {"0", "0.0", "-0.5", "0.951", "1"}) EXPECT_FALSE(accepts(share, no)) << no;
  const Grammar bounds = of_schema(R"({"type":"integer","exclusiveMinimum":0,"maximum":12.5})");
  for (const char* yes : {"1", "12"}) EXPECT_TRUE(accepts(bounds, yes));
  for (const char* no : {"0", "13", "-1"}) EXPECT_FALSE(accepts(bounds, no));
}

}  // namespace
}  // namespace tinderbox
