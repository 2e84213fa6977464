#include "http/gate.h"

#include <cmath>

#include <gtest/gtest.h>

#include "http/box_keys.h"
#include "http/echo_box_test.h"

namespace tinderbox {
namespace {

ApiKey key(const std::string& secret, const std::string& name, bool manager = false) {
  ApiKey row = api_key_of(secret, name);
  row.manager = manager;
  return row;
}

// A gate before a small server whose clocks stand still until they are moved.
class Guarding {
 public:
  explicit Guarding(std::vector<ApiKey> keys, GateOptions options = {},
                    KeyBook::Needed needed = KeyBook::Needed::IfAny)
      : book_(nullptr, std::move(keys), needed) {
    options.now = [this] { return now_; };
    options.now_unix = [this] { return 1'700'000'000 + since_start(now_).value(); };
    options.ended = [this](const RequestRecord& record) { ended_.push_back(record); };
    gate_.emplace(box_.api(), book_, std::move(options));
    box_.api().add(
        {.method = "POST", .path = "/api/chat", .answer = tells_caller, .errors = RouteTable::Errors::Ollama});
    box_.api().add({.method = "GET", .path = "/who", .answer = tells_caller});
    box_.api().add({.method = "POST", .path = "/box/faults", .answer = tells_caller, .manages = true});
  }
  HttpResponse ask(std::string method, std::string path, std::vector<HttpHeader> headers = {}, std::string body = {}) {
    HttpRequest request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.headers = std::move(headers);
    request.body = std::move(body);
    request.request_id = "r-1";
    const auto ready = std::make_shared<std::counting_semaphore<>>(0);
    HttpResponse response = gate_->handle(request, [ready] { ready->release(); });
    if (!response.stream) return response;
    while (response.stream->poll(response) != ResponseStream::State::Finished) ready->acquire();
    response.stream.reset();
    return response;
  }
  Gate& gate() { return *gate_; }
  KeyBook& book() { return book_; }
  EchoBox& box() { return box_; }
  void pass(Seconds time) { now_ += to_duration(time); }
  const std::vector<RequestRecord>& ended() const { return ended_; }

 private:
  static HttpResponse tells_caller(const Call& call) {
    HttpResponse response;
    response.body = call.caller.name + (call.caller.manages ? " manages" : "");
    return response;
  }
  EchoBox box_;
  KeyBook book_;
  TimePoint now_{};
  std::vector<RequestRecord> ended_;
  std::optional<Gate> gate_;
};

std::string header(const HttpResponse& response, std::string_view name) {
  for (const HttpHeader& h : response.headers) {
    if (h.name == name) return h.value;
  }
  return "";
}

const HttpHeader kAnn = {"authorization", "Bearer tb-ann"};
const std::string kChat = R"({"model":"echo","messages":[{"role":"user","content":"abc"}]})";

TEST(Gate, WithoutKeysEverybodyMayDoEverything) {
  Guarding g({});
  EXPECT_EQ(g.ask("GET", "/who").body, " manages");
  EXPECT_EQ(g.ask("GET", "/who", {kAnn}).body, " manages");  // clients that must send some key
  EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {}, kChat).status, 200);
}

TEST(Gate, WithKeysEverythingButWhatIsOpenNeedsOne) {
  Guarding g({key("tb-ann", "ann")});
  for (const auto& [method, path] : {std::pair{"GET", "/v1/models"},
                                     {"POST", "/v1/chat/completions"},
                                     {"GET", "/metrics"},
                                     {"GET", "/version"},
                                     {"GET", "/who"},
                                     {"DELETE", "/v1/models"},
                                     {"POST", "/box/faults"}}) {
    const HttpResponse refused = g.ask(method, path, {}, kChat);
    EXPECT_EQ(refused.status, 401) << path;
    EXPECT_NE(refused.body.find("missing_api_key"), std::string::npos);
    EXPECT_EQ(header(refused, "www-authenticate"), R"(Bearer realm="tinderbox")");
  }
  for (const char* path : {"/health", "/", "/index.html", "/app.js"}) {
    EXPECT_EQ(g.ask("GET", path).status, 200) << path;
    EXPECT_EQ(g.ask("HEAD", path).status, 200) << path;
  }
  EXPECT_EQ(g.ask("GET", "/nothing").status, 404);
  EXPECT_EQ(g.ask("GET", "/who", {kAnn}).body, "ann");
  EXPECT_EQ(g.ask("GET", "/who", {{"authorization", "bearer  tb-ann "}}).body, "ann");
  EXPECT_EQ(g.ask("GET", "/who", {{"x-api-key", "tb-ann"}}).body, "ann");
}

TEST(Gate, WrongKeysAreRefusedInTheFormOfThePath) {
  Guarding g({key("tb-ann", "ann")});
  for (const HttpHeader& wrong : {HttpHeader{"authorization", "Bearer tb-anna"},
                                  {"authorization", "Bearer tb-an"},
                                  {"authorization", "Bearer TB-ANN"},
                                  {"x-api-key", "nonsense"}}) {
    const HttpResponse refused = g.ask("GET", "/v1/models", {wrong});
    EXPECT_EQ(refused.status, 401);
    EXPECT_NE(refused.body.find(R"("code":"invalid_api_key")"), std::string::npos);
    EXPECT_NE(header(refused, "www-authenticate").find("invalid_token"), std::string::npos);
    EXPECT_EQ(refused.body.find(wrong.value.substr(wrong.value.find(' ') + 1)), std::string::npos) << "shown again";
  }
  EXPECT_EQ(g.ask("GET", "/v1/models", {{"authorization", "Basic dGItYW5u"}}).status, 401);
  EXPECT_TRUE(g.ask("POST", "/api/chat").body.starts_with(R"({"error":")"));
}

TEST(Gate, OnlyManagersChangeTheBox) {
  Guarding g({key("tb-ann", "ann"), key("tb-bob", "bob", true)});
  EXPECT_EQ(g.ask("POST", "/box/faults", {kAnn}).status, 403);
  EXPECT_EQ(g.ask("POST", "/box/faults", {{"authorization", "Bearer tb-bob"}}).body, "bob manages");
}

TEST(Gate, KeysCanBeNeededBeforeThereAreAnyOrWhileTheyCannotBeRead) {
  Guarding none({}, {}, KeyBook::Needed::Always);
  EXPECT_EQ(none.ask("GET", "/who", {kAnn}).status, 401);
  EXPECT_EQ(none.ask("GET", "/health").status, 200);
  Guarding off({key("tb-ann", "ann")}, {}, KeyBook::Needed::Never);
  EXPECT_EQ(off.ask("GET", "/who").body, " manages");
  Guarding damaged({}, {.keys_unreadable = "state.db: is damaged"});
  EXPECT_EQ(damaged.ask("GET", "/who", {kAnn}).status, 503);
  EXPECT_NE(damaged.ask("GET", "/who").body.find("is damaged"), std::string::npos);
  Guarding given({key("tb-ann", "ann")}, {.keys_unreadable = "state.db: is damaged"});
  EXPECT_EQ(given.ask("GET", "/who", {kAnn}).status, 200);
}

TEST(Gate, RequestsAreLimitedAndTheLimitsAreTold) {
  ApiKey row = key("tb-ann", "ann");
  row.requests_per_min = 2;
  Guarding g({row});
  const auto chat = [&] { return g.ask("POST", "/v1/chat/completions", {kAnn}, kChat); };
  HttpResponse response = chat();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(header(response, "x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(header(response, "x-ratelimit-reset-requests"), "30s");
  EXPECT_EQ(header(response, "x-ratelimit-limit-tokens"), "");
  EXPECT_EQ(chat().status, 200);
  response = chat();
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(header(response, "retry-after"), "30");
  EXPECT_EQ(header(response, "x-ratelimit-reset-requests"), "1m0s");
  EXPECT_NE(response.body.find("rate_limit_exceeded"), std::string::npos);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(g.ask("GET", "/who", {kAnn}).status, 200) << "looking is free";
  g.pass(Seconds(30));
  EXPECT_EQ(chat().status, 200);
  EXPECT_EQ(chat().status, 429);
}

TEST(Gate, TokensAreLimitedOnceTheyAreCounted) {
  ApiKey row = key("tb-ann", "ann");
  row.tokens_per_min = 6;
  Guarding g({row, key("tb-bob", "bob")});
  HttpResponse response = g.ask("POST", "/v1/chat/completions", {kAnn}, kChat);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "x-ratelimit-remaining-tokens"), "6");
  // "abc" and a mark in, as many and an end out: 8 of 6.
  response = g.ask("POST", "/v1/chat/completions", {kAnn}, kChat);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(header(response, "x-ratelimit-remaining-tokens"), "0");
  EXPECT_EQ(header(response, "retry-after"), "30");
  EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {{"x-api-key", "tb-bob"}}, kChat).status, 200) << "another key";
  g.pass(Seconds(30));
  EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {kAnn}, kChat).status, 200);
}

TEST(Gate, TellsOfEachRequestWhatItTook) {
  Guarding g({key("tb-ann", "ann")});
  EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {kAnn}, kChat).status, 200);
  EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {kAnn}, "{").status, 400);
  EXPECT_EQ(g.ask("GET", "/who").status, 401);
  ASSERT_EQ(g.ended().size(), 3u);
  const RequestRecord& r = g.ended()[0];
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.method + " " + r.path, "POST /v1/chat/completions");
  EXPECT_EQ(r.model, "echo");
  EXPECT_EQ(r.prompt_tokens, 4);
  EXPECT_EQ(r.generated_tokens, 3 + 1);
  EXPECT_EQ(r.key_name, "ann");
  EXPECT_EQ(r.id, "r-1");
  EXPECT_FALSE(std::isnan(r.ttft_s));
  EXPECT_TRUE(r.metered);
  EXPECT_EQ(g.ended()[1].status, 400);
  EXPECT_EQ(g.ended()[1].prompt_tokens, 0);
  EXPECT_EQ(g.ended()[2].status, 401);
  EXPECT_EQ(g.ended()[2].key_name, "");
  const ApiKey& used = g.book().entries()[0].row;
  EXPECT_EQ(used.requests, 2);
  EXPECT_EQ(used.prompt_tokens, 4);
  EXPECT_EQ(used.generated_tokens, 4);
  EXPECT_EQ(used.last_used_unix, 1'700'000'000);
}

TEST(Gate, AClientThatGoesAwayIsCountedAsFarAsItCame) {
  Guarding g({key("tb-ann", "ann")});
  g.box().executor().hold();
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = {kAnn};
  request.body = R"({"model":"echo","prompt":"endless","stream":true,"max_tokens":1000})";
  const auto ready = std::make_shared<std::counting_semaphore<>>(0);
  {
    HttpResponse response = g.gate().handle(request, [ready] { ready->release(); });
    ASSERT_TRUE(response.stream);
    g.box().executor().permit(1);
    ready->acquire();
    EXPECT_EQ(response.stream->poll(response), ResponseStream::State::Open);
    EXPECT_TRUE(g.ended().empty());
  }
  ASSERT_EQ(g.ended().size(), 1u);
  EXPECT_EQ(g.ended()[0].status, 499);
  EXPECT_EQ(g.ended()[0].generated_tokens, 1);
  EXPECT_EQ(g.book().entries()[0].row.generated_tokens, 1);
}

TEST(Gate, ANameThatAStrangerPointsAtThisComputerIsOfNoUse) {
  Guarding g({});
  for (const char* host :
       {"localhost:8080", "LOCALHOST", "127.0.0.1:8080", "[::1]:8080", "127.8.9.10", "box.localhost:1"}) {
    EXPECT_EQ(g.ask("GET", "/who", {{"host", host}}).status, 200) << host;
  }
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
                           "192.168.1.5:8080", "127.0.0.256", "[::2]"}) {
    const HttpResponse refused = g.ask("GET", "/who", {{"host", host}});
    EXPECT_EQ(refused.status, 403) << host;
    EXPECT_NE(refused.body.find("host_not_allowed"), std::string::npos);
    EXPECT_EQ(g.ask("GET", "/", {{"host", host}}).status, 403) << host;
  }
  Guarding named({}, {.allowed_hosts = {"Box.Example"}});
  EXPECT_EQ(named.ask("GET", "/who", {{"host", "box.example:8080"}}).status, 200);
  EXPECT_EQ(named.ask("GET", "/who", {{"host", "evil.example"}}).status, 403);
  Guarding open({}, {.loopback = false});
  EXPECT_EQ(open.ask("GET", "/who", {{"host", "192.168.1.5:8080"}}).status, 200);
}

TEST(Gate, APageOfAnotherOriginCannotDriveIt) {
  Guarding g({});
  const HttpHeader host = {"host", "localhost:8080"};
  for (const char* origin : {"http://evil.example", "null", "http://localhost:3000", "https://localhost:8081",
                             "file://", "http://localhost:8080.evil.example"}) {
    const HttpHeader from = {"origin", origin};
    EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {host, from}, kChat).status, 403) << origin;
    EXPECT_EQ(g.ask("GET", "/who", {host, from}).status, 403) << origin;
    EXPECT_EQ(g.ask("GET", "/index.html", {host, from}).status, 200) << "files hold no secrets";
    const HttpResponse preflight = g.ask("OPTIONS", "/who", {host, from, {"access-control-request-method", "POST"}});
    EXPECT_EQ(preflight.status, 403);
    EXPECT_EQ(header(preflight, "access-control-allow-origin"), "");
  }
  EXPECT_EQ(g.ask("POST", "/box/faults", {host, {"sec-fetch-site", "cross-site"}}).status, 403);
  EXPECT_EQ(g.ask("POST", "/v1/chat/completions", {host, {"origin", "http://localhost:8080"}}, kChat).status, 200);
  EXPECT_EQ(g.ask("GET", "/who", {{"host", "localhost"}, {"origin", "http://localhost:80"}}).status, 200);
}

TEST(Gate, OriginsThatAreAllowedMayUseIt) {
  Guarding g({key("tb-ann", "ann")}, {.cors_origins = {"https://app.example"}});
  const HttpHeader from = {"origin", "https://app.example"};
  HttpResponse response = g.ask("GET", "/who", {from, kAnn});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(header(response, "vary"), "origin");
  response = g.ask("GET", "/who", {from});
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(header(response, "access-control-allow-origin"), "https://app.example") << "else the page cannot read why";
  response = g.ask("POST", "/v1/chat/completions", {from, kAnn}, kChat);
  EXPECT_EQ(header(response, "access-control-allow-origin"), "https://app.example") << "streams, too";
  response =
      g.ask("OPTIONS", "/v1/chat/completions",
            {from, {"access-control-request-method", "POST"}, {"access-control-request-headers", "x-stainless-os"}});
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(header(response, "access-control-allow-headers"), "x-stainless-os");
  EXPECT_EQ(header(response, "access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(g.ask("GET", "/who", {{"origin", "https://other.example"}, kAnn}).status, 403);
  Guarding any({}, {.cors_origins = {"*"}});
  response = any.ask("GET", "/who", {{"origin", "https://other.example"}});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "access-control-allow-origin"), "*");
}

}  // namespace
}  // namespace tinderbox
