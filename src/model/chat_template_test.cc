#include "model/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using nlohmann::ordered_json;

const std::filesystem::path kTemplates =
    std::filesystem::path(TINDERBOX_SOURCE_DIR) / "tests/reference/templates";

ChatTemplate load(const std::string& name) {
  return ChatTemplate::parse(read_file(kTemplates / (name + ".jinja")));
}

std::string render(std::string_view source, const std::string& variables = "{}") {
  ChatContext context;
  context.messages = {{"system", "S"}, {"user", "U"}};
  context.variables_json = variables;
  return ChatTemplate::parse(source).render(context);
}

Error::Code refused(std::string_view source, std::string_view word = {}) {
  try {
    render(source);
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos) << error.what();
    return error.code();
  }
  ADD_FAILURE() << "not refused: " << source.substr(0, 200);
  return Error::Code::Busy;
}

// golden.json is written from @huggingface/jinja by tests/reference/template_check.mjs;
// jinja2 3.1.6 gave the same texts. null: the template refuses the messages.
TEST(ChatTemplate, RendersAsTheReferenceDoes) {
  const auto file = ordered_json::parse(read_file(kTemplates / "conversations.json"));
  const auto golden = ordered_json::parse(read_file(kTemplates / "golden.json"));
  ASSERT_GE(golden.size(), 9u);
  for (const auto& [name, texts] : golden.items()) {
    const ChatTemplate chat = load(name);
    for (const auto& [id, conversation] : file["conversations"].items()) {
      ChatContext context;
      context.bos_token = "<s>";
      context.eos_token = "</s>";
      context.now_unix = file["now_unix"].get<std::int64_t>();
      context.variables_json = conversation.dump();
      if (texts.at(id).is_null()) {
        EXPECT_THROW(chat.render(context), Error) << name << " " << id;
      } else {
        EXPECT_EQ(chat.render(context), texts.at(id).get<std::string>()) << name << " " << id;
      }
    }
  }
}

TEST(ChatTemplate, PlainMessagesAndVariablesGiveTheSameText) {
  ChatContext plain;
  plain.messages = {{"system", "Be \"brief\"."}, {"user", "é🎉\n"}};
  ChatContext laid_over;
  laid_over.variables_json =
      R"({"messages": [{"role": "system", "content": "Be \"brief\"."}, {"role": "user", "content": "é🎉\n"}]})";
  for (const char* name : {"smollm2", "qwen2_5", "qwen3", "mistral", "phi3", "chatml"}) {
    EXPECT_EQ(load(name).render(plain), load(name).render(laid_over)) << name;
  }
}

std::vector<ChatMessage> random_messages(Random& random) {
  const std::vector<std::string> pieces = {"",   "a",  " ",  "\n",         "é",   "世界",
                                           "🎉", "{{", "%}", "<|im_end|>", "\xFF"};
  std::vector<ChatMessage> messages;
  for (std::int64_t n = random.range(1, 6); n > 0; --n) {
    ChatMessage message{messages.size() % 2 == 0 ? "user" : "assistant", ""};
    for (std::int64_t k = random.range(0, 8); k > 0; --k) {
      message.content += pieces[static_cast<std::size_t>(random.range(0, 10))];
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

// Laws of ChatML: a longer conversation continues a shorter one, the generation prompt is a suffix,
// contents pass through byte for byte, and rendering is a function.
TEST(ChatTemplate, LawsOfChatMl) {
  const ChatTemplate ours = ChatTemplate::chatml();
  const ChatTemplate file = load("chatml");
  Random random(7, Stream::Test);
  for (int i = 0; i < 200; ++i) {
    ChatContext context;
    context.messages = random_messages(random);
    context.add_generation_prompt = false;
    const std::string plain = ours.render(context);
    std::string expected;
    for (const ChatMessage& m : context.messages) {
      expected += "<|im_start|>" + m.role + "\n" + m.content + "<|im_end|>\n";
    }
    ASSERT_EQ(plain, expected);
    ASSERT_EQ(file.render(context), expected);
    context.add_generation_prompt = true;
    ASSERT_EQ(ours.render(context), plain + "<|im_start|>assistant\n");
    context.messages.pop_back();
    context.add_generation_prompt = false;
    ASSERT_TRUE(plain.starts_with(ours.render(context)));
  }
}

TEST(ChatTemplate, RenderingIsAFunctionOfItsContext) {
  Random random(8, Stream::Test);
  const ChatTemplate chat = load("gpt_oss"), again = load("gpt_oss");
  for (int i = 0; i < 50; ++i) {
    ChatContext context;
    context.messages = random_messages(random);
    context.now_unix = random.range(0, 4'000'000'000);
    const std::string text = chat.render(context);
    ASSERT_EQ(chat.render(context), text);
    ASSERT_EQ(again.render(context), text);
  }
}

TEST(ChatTemplate, TheDateComesFromTheContextOnly) {
  const ChatTemplate chat = ChatTemplate::parse("{{ strftime_now('%d %b %Y %H:%M:%S %j %A') }}");
  ChatContext context;
  EXPECT_THROW(chat.render(context), Error);
  context.now_unix = 0;
  EXPECT_EQ(chat.render(context), "01 Jan 1970 00:00:00 001 Thursday");
  context.now_unix = 1'709'251'199;  // the last second of a leap day
  EXPECT_EQ(chat.render(context), "29 Feb 2024 23:59:59 060 Thursday");
}

TEST(ChatTemplate, TemplatesMayRefuseMessages) {
  try {
    render("{{ raise_exception('roles must alternate') }}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::Invalid);
    EXPECT_NE(std::string(error.what()).find("roles must alternate"), std::string::npos);
  }
}

TEST(ChatTemplate, ErrorsNameLineAndCause) {
  using enum Error::Code;
  EXPECT_EQ(refused("a\nb\n{{ messages.x.y }}", "line 3"), Invalid);
  EXPECT_EQ(refused("{{ nobody.name }}", "'nobody' is undefined"), Invalid);
  EXPECT_EQ(refused("\n{{ 1 + }}", "line 2: expected a value"), Invalid);
  EXPECT_EQ(refused("{% if 1 %}", "{% endif %}"), Invalid);
  EXPECT_EQ(refused("{{ 'a' + 1 }}", "'+' does not work between string and int"), Invalid);
  EXPECT_EQ(refused("{{ 1 // 0 }}", "division by zero"), Invalid);
  EXPECT_EQ(refused("{{ 9223372036854775807 + 1 }}", "64 bits"), Invalid);
  EXPECT_EQ(refused("{% include 'x' %}", "'include'"), Unsupported);
  EXPECT_EQ(refused("{{ 1 | nope }}", "'nope'"), Unsupported);
  EXPECT_EQ(refused("{{ 1 is nope }}", "'nope'"), Unsupported);
  for (const char* source :
       {"{{", "{%", "{#", "{{ 'a", "{{ (1 }}", "{{ 1) }}", "{% endfor %}", "{% else %}",
        "{% break %}", "{% for x y %}", "{% set %}", "{% macro %}", "{{ a. }}", "{{ a[] }}",
        "{{ 1 2 }}", "{% raw %}", "{{ f(a=1, 2) }}", "{% foo %}", "{{ '\\x4' }}"}) {
    EXPECT_EQ(refused(source, "line 1"), Invalid) << source;
  }
}

TEST(ChatTemplate, BrokenVariablesAreRefused) {
  for (const char* json : {"[1]", "{", "nonsense", "{\"a\":}"})
    EXPECT_THROW(render("", json), Error) << json;
  EXPECT_THROW(render("", "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}"), Error);
}

std::string times(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

// Each of these would take for ever, recurse without end or fill memory in an unbounded
// interpreter.
TEST(ChatTemplate, HostileTemplatesEndInAnError) {
  const std::string doubling =
      "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor "
      "%}";
  const std::vector<std::string> hostile = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{{ range(10 ** 12) }}",
      "{{ 'a' * 1000000000 }}",
      "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
      doubling + "{{ n.x }}",
      doubling + "{{ n.x | tojson }}",
      doubling + "{% set m = n.x %}" + doubling + "{{ m == n.x }}",
      "{% set l = [] %}{{ l.append(l) }}{{ l }}",
      "{% set l = [] %}{% set m = [] %}{{ l.append(m) }}{{ m.append(l) }}{{ l == m }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% set a = 'a' * 1000000 %}{{ (a + 'b') in a }}",
      "{% set a = 'a' * 100000 %}{{ a.replace('a', a) }}",
      "{{ ('x' * 100000).join(('a' * 100000) | list) }}",
      "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
      "{{ " + times("(", 5000) + "1" + times(")", 5000) + " }}",
      "{{ " + times("not ", 5000) + "1 }}",
      "{{ " + times("-", 5000) + "1 }}",
      "{{ 1" + times("+1", 5000) + " }}",
      "{{ a" + times(".a", 5000) + " }}",
      "{{ 1" + times("|abs", 5000) + " }}",
      times("{% if 1 %}", 5000),
      std::string(600'000, 'x'),
  };
  for (const std::string& source : hostile)
    EXPECT_EQ(refused(source), Error::Code::TooLarge) << source.substr(0, 80);
}

}  // namespace
}  // namespace tinderbox
