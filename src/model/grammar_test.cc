#include "model/grammar.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "model/json_schema.h"
#include "model/token_mask.h"

namespace tinderbox {
namespace {

using nlohmann::json;

Grammar of_schema(const std::string& schema) {
  Grammar grammar;
  grammar.finish(add_json_schema(grammar, schema));
  return grammar;
}

bool accepts(const Grammar& grammar, std::string_view text) {
  Grammar::State state = grammar.begin();
  for (const char c : text) state = grammar.next(state, static_cast<unsigned char>(c));
  return Grammar::may_end(state);
}

// Bytes drawn from those allowed until the text may end, and does.
std::string walk(const Grammar& grammar, Random& random) {
  std::string out;
  Grammar::State state = grammar.begin();
  for (;;) {
    if (Grammar::may_end(state) && (state.size() == 1 || random.range(0, 3) == 0)) return out;
    std::vector<unsigned char> may;
    const Grammar::Bytes set = grammar.allowed(state);
    for (int b = 0; b < 256; ++b) {
      if (contains(set, static_cast<unsigned char>(b))) may.push_back(static_cast<unsigned char>(b));
    }
    EXPECT_FALSE(may.empty()) << "no way on after " << out;
    if (may.empty()) return out;
    // Long texts are brought to an end: by what closes, if that is possible.
    auto byte = may[static_cast<std::size_t>(random.range(0, std::ssize(may) - 1))];
    if (out.size() > 60) {
      for (const char c : {'"', '}', ']'}) {
        if (contains(set, static_cast<unsigned char>(c)) && random.range(0, 1) == 0)
          byte = static_cast<unsigned char>(c);
      }
    }
    out += static_cast<char>(byte);
    state = grammar.next(state, byte);
    if (out.size() > 20000) return out;
  }
}

TEST(Grammar, AcceptsWhatItDescribes) {
  Grammar g;
  const Grammar::Rule list = g.add(), more = g.add();
  g.add(list, {Grammar::any_of("["), Grammar::ref(more)});
  g.add(more, {Grammar::any_of("]")});
  g.add(more, {Grammar::ref(list), Grammar::ref(more)});
  g.finish(list);
  for (const char* yes : {"[]", "[[]]", "[[][[]]]"}) EXPECT_TRUE(accepts(g, yes)) << yes;
  for (const char* no : {"", "[", "]", "[]]", "[[]", "[x]", "[][]"}) EXPECT_FALSE(accepts(g, no)) << no;
  EXPECT_EQ(g.shortest(), "[]");
}

TEST(Grammar, RefusesWhatNeverEndsOrNeverBegins) {
  Grammar loop;
  const Grammar::Rule r = loop.add();
  loop.add(r, {Grammar::any_of("a"), Grammar::ref(r)});
  EXPECT_THROW(loop.finish(r), Error);
  Grammar left;
  const Grammar::Rule l = left.add();
  left.add(l, {Grammar::any_of("a")});
  left.add(l, {Grammar::ref(l), Grammar::any_of("b")});
  EXPECT_THROW(left.finish(l), Error);
}

TEST(Grammar, ListsNeedNoRoomHoweverLong) {
  const Grammar g = of_schema(R"({"type":"array","items":{"type":"integer"}})");
  std::string text = "[1";
  for (int i = 0; i < 5000; ++i) text += ",1";
  Grammar::State state = g.begin();
  for (const char c : text) state = g.next(state, static_cast<unsigned char>(c));
  for (const Grammar::Stack& stack : state) EXPECT_LE(stack.size(), 4u);
  EXPECT_TRUE(accepts(g, text + "]"));
}

TEST(JsonSchema, AcceptsAndRefuses) {
  struct Case {
    const char* schema;
    std::vector<const char*> yes, no;
  };
  const Case cases[] = {
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]})",
       {R"({"a":1})", R"({"a":-20,"b":"x"})", R"({"a": 0, "b": "\u00e9\n"})"},
       {"{}", R"({"b":"x"})", R"({"a":1,"c":2})", R"({"a":01})", R"({"a":1.5})", R"({"b":"x","a":1})"}},
      {R"({"type":"object","properties":{"a":{},"b":{}}})",
       {"{}", R"({"a":null})", R"({"b":[1,{"x":2}]})", R"({"a":1,"b":2})"},
       {R"({,"b":1})", R"({"a":1,})"}},
      {R"({"enum":["red",3,null]})", {R"("red")", "3", "null"}, {"red", R"("blue")", "4"}},
      {R"({"type":["string","null"]})", {"null", R"("")"}, {"1"}},
      {R"({"type":"array","items":{"type":"boolean"},"minItems":1,"maxItems":2})",
       {"[true]", "[true,false]", "[true, false]"},
       {"[]", "[true,true,true]", "[1]", "[true,]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {"[]", "[1]", R"([1,"a"])"},
       {R"(["a"])", R"([1,"a",2])"}},
      {R"({"type":"string","minLength":2,"maxLength":3})", {R"("ab")", R"("äöü")"}, {R"("a")", R"("abcd")"}},
      {R"({"type":"integer","minimum":1})", {"1", "20"}, {"0", "-1"}},
      {R"({"type":"integer","minimum":-1,"maximum":2})", {"-1", "0", "2"}, {"-2", "3"}},
      {R"({"type":"number"})", {"0", "-1.5", "2e10", "1.5E-3"}, {"1.", ".5", "+1", "01", "e5"}},
      {R"({"type":"string","format":"date"})", {R"("2026-11-27")"}, {R"("2026-13-01")", R"("today")"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"object","properties":{"x":{"const":"y"}},"required":["x"]}]})",
       {"5", R"({"x":"y"})"},
       {R"({"x":"z"})", "{}"}},
      {R"({"$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/n"},)"
       R"({"type":"null"}]}},"required":["v","next"]}},"$ref":"#/$defs/n"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})", {"{}", R"({"a":1,"b":2})"}, {R"({"a":"x"})"}}};
  for (const Case& c : cases) {
    const Grammar g = of_schema(c.schema);
    for (const char* yes : c.yes) EXPECT_TRUE(accepts(g, yes)) << c.schema << "\n" << yes;
    for (const char* no : c.no) EXPECT_FALSE(accepts(g, no)) << c.schema << "\n" << no;
    EXPECT_TRUE(accepts(g, g.shortest())) << g.shortest();
    EXPECT_TRUE(json::accept(g.shortest())) << g.shortest();
  }
}

TEST(JsonSchema, WhatCannotBeEnforcedIsRefusedByName) {
  for (const char* schema :
       {R"({"type":"string","pattern":"\\b"})", R"({"not":{}})", R"({"type":"string","format":"email"})",
        R"({"$ref":"http://x"})", R"({"$ref":"#/nowhere"})",
        R"({"type":"thing"})", R"({"type":5})", "[]", "5", "{", R"({"type":"object","required":["x"]})",
        R"({"$ref":"#"})", R"({"type":"array","minItems":-1})", R"({"enum":[]})",
        R"({"type":"string","minLength":1000000})"}) {
    Grammar g;
    EXPECT_THROW(g.finish(add_json_schema(g, schema)), Error) << schema;
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += R"({"type":"array","items":)";
  deep += "{}" + std::string(100, '}');
  Grammar g;
  EXPECT_THROW(add_json_schema(g, deep), Error);
}

TEST(JsonLaw, WhateverIsDrawnParses) {
  Grammar any;
  any.finish(add_json_object(any));
  Random random(1, Stream::Test);
  for (int i = 0; i < 300; ++i) {
    const std::string text = walk(any, random);
    ASSERT_TRUE(json::accept(text)) << text;
    ASSERT_TRUE(json::parse(text).is_object()) << text;
  }
  const Grammar g = of_schema(
      R"({"type":"object","properties":{"name":{"type":"string","maxLength":9},"age":{"type":"integer","minimum":0},
          "tags":{"type":"array","items":{"enum":["a","b"]},"maxItems":3}},"required":["name","tags"]})");
  for (int i = 0; i < 300; ++i) {
    const std::string text = walk(g, random);
    const json value = json::parse(text);
    EXPECT_TRUE(value.at("name").is_string()) << text;
    EXPECT_LE(value.at("tags").size(), 3u) << text;
    for (const json& tag : value.at("tags")) EXPECT_TRUE(tag == "a" || tag == "b");
    if (value.contains("age")) {
      EXPECT_GE(value.at("age").get<double>(), 0);
    }
    for (const auto& [key, of] : value.items()) EXPECT_TRUE(key == "name" || key == "age" || key == "tags");
  }
}

// Every token by itself, as the definition has it.
TEST(TokenMaskLaw, EqualsTryingEveryToken) {
  Random random(2, Stream::Test);
  std::vector<std::string> pieces;
  const std::string letters = "{}[]\",:0123456789.-+eE truefalsn\\uab\xC3\xA9";
  for (int i = 0; i < 400; ++i) {
    std::string piece;
    for (std::int64_t n = random.range(0, 5); n > 0; --n) {
      piece += letters[static_cast<std::size_t>(random.range(0, std::ssize(letters) - 1))];
    }
    pieces.push_back(piece);
  }
  for (const char c : letters) pieces.emplace_back(1, c);
  const auto end = static_cast<TokenId>(pieces.size());
  pieces.emplace_back("<end>");
  const auto vocabulary = std::make_shared<const SortedVocabulary>(pieces, std::vector<TokenId>{end});
  for (int round = 0; round < 30; ++round) {
    auto grammar = std::make_shared<Grammar>();
    grammar->finish(round % 2 == 0 ? add_json_value(*grammar)
                                   : add_json_schema(*grammar, R"({"properties":{"a":{"type":"array"},"b":{}}})"));
    GrammarConstraint constraint(grammar, vocabulary);
    std::vector<TokenId> answer;
    Grammar::State state = grammar->begin();
    for (int step = 0; step < 25; ++step) {
      std::vector<float> logits(pieces.size(), 1.0F);
      constraint.mask(answer, logits);
      std::vector<TokenId> may;
      for (TokenId id = 0; id < end; ++id) {
        Grammar::State after = state;
        for (const char c : pieces[static_cast<std::size_t>(id)])
          after = grammar->next(after, static_cast<unsigned char>(c));
        const bool fine = !pieces[static_cast<std::size_t>(id)].empty() && !after.empty();
        ASSERT_EQ(logits[static_cast<std::size_t>(id)] > 0, fine) << pieces[static_cast<std::size_t>(id)];
        if (fine) may.push_back(id);
      }
      ASSERT_EQ(logits[static_cast<std::size_t>(end)] > 0, Grammar::may_end(state) || may.empty());
      if (may.empty()) break;
      answer.push_back(may[static_cast<std::size_t>(random.range(0, std::ssize(may) - 1))]);
      for (const char c : pieces[static_cast<std::size_t>(answer.back())]) {
        state = grammar->next(state, static_cast<unsigned char>(c));
      }
    }
  }
}

}  // namespace
}  // namespace tinderbox
