#include "http/openai_request.h"

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

CompletionRequest chat(const std::string& fields) {
  return parse_completion_request(Endpoint::Chat,
                                  R"({"model":"m","messages":[{"role":"user","content":"hi"}])" +
                                      (fields.empty() ? "" : "," + fields) + "}");
}

CompletionRequest completions(const std::string& fields) {
  return parse_completion_request(Endpoint::Completions, R"({"model":"m",)" + fields + "}");
}

TEST(OpenAiRequest, Defaults) {
  const CompletionRequest r = chat("");
  EXPECT_EQ(r.model, "m");
  ASSERT_EQ(r.messages.size(), 1u);
  EXPECT_EQ(r.messages[0].role, "user");
  EXPECT_EQ(r.messages[0].content, "hi");
  EXPECT_FALSE(r.n_gen_max);
  EXPECT_EQ(r.sampling.temperature, 1.0);
  EXPECT_EQ(r.sampling.top_p, 1.0);
  EXPECT_FALSE(r.stream || r.include_usage || r.has_seed);
  EXPECT_TRUE(r.stops.empty());
}

TEST(OpenAiRequest, ReadsEveryField) {
  const CompletionRequest r = chat(
      R"("temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"repetition_penalty":1.1,"seed":-3,"stop":["a","b"],
         "stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":7,
         "user":"u","metadata":{"x":[1,2]},"n":1,"logprobs":false,"tools":[],"response_format":{"type":"text"},
         "presence_penalty":0,"unknown_field":{"deep":[[[]]]})");
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.top_p, 0.9);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_EQ(r.sampling.min_p, 0.05);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(r.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_TRUE(r.has_seed && r.stream && r.include_usage);
  EXPECT_EQ(r.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.n_gen_max, 7) << "the newer name wins";
}

TEST(OpenAiRequest, NullIsAbsent) {
  const CompletionRequest r = chat(
      R"("temperature":null,"top_p":null,"stop":null,"stream":null,"stream_options":null,"max_tokens":null,"seed":null,
         "n":null,"logprobs":null,"tools":null,"response_format":null)");
  EXPECT_EQ(r.sampling.temperature, 1.0);
  EXPECT_FALSE(r.has_seed);
}

TEST(OpenAiRequest, EdgesOfSampling) {
  EXPECT_EQ(chat(R"("top_p":0)").sampling.top_k, 1);
  EXPECT_EQ(chat(R"("top_p":0)").sampling.top_p, 1.0);
  EXPECT_EQ(chat(R"("top_k":-1)").sampling.top_k, 0);
  EXPECT_EQ(chat(R"("temperature":2)").sampling.temperature, 2.0);
  EXPECT_EQ(chat(R"("seed":18446744073709551615)").has_seed, true);
}

TEST(OpenAiRequest, ContentForms) {
  const auto r = parse_completion_request(
      Endpoint::Chat,
      R"({"model":"m","messages":[
          {"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
          {"role":"assistant","content":null},{"role":"user","content":""}]})");
  EXPECT_EQ(r.messages[0].role, "system");
  EXPECT_EQ(r.messages[0].content, "ab");
  EXPECT_EQ(r.messages[1].content, "");
}

TEST(OpenAiRequest, PromptForms) {
  EXPECT_EQ(std::get<std::string>(completions(R"("prompt":"x")").prompts.at(0)), "x");
  EXPECT_EQ(std::get<std::string>(completions(R"("prompt":["x"])").prompts.at(0)), "x");
  const std::vector<TokenId> ids = {1, 2, 3};
  EXPECT_EQ(std::get<std::vector<TokenId>>(completions(R"("prompt":[1,2,3])").prompts.at(0)), ids);
  EXPECT_EQ(std::get<std::vector<TokenId>>(completions(R"("prompt":[[1,2,3]])").prompts.at(0)), ids);
}

struct Bad {
  Endpoint endpoint;
  std::string body, param, code;
};

std::string chat_with(const std::string& field) {
  return R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" + field + "}";
}

TEST(CompletionRequest, WhatFewAskFor) {
  const CompletionRequest r = chat(
      R"("n":3,"presence_penalty":0.5,"frequency_penalty":-0.25,"logprobs":true,"top_logprobs":4,)"
      R"("logit_bias":{"7":-100})");
  EXPECT_EQ(r.n, 3);
  EXPECT_EQ(r.extras.presence_penalty, 0.5);
  EXPECT_EQ(r.extras.frequency_penalty, -0.25);
  EXPECT_EQ(r.extras.n_logprobs, 4);
  EXPECT_EQ(r.extras.bias, (std::vector<std::pair<TokenId, float>>{{7, -100.0F}}));
  EXPECT_EQ(chat(R"("logprobs":true)").extras.n_logprobs, 0);
  EXPECT_EQ(chat(R"("logprobs":false)").extras.n_logprobs, -1);
  const CompletionRequest several = completions(R"("prompt":["a",[1,2]],"logprobs":2,"echo":false,"best_of":1)");
  ASSERT_EQ(several.prompts.size(), 2u);
  EXPECT_EQ(several.extras.n_logprobs, 2);
}

TEST(OpenAiRequest, RefusesBadInputByName) {
  const auto kChat = Endpoint::Chat;
  const auto kText = Endpoint::Completions;
  const std::vector<Bad> cases = {
      {kChat, "", "", "invalid_json"},
      {kChat, "{", "", "invalid_json"},
      {kChat, "\xFF", "", "invalid_json"},
      {kChat, "{\"a\":\"\xFF\"}", "", "invalid_json"},
      {kChat, R"({"model":"m","x":1e400})", "", "invalid_json"},
      {kChat, "{} trailing", "", "invalid_json"},
      {kChat, std::string(100000, '['), "", "invalid_json"},
      {kChat, R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}", "", "invalid_json"},
      {kChat, "[]", "body", "invalid_type"},
      {kChat, "null", "body", "invalid_type"},
      {kChat, "{}", "model", "missing_required_parameter"},
      {kChat, R"({"model":5})", "model", "invalid_type"},
      {kChat, R"({"model":"m"})", "messages", "missing_required_parameter"},
      {kChat, R"({"model":"m","messages":"hi"})", "messages", "invalid_type"},
      {kChat, R"({"model":"m","messages":[]})", "messages", "invalid_value"},
      {kChat, R"({"model":"m","messages":["hi"]})", "messages[0]", "invalid_type"},
      {kChat, R"({"model":"m","messages":[{"content":"hi"}]})", "messages[0].role", ""},
      {kChat, R"({"model":"m","messages":[{"role":"bard","content":"hi"}]})", "messages[0].role",
       "unsupported_value"},
      {kChat, R"({"model":"m","messages":[{"role":7,"content":"hi"}]})", "messages[0].role",
       "invalid_type"},
      {kChat, R"({"model":"m","messages":[{"role":"user"}]})", "messages[0].content",
       "missing_required_parameter"},
      {kChat, R"({"model":"m","messages":[{"role":"user","content":7}]})", "messages[0].content",
       "invalid_type"},
      {kChat, R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0].content[0].type", "unsupported_value"},
      {kChat, R"({"model":"m","messages":[{"role":"user","content":[7]}]})",
       "messages[0].content[0]", "invalid_type"},
      {kChat, R"({"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]})",
       "messages[0].content[0].text", ""},
      {kChat, chat_with(R"("n":1000)"), "n", "invalid_value"},
      {kChat, chat_with(R"("n":0)"), "n", "invalid_value"},
      {kChat, chat_with(R"("n":"1")"), "n", "invalid_type"},
      {kChat, chat_with(R"("logprobs":3)"), "logprobs", "invalid_type"},
      {kChat, chat_with(R"("top_logprobs":3)"), "top_logprobs", "invalid_value"},
      {kChat, chat_with(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs", "invalid_value"},
      {kChat, chat_with(R"("tools":[{"type":"function"}])"), "tools[0].function.name", "invalid_value"},
      {kChat, chat_with(R"("tools":{})"), "tools", "invalid_type"},
      {kChat, chat_with(R"("tools":[{"type":"code"}])"), "tools[0]", "unsupported_value"},
      {kChat, chat_with(R"("tool_choice":"required")"), "tool_choice", "invalid_value"},
      {kChat, chat_with(R"("tools":[{"function":{"name":"f"}}],"tool_choice":"maybe")"), "tool_choice",
       "invalid_value"},
      {kChat,
       chat_with(R"("tools":[{"function":{"name":"f","parameters":{"not":{}}}}],"tool_choice":"required")"),
       "tools", "invalid_json_schema"},
      {kChat, chat_with(R"("presence_penalty":2.5)"), "presence_penalty", "invalid_value"},
      {kChat, chat_with(R"("logit_bias":[1])"), "logit_bias", "invalid_type"},
      {kChat, chat_with(R"("logit_bias":{"x":1})"), "logit_bias", "invalid_value"},
      {kChat, chat_with(R"("logit_bias":{"5":101})"), "logit_bias", "invalid_value"},
      {kChat, chat_with(R"("logit_bias":{"5":"1"})"), "logit_bias", "invalid_type"},
      {kChat, chat_with(R"("response_format":{"type":"xml"})"), "response_format",
       "unsupported_value"},
      {kChat, chat_with(R"("response_format":"json")"), "response_format", "invalid_type"},
      {kChat, chat_with(R"("max_tokens":-1)"), "max_tokens", "invalid_value"},
      {kChat, chat_with(R"("max_tokens":0)"), "max_tokens", "invalid_value"},
      {kChat, chat_with(R"("max_tokens":1.5)"), "max_tokens", "invalid_type"},
      {kChat, chat_with(R"("max_tokens":"5")"), "max_tokens", "invalid_type"},
      {kChat, chat_with(R"("temperature":-0.1)"), "temperature", "invalid_value"},
      {kChat, chat_with(R"("temperature":2.1)"), "temperature", "invalid_value"},
      {kChat, chat_with(R"("temperature":"hot")"), "temperature", "invalid_type"},
      {kChat, chat_with(R"("top_p":1.1)"), "top_p", "invalid_value"},
      {kChat, chat_with(R"("top_k":-2)"), "top_k", "invalid_value"},
      {kChat, chat_with(R"("min_p":-1)"), "min_p", "invalid_value"},
      {kChat, chat_with(R"("repetition_penalty":0)"), "repetition_penalty", "invalid_value"},
      {kChat, chat_with(R"("seed":1.5)"), "seed", "invalid_type"},
      {kChat, chat_with(R"("stop":5)"), "stop", "invalid_type"},
      {kChat, chat_with(R"("stop":"")"), "stop", "invalid_value"},
      {kChat, chat_with(R"("stop":["a","b","c","d","e"])"), "stop", "invalid_value"},
      {kChat, chat_with(R"("stop":["a",5])"), "stop[1]", "invalid_type"},
      {kChat, chat_with("\"stop\":\"" + std::string(1025, 'x') + "\""), "stop", "invalid_value"},
      {kChat, chat_with(R"("stream":"yes")"), "stream", "invalid_type"},
      {kChat, chat_with(R"("stream_options":5)"), "stream_options", "invalid_type"},
      {kChat, chat_with(R"("stream_options":{"include_usage":1})"), "include_usage",
       "invalid_type"},
      {kText, R"({"model":"m"})", "prompt", "missing_required_parameter"},
      {kText, R"({"model":"m","prompt":5})", "prompt", "invalid_type"},
      {kText, R"({"model":"m","prompt":[]})", "prompt", "invalid_value"},
      {kText, R"({"model":"m","prompt":["a",5]})", "prompt[1]", "invalid_type"},
      {kText, R"({"model":"m","prompt":[[]]})", "prompt", "invalid_value"},
      {kText, R"({"model":"m","prompt":[1,"a"]})", "prompt[1]", "invalid_type"},
      {kText, R"({"model":"m","prompt":[1.5]})", "prompt[0]", "invalid_type"},
      {kText, R"({"model":"m","prompt":[99999999999]})", "prompt", "invalid_value"},
      {kText, R"({"model":"m","prompt":[-99999999999]})", "prompt", "invalid_value"},
      {kText, R"({"model":"m","prompt":[{}]})", "prompt[0]", "invalid_type"},
      {kText, R"({"model":"m","prompt":"x","best_of":3})", "best_of", "unsupported_value"},
      {kText, R"({"model":"m","prompt":"x","echo":true,"logprobs":1})", "echo", "unsupported_value"},
      {kText, R"({"model":"m","prompt":"x","suffix":"y"})", "suffix", "unsupported_parameter"},
      {kText, R"({"model":"m","prompt":"x","logprobs":30})", "logprobs", "invalid_value"},
  };
  for (const Bad& bad : cases) {
    try {
      parse_completion_request(bad.endpoint, bad.body);
      ADD_FAILURE() << "accepted: " << bad.body.substr(0, 200);
    } catch (const RequestError& e) {
      EXPECT_EQ(e.status(), 400) << e.what();
      EXPECT_EQ(e.param(), bad.param) << e.what();
      EXPECT_EQ(e.code(), bad.code) << e.what();
      EXPECT_GT(std::string(e.what()).size(), 10u);
      EXPECT_LT(std::string(e.what()).size(), 400u);
    }
  }
}

TEST(OpenAiRequest, SaysWhereTheJsonBreaks) {
  try {
    parse_completion_request(Endpoint::Chat, R"({"model":"m",})");
    FAIL();
  } catch (const RequestError& e) {
    EXPECT_NE(std::string(e.what()).find("byte 14"), std::string::npos) << e.what();
  }
}

TEST(OpenAiRequest, TooManyMessages) {
  std::string body = R"({"model":"m","messages":[)";
  for (int i = 0; i < 4097; ++i)
    body += std::string(i ? "," : "") + R"({"role":"user","content":"x"})";
  EXPECT_THROW(parse_completion_request(Endpoint::Chat, body + "]}"), RequestError);
}

}  // namespace
}  // namespace tinderbox
