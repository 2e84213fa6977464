#include "http/ollama.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "http/echo_box_test.h"
#include "http/ollama_stream.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

class Ollama {
 public:
  Ollama()
      : api_(box.roster(), {.version = "0.0.1",
                            .now_unix = [] { return 1'700'000'000.5; },
                            .now = [this] { return now_ += std::chrono::milliseconds(1); }}) {
    api_.add_to(box.api());
  }
  Json object(const std::string& path, const std::string& body, int status = 200) {
    const HttpResponse response = box.ask("POST", path, body);
    EXPECT_EQ(response.status, status) << response.body;
    return Json::parse(response.body);
  }
  // The lines of a stream.
  std::vector<Json> lines(const std::string& path, const std::string& body) {
    const HttpResponse response = box.ask("POST", path, body);
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.content_type, "application/x-ndjson");
    EXPECT_TRUE(response.body.ends_with("\n"));
    std::vector<Json> out;
    for (const std::string& line : split(response.body, '\n')) {
      if (!line.empty()) out.push_back(Json::parse(line));
    }
    return out;
  }
  EchoBox box;

 private:
  TimePoint now_{};
  OllamaApi api_;
};

TEST(Ollama, ChatStreamsLinesUnlessToldNotTo) {
  Ollama o;
  const std::string fields = R"("model":"echo:latest","messages":[{"role":"user","content":"abc"}])";
  const std::vector<Json> lines = o.lines("/api/chat", "{" + fields + "}");
  std::string text;
  for (const Json& line : lines) {
    EXPECT_EQ(line["model"], "echo:latest");
    EXPECT_EQ(line["message"]["role"], "assistant");
    EXPECT_EQ(line["created_at"], "2023-11-14T22:13:20.500000Z");
    EXPECT_EQ(line["done"], &line == &lines.back());
    text += line["message"]["content"].get<std::string>();
  }
  EXPECT_EQ(text, "abc");
  const Json& last = lines.back();
  EXPECT_EQ(last["done_reason"], "stop");
  EXPECT_EQ(last["prompt_eval_count"], 4);
  EXPECT_EQ(last["eval_count"], 4);
  EXPECT_GT(last["total_duration"], 0);
  EXPECT_EQ(last["total_duration"],
            last["prompt_eval_duration"].get<std::int64_t>() + last["eval_duration"].get<std::int64_t>());
  const Json whole = o.object("/api/chat", "{" + fields + R"(,"stream":false})");
  EXPECT_EQ(whole["message"]["content"], "abc");
  EXPECT_EQ(whole["eval_count"], 4);
}

TEST(Ollama, GenerateAnswersPromptsRawOrNot) {
  Ollama o;
  Json whole = o.object("/api/generate", R"({"model":"echo","prompt":"abcdef","system":"be brief","stream":false})");
  EXPECT_EQ(whole["response"], "abcdef");
  whole =
      o.object("/api/generate", R"({"model":"echo","prompt":"abcdefghijklmnopqrstuvwxyz","raw":true,"stream":false})");
  EXPECT_EQ(whole["response"], "abcdefghijklmnopqrstuvwxyz") << "not cut after OpenAI's 16 tokens";
  whole =
      o.object("/api/generate", R"({"model":"echo","prompt":"abcdef","stream":false,"options":{"num_predict":3}})");
  EXPECT_EQ(whole["response"], "abc");
  EXPECT_EQ(whole["done_reason"], "length");
  whole = o.object("/api/generate",
                   R"({"model":"echo","prompt":"abcdef","stream":false,"options":{"num_predict":99999999}})");
  EXPECT_EQ(whole["response"], "abcdef");
  whole = o.object("/api/generate",
                   R"({"model":"echo","prompt":"abcdef","stream":false,"options":{"stop":["d"],"num_predict":-1}})");
  EXPECT_EQ(whole["response"], "abc");
  EXPECT_EQ(whole["done_reason"], "stop");
  EXPECT_EQ(o.object("/api/generate", R"({"model":"echo","stream":false})")["done_reason"], "load");
  EXPECT_EQ(o.object("/api/chat", R"({"model":"echo","messages":[],"keep_alive":"0s"})")["done_reason"], "unload");
}

TEST(Ollama, WhatIsWrongIsSaidInItsForm) {
  Ollama o;
  for (const auto& [path, body, status] :
       {std::tuple{"/api/chat", "{", 400},
        {"/api/chat", "[]", 400},
        {"/api/chat", "{}", 400},
        {"/api/chat", R"({"model":"other","messages":[{"role":"user","content":"a"}]})", 404},
        {"/api/chat", R"({"model":"echo","messages":[{"role":"user","content":"a","images":["x"]}]})", 400},
        {"/api/chat", R"({"model":"echo","messages":[{"role":"user","content":"refuse me"}]})", 400},
        {"/api/chat", R"({"model":"echo","messages":["a"]})", 400},
        {"/api/chat", R"({"model":"echo","messages":[{"role":"user","content":"a"}],"format":5})", 400},
        {"/api/chat", R"({"model":"echo","messages":[{"role":"user","content":"a"}],"options":{"temperature":"hot"}})",
         400},
        {"/api/chat", R"({"model":"echo","messages":[{"role":"user","content":"a"}],"options":{"mirostat":1}})", 400},
        {"/api/generate", R"({"model":"echo","prompt":"a","template":"{{ .Prompt }}"})", 400},
        {"/api/generate", R"({"model":"echo","prompt":5})", 400},
        {"/api/show", "{}", 400},
        {"/api/show", R"({"model":"other"})", 404},
        {"/api/pull", R"({"model":"llama3"})", 501}}) {
    const Json answer = o.object(path, body, status);
    EXPECT_TRUE(answer.is_object() && answer.contains("error") && answer["error"].is_string()) << answer;
  }
  EXPECT_EQ(o.box.ask("DELETE", "/api/delete", "{}").status, 501);
}

TEST(Ollama, ListsAndShowsWhatIsServed) {
  Ollama o;
  EXPECT_EQ(Json::parse(o.box.ask("GET", "/api/version").body)["version"], "0.0.1");
  const Json tags = Json::parse(o.box.ask("GET", "/api/tags").body);
  EXPECT_EQ(tags["models"][0]["name"], "echo:latest");
  EXPECT_EQ(tags["models"][0]["modified_at"], "2020-09-13T12:26:40.000000Z");
  EXPECT_TRUE(tags["models"][0]["details"].contains("quantization_level"));
  const Json ps = Json::parse(o.box.ask("GET", "/api/ps").body);
  EXPECT_EQ(ps["models"][0]["context_length"], 1 << 14);
  EXPECT_EQ(o.object("/api/show", R"({"name":"echo"})")["model_info"]["unknown.context_length"], 1 << 14);
}

TEST(Ollama, TheRootTellsItsClientsThatItIsThere) {
  EchoBox box;
  HttpRequest request;
  request.path = "/";
  request.headers = {{"accept", "application/json"}};
  EXPECT_EQ(box.api().handle(request).body, "Ollama is running");
  request.headers = {{"accept", "text/html,application/json"}};
  EXPECT_EQ(box.api().handle(request).body, "<!doctype html>");
  request.headers = {};
  EXPECT_EQ(box.api().handle(request).body, "<!doctype html>");
}

TEST(Ollama, RequestsAreTranslated) {
  const OllamaRequest r = parse_ollama_request(OllamaEndpoint::Chat, R"({"model":"m:latest","messages":[
      {"role":"user","content":"a"},
      {"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},
      {"role":"tool","tool_name":"f","content":"2"}],
      "tools":[{"type":"function","function":{"name":"f"}}],"format":{"type":"object"},"think":false,
      "options":{"seed":-1,"num_ctx":4096,"temperature":0,"repeat_penalty":1.5,"num_gpu":1}})");
  EXPECT_EQ(r.model, "m");
  EXPECT_EQ(r.path, "/v1/chat/completions");
  const Json body = Json::parse(r.body);
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["messages"][1]["tool_calls"][0]["function"]["arguments"], R"({"x":1})");
  EXPECT_EQ(body["messages"][1]["tool_calls"][0]["id"], body["messages"][2]["tool_call_id"]);
  EXPECT_EQ(body["tools"][0]["function"]["name"], "f");
  EXPECT_EQ(body["response_format"]["json_schema"]["schema"]["type"], "object");
  EXPECT_EQ(body["chat_template_kwargs"]["enable_thinking"], false);
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_EQ(body["top_k"], 40);
  EXPECT_EQ(body["repetition_penalty"], 1.5);
  EXPECT_FALSE(body.contains("seed"));
  EXPECT_EQ(Json::parse(embeddings_body(R"({"model":"m","input":["a","b"]})", false))["input"].size(), 2u);
}

// Pieces as they come from an OpenAI route, cut anywhere.
class Pieces final : public ResponseStream {
 public:
  Pieces(std::string body, std::size_t step) : body_(std::move(body)), step_(step) {}
  State poll(HttpResponse& response) override {
    response.body += body_.substr(at_, step_);
    at_ += step_;
    return at_ >= body_.size() ? State::Finished : State::Open;
  }

 private:
  std::string body_;
  std::size_t step_, at_ = 0;
};

TEST(Ollama, CallsOfToolsAndThoughtsComeThroughHoweverTheyAreCut) {
  const std::string events =
      "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"},\"finish_reason\":null}]}\n\n"
      "data: "
      "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{"
      "\\\"x\\\"\"}}]}}]}\n\n"
      "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n"
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\ndata: [DONE]\n\n";
  for (std::size_t step = 1; step < events.size(); step += 7) {
    HttpResponse inner;
    inner.stream = std::make_unique<Pieces>(events, step);
    OllamaStream stream(
        std::move(inner),
        {.streamed = false, .model = "m", .now = [] { return TimePoint{}; }, .now_unix = [] { return 0.0; }});
    HttpResponse response;
    while (stream.poll(response) != ResponseStream::State::Finished) {
    }
    const Json whole = Json::parse(response.body);
    EXPECT_EQ(whole["message"]["thinking"], "hm");
    EXPECT_EQ(whole["message"]["tool_calls"], Json::parse(R"([{"function":{"name":"f","arguments":{"x":1}}}])"));
    EXPECT_EQ(whole["done_reason"], "stop");
    EXPECT_EQ(whole["eval_count"], 6);
  }
}

TEST(Ollama, AnErrorInTheMiddleOfAStreamIsALine) {
  HttpResponse inner;
  inner.stream = std::make_unique<Pieces>(
      "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"down\"}}\n\n", 1000);
  OllamaStream stream(std::move(inner),
                      {.model = "m", .now = [] { return TimePoint{}; }, .now_unix = [] { return 0.0; }});
  HttpResponse response;
  EXPECT_EQ(stream.poll(response), ResponseStream::State::Finished);
  EXPECT_TRUE(response.body.ends_with("{\"error\":\"down\"}\n")) << response.body;
}

}  // namespace
}  // namespace tinderbox
