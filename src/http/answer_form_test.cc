#include "http/answer_form.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "http/route_table.h"

namespace tinderbox {
namespace {

Tools tools_of(const std::string& fields, const std::string& parameters = R"({"enum":[1]})") {
  const std::string body = R"({"tools":[{"type":"function","function":{"name":"f","parameters":)" + parameters +
                           R"(}},{"type":"function","function":{"name":"g","parameters":{"enum":[2]}}}])" + fields +
                           "}";
  return parse_tools(nlohmann::json::parse(body), body);
}

// Whether a text is of the grammar: 'y'; may yet become one: '.'; cannot: 'n'.
char is(const Grammar& grammar, std::string_view text) {
  Grammar::State state = grammar.begin();
  for (const char c : text) state = grammar.next(state, static_cast<unsigned char>(c));
  return state.empty() ? 'n' : Grammar::may_end(state) ? 'y' : '.';
}

constexpr const char* kF = "<tool_call>{\"name\": \"f\", \"arguments\": 1}</tool_call>";
constexpr const char* kG = "<tool_call>\n{\"name\": \"g\", \"arguments\": 2}\n</tool_call>";

TEST(AnswerForm, TextWithCalls) {
  const auto grammar = answer_grammar({}, tools_of(""), CallForm::Tagged);
  ASSERT_NE(grammar, nullptr);
  for (const std::string& text :
       {std::string(), std::string("Hi."), std::string("a < b <tool <<tool_cal>"), std::string("\xff\x00\xc3", 3),
        std::string(kF), std::string("Let me see.") + kF + "\n" + kG + " Done.", std::string("<") + kF}) {
    EXPECT_EQ(is(*grammar, text), 'y') << text;
  }
  EXPECT_EQ(is(*grammar, "<tool_call>"), '.');
  EXPECT_EQ(is(*grammar, "<<tool_call>{"), '.');
  for (const char* text :
       {"<tool_call>x", "x<tool_call>{\"name\": \"h", "<tool_call>{\"name\": \"f\", \"arguments\": 2"}) {
    EXPECT_EQ(is(*grammar, text), 'n') << text;
  }
}

TEST(AnswerForm, OneCallWhereNoMoreMayCome) {
  const auto grammar = answer_grammar({}, tools_of(R"(,"parallel_tool_calls":false)"), CallForm::Tagged);
  EXPECT_EQ(is(*grammar, std::string("x") + kF), 'y');
  EXPECT_EQ(is(*grammar, std::string(kF) + "\n"), 'y');
  EXPECT_EQ(is(*grammar, std::string(kF) + "<"), 'n');
}

TEST(AnswerForm, CallsThatMustCome) {
  const auto one = answer_grammar({}, tools_of(R"(,"tool_choice":"required")"), CallForm::Tagged);
  EXPECT_EQ(is(*one, kF), 'y');
  EXPECT_EQ(is(*one, "x"), 'n');
  EXPECT_EQ(is(*one, std::string(kF) + "\n"), 'n') << "several only where they were asked for";
  const auto several =
      answer_grammar({}, tools_of(R"(,"tool_choice":"required","parallel_tool_calls":true)"), CallForm::Tagged);
  EXPECT_EQ(is(*several, std::string(kF) + "\n" + kG), 'y');
  const auto named = answer_grammar(
      {}, tools_of(R"(,"tool_choice":{"type":"function","function":{"name":"g"}})"), CallForm::Tagged);
  EXPECT_EQ(is(*named, kG), 'y');
  EXPECT_EQ(is(*named, "<tool_call>{\"name\": \"f"), 'n');
  const auto bare = answer_grammar({}, tools_of(R"(,"tool_choice":"required")"), CallForm::Bare);
  EXPECT_EQ(is(*bare, R"({"name": "f", "parameters": 1})"), 'y');
  EXPECT_EQ(answer_grammar({}, tools_of(""), CallForm::Bare), nullptr);
}

TEST(AnswerForm, JsonOrCalls) {
  const AnswerForm form{.kind = AnswerForm::Kind::Schema, .schema_json = R"({"enum":[7]})"};
  const auto grammar = answer_grammar(form, tools_of(""), CallForm::Tagged);
  EXPECT_EQ(is(*grammar, "7"), 'y');
  EXPECT_EQ(is(*grammar, kF), 'y');
  EXPECT_EQ(is(*grammar, "x"), 'n');
  EXPECT_EQ(grammar->shortest(), "7");
  EXPECT_EQ(is(*answer_grammar(form, {}, CallForm::Tagged), kF), 'n');
  EXPECT_EQ(answer_grammar({}, {}, CallForm::Tagged), nullptr);
}

TEST(AnswerForm, ReasoningThatIsOpenEndsBefore) {
  const AnswerForm form{.kind = AnswerForm::Kind::Schema, .schema_json = R"({"enum":[7]})"};
  const auto grammar = answer_grammar(form, {}, CallForm::Tagged, true);
  EXPECT_EQ(is(*grammar, "7"), '.');
  EXPECT_EQ(is(*grammar, "hm, 7 <think> </thin</think>\n\n7"), 'y');
  EXPECT_EQ(is(*grammar, "hm</think>x"), 'n');
}

TEST(AnswerForm, WhatCannotBeEnforced) {
  const std::string pattern = R"({"type":"object","properties":{"x":{"type":"string","pattern":"\\b"}}})";
  const auto any = answer_grammar({}, tools_of("", pattern), CallForm::Tagged);
  EXPECT_EQ(is(*any, "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": \"b\"}}</tool_call>"), 'y')
      << "any object where nothing was promised";
  EXPECT_THROW(answer_grammar({}, tools_of(R"(,"tool_choice":"required")", pattern), CallForm::Tagged), RequestError);
  EXPECT_THROW(answer_grammar({}, tools_of("", pattern + R"(,"strict":true)"), CallForm::Tagged), RequestError);
}

}  // namespace
}  // namespace tinderbox
