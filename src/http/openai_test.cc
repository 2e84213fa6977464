#include "http/openai.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "base/random.h"
#include "http/echo_box_test.h"

namespace tinderbox {
namespace {

using nlohmann::json;

std::string user(const std::string& text) {
  return R"("messages":[{"role":"user","content":)" + json(text).dump() + "}]";
}

json error_of(const HttpResponse& r) { return json::parse(r.body).at("error"); }

// The JSON documents of a server-sent event stream; checks its form and its end.
std::vector<json> events_of(const std::string& body) {
  std::vector<json> events;
  bool done = false;
  std::size_t at = 0;
  while (at < body.size()) {
    const std::size_t end = body.find("\n\n", at);
    EXPECT_NE(end, std::string::npos) << "an unfinished event";
    if (end == std::string::npos) break;
    const std::string event = body.substr(at, end - at);
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_EQ(event.find('\n'), std::string::npos) << event;
    EXPECT_FALSE(done) << "something after [DONE]";
    if (event == "data: [DONE]") {
      done = true;
    } else {
      events.push_back(json::parse(event.substr(6)));
    }
    at = end + 2;
  }
  EXPECT_TRUE(done) << "no [DONE]: " << body;
  return events;
}

TEST(OpenAiApi, Models) {
  EchoBox box;
  const HttpResponse list = box.ask("GET", "/v1/models");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(list.content_type, "application/json");
  const json models = json::parse(list.body);
  EXPECT_EQ(models.at("object"), "list");
  ASSERT_EQ(models.at("data").size(), 1u);
  const json& model = models.at("data")[0];
  EXPECT_EQ(model.at("id"), "echo");
  EXPECT_EQ(model.at("object"), "model");
  EXPECT_EQ(model.at("created"), 1600000000);
  EXPECT_EQ(model.at("tinderbox"), json({{"weightless", false}, {"as", "dgx-spark"}}));
  EXPECT_EQ(json::parse(box.ask("GET", "/v1/models/echo").body), model);
  const HttpResponse unknown = box.ask("GET", "/v1/models/gpt-4");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(error_of(unknown).at("code"), "model_not_found");
}

TEST(OpenAiApi, SmallPages) {
  EchoBox box;
  EXPECT_EQ(box.ask("GET", "/health").body, R"({"status":"ok"})");
  EXPECT_EQ(json::parse(box.ask("GET", "/version").body).at("version"), "0.0.1");
  EXPECT_EQ(box.ask("GET", "/").body, "<!doctype html>");
  EXPECT_EQ(box.ask("GET", "/metrics").content_type, "text/plain; version=0.0.4; charset=utf-8");
}

TEST(OpenAiApi, UnknownPathsAndMethods) {
  EchoBox box;
  EXPECT_EQ(box.ask("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(box.ask("POST", "/v1/images", "{}").status, 404);
  EXPECT_EQ(box.ask("GET", "").status, 404);
  EXPECT_EQ(box.ask("GET", "/v1/chat/completions").status, 405);
  EXPECT_EQ(box.ask("DELETE", "/v1/models").status, 405);
  EXPECT_EQ(box.ask("POST", "/app.js").status, 405);
  EXPECT_EQ(box.ask("OPTIONS", "/v1/completions").status, 204);
  for (const char* path : {"/v1/nothing", "/v1/chat/completions"}) {
    EXPECT_FALSE(error_of(box.ask("GET", path)).at("message").get<std::string>().empty());
  }
}

TEST(OpenAiApi, ChatCompletion) {
  EchoBox box;
  const HttpResponse r = box.chat(user("Hello, \"W\xC3\xB6rld\"\n"));
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.content_type, "application/json");
  const json reply = json::parse(r.body);
  EXPECT_EQ(reply.at("object"), "chat.completion");
  EXPECT_EQ(reply.at("created"), 1700000000);
  EXPECT_EQ(reply.at("model"), "echo");
  EXPECT_TRUE(reply.at("id").get<std::string>().starts_with("chatcmpl-"));
  const json& choice = reply.at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("role"), "assistant");
  EXPECT_EQ(choice.at("message").at("content"), "Hello, \"W\xC3\xB6rld\"\n");
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_EQ(reply.at("usage"),
            json({{"prompt_tokens", 17},
                  {"completion_tokens", 17},
                  {"total_tokens", 34},
                  {"prompt_tokens_details", {{"cached_tokens", 0}}},
                  {"completion_tokens_details", {{"reasoning_tokens", 0}}}}));
}

TEST(OpenAiApi, TextCompletion) {
  EchoBox box;
  const json reply = json::parse(box.complete(R"("prompt":"0123456789abcdefgh")").body);
  EXPECT_EQ(reply.at("object"), "text_completion");
  EXPECT_EQ(reply.at("choices").at(0).at("text"), "0123456789abcdef") << "16 tokens unless asked";
  EXPECT_EQ(reply.at("choices").at(0).at("finish_reason"), "length");
  const json ids = json::parse(box.complete(R"("prompt":[65,66,257],"max_tokens":5)").body);
  EXPECT_EQ(ids.at("choices").at(0).at("text"), "AB");
  EXPECT_EQ(ids.at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(ids.at("usage").at("prompt_tokens"), 3);
}

TEST(OpenAiApi, MaxTokensCutsTheAnswer) {
  EchoBox box;
  const json reply = json::parse(box.chat(user("abcdef") + R"(,"max_completion_tokens":3)").body);
  EXPECT_EQ(reply.at("choices").at(0).at("message").at("content"), "abc");
  EXPECT_EQ(reply.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(reply.at("usage").at("completion_tokens"), 3);
}

TEST(OpenAiApi, StopStringAcrossTokens) {
  EchoBox box;
  for (const char* stream : {"", R"(,"stream":true)"}) {
    const HttpResponse r = box.chat(user("one STOP two") + R"(,"stop":["STOP"])" + stream);
    std::string text;
    std::string reason;
    if (*stream == '\0') {
      text = json::parse(r.body).at("choices").at(0).at("message").at("content");
      reason = json::parse(r.body).at("choices").at(0).at("finish_reason");
    } else {
      for (const json& e : events_of(r.body)) {
        text += e.at("choices").at(0).at("delta").value("content", "");
        if (e.at("choices").at(0).at("finish_reason").is_string())
          reason = e.at("choices").at(0).at("finish_reason");
      }
    }
    EXPECT_EQ(text, "one ");
    EXPECT_EQ(reason, "stop");
  }
  box.close();
  EXPECT_EQ(box.scheduler().kv().n_free(), box.scheduler().kv().n_blocks());
}

TEST(OpenAiApi, EndsBeforeTheStopStringIsWhole) {
  EchoBox box;
  const json reply = json::parse(box.chat(user("one STO") + R"(,"stop":"STOP")").body);
  EXPECT_EQ(reply.at("choices").at(0).at("message").at("content"), "one STO");
}

TEST(OpenAiApi, StreamHasTheDocumentedForm) {
  EchoBox box;
  const HttpResponse r =
      box.chat(user("h\xC3\xA9!") + R"(,"stream":true,"stream_options":{"include_usage":true})");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.content_type, "text/event-stream");
  const std::vector<json> events = events_of(r.body);
  ASSERT_EQ(events.size(), 6u) << r.body;  // role, h, é, !, finish, usage
  EXPECT_EQ(events[0].at("object"), "chat.completion.chunk");
  EXPECT_EQ(events[0].at("choices").at(0).at("delta"),
            json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(events[2].at("choices").at(0).at("delta"), json({{"content", "\xC3\xA9"}}))
      << "one character of two tokens";
  EXPECT_EQ(events[4].at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_TRUE(events[4].at("choices").at(0).at("delta").empty());
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(events[i].at("usage").is_null());
  EXPECT_TRUE(events[5].at("choices").empty());
  EXPECT_EQ(events[5].at("usage").at("completion_tokens"), 5);
  for (const json& e : events) EXPECT_EQ(e.at("id"), events[0].at("id"));
}

// Golden: the bytes of a stream as they go over the wire. UPDATE_GOLDEN=1 rewrites it; its laws are
// above and below.
TEST(OpenAiApi, StreamTranscript) {
  EchoBox box;
  std::string transcript = box.chat(user("Tinder\xF0\x9F\x94\xA5\n\"box\"") +
                                    R"(,"stream":true,"stream_options":{"include_usage":true})")
                               .body;
  transcript += box.complete(R"("prompt":"abc STOP","stop":" STOP","stream":true)").body;
  const std::filesystem::path path =
      std::filesystem::path(TINDERBOX_SOURCE_DIR) / "tests/golden/sse.txt";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path, std::ios::binary) << transcript;
  EXPECT_EQ(transcript, read_file(path));
}

// Law: whatever the answer's bytes, the deltas of the stream add up to the text of the whole reply.
TEST(OpenAiApiLaw, DeltasAddUpToTheWhole) {
  EchoBox box;
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    Random random(seed, Stream::Test);
    std::string ids;
    for (std::int64_t i = random.range(0, 30); i > 0; --i) {
      const bool ascii = random.uniform() < 0.5;
      ids += std::to_string(ascii ? random.range(97, 100) : random.range(0, 255)) + ",";
    }
    const std::string fields = "\"prompt\":[" + ids +
                               "257],\"max_tokens\":" + std::to_string(random.range(1, 40)) +
                               (seed % 2 ? R"(,"stop":["ab","dc"])" : "");
    const json whole = json::parse(box.complete(fields).body);
    std::string text;
    std::string reason;
    json usage;
    for (const json& e : events_of(
             box.complete(fields + R"(,"stream":true,"stream_options":{"include_usage":true})")
                 .body)) {
      if (!e.at("usage").is_null()) usage = e.at("usage");
      for (const json& c : e.at("choices")) {
        text += c.at("text").get<std::string>();
        if (c.at("finish_reason").is_string()) reason = c.at("finish_reason");
      }
    }
    EXPECT_EQ(json(text), whole.at("choices").at(0).at("text")) << "seed " << seed;
    EXPECT_EQ(json(reason), whole.at("choices").at(0).at("finish_reason")) << "seed " << seed;
    EXPECT_EQ(usage, whole.at("usage")) << "seed " << seed;
  }
}

TEST(OpenAiApi, RefusesWithTheRightStatus) {
  EchoBox box(
      {.limits = {.step_tokens_max = 64, .sequences_max = 4, .queue_max = 8, .context_max = 64},
       .n_blocks = 3});
  const auto check = [](const HttpResponse& r, int status, const json& param, const json& code) {
    EXPECT_EQ(r.status, status) << r.body;
    EXPECT_EQ(error_of(r).at("param"), param) << r.body;
    EXPECT_EQ(error_of(r).at("code"), code) << r.body;
  };
  check(box.ask("POST", "/v1/chat/completions", "{"), 400, nullptr, "invalid_json");
  check(box.ask("POST", "/v1/completions", R"({"model":"gpt-4","prompt":"x"})"), 404, "model",
        "model_not_found");
  check(box.chat(user(std::string(63, 'x'))), 400, "messages", "context_length_exceeded");
  check(box.complete(R"("prompt":")" + std::string(100000, 'x') + "\""), 400, "prompt",
        "context_length_exceeded");
  check(box.chat(user("x") + R"(,"max_tokens":65)"), 400, "max_tokens", "invalid_value");
  check(box.chat(user("x") + R"(,"max_completion_tokens":9223372036854775807)"), 400,
        "max_completion_tokens", "invalid_value");
  check(box.complete(R"("prompt":[300])"), 400, nullptr, nullptr);
  check(box.chat(user("refuse me")), 400, nullptr, nullptr);
  // 62 + 2 tokens need four blocks of 16, and there are three.
  check(box.chat(user(std::string(60, 'x'))), 400, nullptr, "kv_memory_exceeded");
  EXPECT_EQ(box.chat(user("still serving") + R"(,"max_tokens":5)").status, 200);
}

TEST(OpenAiApi, AFullQueueAnswers429) {
  EchoBox box(
      {.limits = {.step_tokens_max = 64, .sequences_max = 1, .queue_max = 1, .context_max = 256},
       .n_blocks = 64});
  box.executor().hold();
  const auto ready = std::make_shared<std::counting_semaphore<>>(0);
  const auto post = [&] {
    return box.api().handle({.method = "POST",
                             .path = "/v1/completions",
                             .query = {},
                             .headers = {},
                             .body = R"({"model":"echo","prompt":"endless","max_tokens":200})"},
                            [ready] { ready->release(); });
  };
  std::vector<HttpResponse> responses;
  for (int i = 0; i < 4; ++i) responses.push_back(post());
  const HttpResponse* refused = nullptr;
  box.executor().permit(2);
  while (!refused) {
    ready->acquire();
    for (HttpResponse& r : responses) {
      if (r.stream->poll(r) == ResponseStream::State::Finished) refused = &r;
    }
  }
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(error_of(*refused).at("code"), "queue_full");
  ASSERT_EQ(refused->headers.size(), 1u);
  EXPECT_EQ(refused->headers[0].name, "retry-after");
}

TEST(OpenAiApi, DroppingAResponseCancelsAndFreesKv) {
  EchoBox box;
  box.executor().hold();
  const auto ready = std::make_shared<std::counting_semaphore<>>(0);
  {
    HttpResponse r = box.api().handle(
        {.method = "POST",
         .path = "/v1/completions",
         .query = {},
         .headers = {},
         .body = R"({"model":"echo","prompt":"endless","max_tokens":10000,"stream":true})"},
        [ready] { ready->release(); });
    box.executor().permit(3);
    while (r.stream->poll(r) != ResponseStream::State::Open) ready->acquire();
    EXPECT_EQ(r.status, 200);
  }  // the client is gone
  while (n_finished(box.metrics().text(), "abort") != 1) {
    box.executor().permit(1);
    ready->acquire();
  }
  const std::string text = box.metrics().text();
  EXPECT_EQ(metric(text, "vllm:num_requests_running{"), 0);
  EXPECT_EQ(metric(text, "vllm:kv_cache_usage_perc{"), 0);
  box.close();
  EXPECT_EQ(box.scheduler().kv().n_free(), box.scheduler().kv().n_blocks());
  box.scheduler().verify();
}

TEST(OpenAiApi, SeedsAreDrawnUnlessGiven) {
  const auto seeds = [](std::uint64_t api_seed, const std::string& fields) {
    Mailbox mailbox;
    const ByteCodec codec;
    const Roster roster({{.info = {.id = "echo", .context_max = 64}, .mailbox = &mailbox, .codec = &codec}});
    OpenAiApi api(roster, {.version = "0", .seed = api_seed, .now_unix = [] { return std::int64_t{0}; }});
    RouteTable routes;
    api.add_to(routes);
    std::vector<std::uint64_t> out;
    for (int i = 0; i < 2; ++i) {
      routes.handle({.method = "POST",
                  .path = "/v1/completions",
                  .query = {},
                  .headers = {},
                  .body = R"({"model":"echo","prompt":"x")" + fields + "}"});
    }
    for (const Command& c : mailbox.take({})) {
      if (const auto* r = std::get_if<Request>(&c)) out.push_back(r->sampling.seed);
    }
    return out;
  };
  const auto drawn = seeds(1, "");
  ASSERT_EQ(drawn.size(), 2u);
  EXPECT_NE(drawn[0], drawn[1]);
  EXPECT_EQ(drawn, seeds(1, ""));
  EXPECT_NE(drawn, seeds(2, ""));
  EXPECT_EQ(seeds(1, R"(,"seed":42)"), (std::vector<std::uint64_t>{42, 42}));
}

}  // namespace
}  // namespace tinderbox
