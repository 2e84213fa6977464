#include "http/chat_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace tinderbox {
namespace {

const ChatText::Options kTools{.tools = {"f", "weather", "time"}};

ChatDelta all(const ChatText::Options& options, std::string_view text, std::size_t piece = 1000) {
  ChatText chat(options);
  ChatDelta delta;
  for (std::size_t i = 0; i < text.size(); i += piece) chat.push(text.substr(i, piece), delta);
  chat.finish(delta);
  return delta;
}

TEST(ChatText, ReasoningIsApart) {
  const ChatDelta d = all({.reasons = true}, "\n<think>\nhm, 2+2\n</think>\n\nFour.");
  EXPECT_EQ(d.reasoning, "\nhm, 2+2\n");
  EXPECT_EQ(d.content, "Four.");
  EXPECT_EQ(all({.reasons = true, .thinking = true}, "hm</think>Four.").reasoning, "hm");
  EXPECT_EQ(all({.reasons = true}, "No <think> at the beginning").content, "No <think> at the beginning");
  EXPECT_EQ(all({.reasons = true}, "<think>cut off</thi").reasoning, "cut off</thi");
  EXPECT_EQ(all({}, "<think>as it is</think>").content, "<think>as it is</think>");
}

TEST(ChatText, CallsAreApart) {
  const ChatDelta d =
      all(kTools,
          "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>\n"
          "<tool_call>{\"name\":\"time\",\"parameters\":{}}</tool_call>");
  EXPECT_EQ(d.content, "Let me see.\n\n");
  ASSERT_EQ(d.calls.size(), 2u);
  EXPECT_EQ(d.calls[0].name, "weather");
  EXPECT_EQ(d.calls[0].arguments, R"({"city":"Ulm"})");
  EXPECT_EQ(d.calls[1].name, "time");
  EXPECT_EQ(d.calls[1].arguments, "{}");
}

TEST(ChatText, WhatIsNoCallIsText) {
  EXPECT_EQ(all(kTools, "<tool_call>nonsense</tool_call>!").content, "<tool_call>nonsense</tool_call>!");
  EXPECT_EQ(all(kTools, "a <tool_call>{\"name\":").content, "a <tool_call>{\"name\":");
  EXPECT_EQ(all(kTools, "a <tool").content, "a <tool");
  const std::string half = R"(<tool_call>{"name":"f","arguments":"{\"x\":"}</tool_call>)";
  EXPECT_EQ(all(kTools, half).content, half) << "arguments that are no JSON";
  EXPECT_EQ(all(kTools, "<tool_call>{\"name\":\"f\"}").calls.size(), 1u) << "whole but for the mark";
}

TEST(ChatText, AnAnswerThatIsNothingButACallIsOne) {
  const ChatDelta d = all(kTools, "\n{\"name\": \"weather\", \"parameters\": {\"city\": \"Ulm {\\\"x\"}}");
  ASSERT_EQ(d.calls.size(), 1u) << d.content;
  EXPECT_EQ(d.calls[0].name, "weather");
  EXPECT_EQ(d.calls[0].arguments, R"({"city":"Ulm {\"x"})");
  EXPECT_EQ(d.content, "");
  EXPECT_EQ(all(kTools, R"({"type": "function", "name": "f", "parameters": {}}; {"name": "time"})").calls.size(), 2u);
  for (const char* text : {R"({"name": "Bob", "parameters": {}})", R"({"name": "f"} is a call)", R"({"lives": 9})",
                           R"({"name": "f")", R"(See {"name": "f"})"}) {
    EXPECT_EQ(all(kTools, text).content, text);
    EXPECT_TRUE(all(kTools, text).calls.empty()) << text;
  }
  EXPECT_EQ(all({}, R"({"name": "f"})").content, R"({"name": "f"})");
}

TEST(ChatText, JsonThatIsNoCallIsNotHeldBack) {
  ChatText chat(kTools);
  ChatDelta delta;
  chat.push("{\"lives", delta);
  EXPECT_EQ(delta.content, "{\"lives");
}

TEST(ChatTextLaw, HowItIsCutMakesNoDifference) {
  const std::string parts[] = {"<think>", "</think>", "<tool_call>", "</tool_call>", "{\"name\":\"f\"}", " ", "\n",
                               "x",       "<",        "<t"};
  Random random(3, Stream::Test);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (std::int64_t n = random.range(0, 8); n > 0; --n) text += parts[random.range(0, 9)];
    const ChatText::Options options{.reasons = random.range(0, 1) == 0,
                                    .tools = random.range(0, 1) == 0 ? kTools.tools : std::vector<std::string>()};
    const ChatDelta whole = all(options, text);
    const ChatDelta cut = all(options, text, static_cast<std::size_t>(random.range(1, 4)));
    ASSERT_EQ(cut.content, whole.content) << text;
    ASSERT_EQ(cut.reasoning, whole.reasoning) << text;
    ASSERT_EQ(cut.calls.size(), whole.calls.size()) << text;
    // Nothing is lost but marks and the blanks between them.
    if (!options.reasons && options.tools.empty()) {
      ASSERT_EQ(whole.content, text);
    }
  }
}

}  // namespace
}  // namespace tinderbox
