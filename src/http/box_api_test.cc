#include "http/box_api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <semaphore>
#include <thread>

#include "base/error.h"
#include "http/box_state.h"
#include "http/echo_box_test.h"
#include "http/state_document.h"

namespace tinderbox {
namespace {

using nlohmann::json;

// Two models of which one fits at a time, behind the routes.
class TwoModels {
 public:
  TwoModels()
      : box_(members(), {.bytes = 10}, clock_),
        roster_({{.info = {.id = "a", .context_max = 100}, .mailbox = &box_.mailbox(0), .codec = &codec_},
                 {.info = {.id = "b", .context_max = 100}, .mailbox = &box_.mailbox(1), .codec = &codec_}}),
        api_(box_, nullptr, roster_, state_,
             {.faults = {},
              .catalogue = "{}",
              .ask = [this](std::string verb, std::vector<std::string> arguments, const Deferred::Give& give) {
                asked_ = std::move(arguments);
                give({.body = "\"" + verb + "\""});
              }}) {
    box_.load_first();
    api_.add_to(routes_);
    thread_ = std::thread([this] { box_.run(); });
  }
  ~TwoModels() {
    box_.close();
    thread_.join();
  }

  HttpResponse ask(std::string method, std::string path, std::string body = {}) {
    const auto ready = std::make_shared<std::counting_semaphore<>>(0);
    HttpResponse response = routes_.handle(
        {.method = std::move(method), .path = std::move(path), .query = {}, .headers = {}, .body = std::move(body)},
        [ready] { ready->release(); });
    if (!response.stream) return response;
    while (response.stream->poll(response) == ResponseStream::State::Waiting) ready->acquire();
    return response;
  }
  // What the box thread says of itself, published as the ticker does.
  void tick(const std::vector<InFlight>& requests = {}) {
    std::counting_semaphore<> done{0};
    box_.post([&] {
      BoxMoment state;
      state.box = box_.status();
      state.box.models[0].requests = requests;
      state_.publish(std::make_shared<const std::string>(state_json({.version = "0"}, roster_, state, {})));
      done.release();
    });
    done.acquire();
  }
  std::string state_of(std::size_t model) {
    tick();
    return json::parse(ask("GET", "/box/state").body).at("models").at(model).at("state");
  }
  RouteTable& routes() { return routes_; }
  std::vector<std::string> asked_;

 private:
  static std::vector<ServedMember> members() {
    std::vector<ServedMember> out;
    for (const char* id : {"a", "b"}) {
      out.push_back({.id = id, .scheduler = Scheduler({}, KvPool(10, 16)), .memory = {.bytes = 10}, .load = [] {
                       auto echo = std::make_shared<EchoExecutor>();
                       return LoadedExecutor{.owner = echo, .executor = echo.get()};
                     }});
    }
    return out;
  }

  VirtualClock clock_;
  ByteCodec codec_;
  ServingBox box_;
  Roster roster_;
  Broadcast state_;
  BoxApi api_;
  RouteTable routes_;
  std::thread thread_;
};

std::string code_of(const HttpResponse& response) {
  return json::parse(response.body).at("error").at("code").get<std::string>();
}

TEST(BoxApi, LoadsUnloadsAndPins) {
  TwoModels two;
  EXPECT_EQ(two.ask("GET", "/box/state").status, 503) << "nothing is known yet";
  EXPECT_EQ(two.state_of(0), "ready");
  EXPECT_EQ(two.state_of(1), "absent");
  EXPECT_EQ(two.ask("POST", "/box/models/load", R"({"model":"b"})").status, 200);
  while (two.state_of(1) != "ready") {
  }
  EXPECT_EQ(two.state_of(0), "absent");
  const HttpResponse refused = two.ask("POST", "/box/models/pin", R"({"model":"b"})");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(code_of(refused), "no_room");
  EXPECT_EQ(two.ask("POST", "/box/models/unload", R"({"model":"b"})").status, 200);
  while (two.state_of(1) != "absent") {  // closed until what it worked on is over
  }
  EXPECT_EQ(json::parse(two.ask("GET", "/box/models").body).at("models").size(), 2u);
}

TEST(BoxApi, BadInput) {
  TwoModels two;
  EXPECT_EQ(two.ask("POST", "/box/models/load", "{").status, 400);
  EXPECT_EQ(two.ask("POST", "/box/models/load", "{}").status, 400);
  EXPECT_EQ(two.ask("POST", "/box/models/load", R"({"model":"c"})").status, 404);
  EXPECT_EQ(two.ask("POST", "/box/models/pin", R"({"model":"a","pinned":1})").status, 400);
  EXPECT_EQ(two.ask("GET", "/box/models/load").status, 405);
  EXPECT_EQ(two.ask("POST", "/box/faults", R"({"name":"fan-failure"})").status, 404) << "there is no body";
  EXPECT_EQ(two.ask("DELETE", "/box/faults/x").status, 404);
}

TEST(BoxApi, TheStateIsReadWithRequestsInFlight) {
  TwoModels two;
  two.tick({{.seq = 7, .n_prompt = 30, .n_generated = 4, .running = true}});
  const BoxState state = parse_box_state(two.ask("GET", "/box/state").body);
  ASSERT_EQ(state.requests.size(), 1U);
  EXPECT_EQ(state.requests[0].id, "7");
  EXPECT_EQ(state.requests[0].generated_tokens, 4);
}

TEST(BoxApi, EventsFollowTheState) {
  TwoModels two;
  two.tick();
  int woken = 0;
  HttpResponse response = two.routes().handle(
      {.method = "GET", .path = "/box/events", .query = {}, .headers = {}, .body = {}}, [&] { ++woken; });
  ASSERT_TRUE(response.stream);
  EXPECT_EQ(response.stream->poll(response), ResponseStream::State::Open);
  EXPECT_EQ(response.content_type, "text/event-stream");
  EXPECT_TRUE(response.body.starts_with("event: state\ndata: {")) << response.body;
  EXPECT_TRUE(response.body.ends_with("}\n\n"));
  response.body.clear();
  response.stream->poll(response);
  EXPECT_EQ(response.body, "") << "nothing new";
  two.tick();
  EXPECT_EQ(woken, 1);
  response.stream->poll(response);
  EXPECT_FALSE(response.body.empty());
  response.stream.reset();
  two.tick();
  EXPECT_EQ(woken, 1) << "nobody follows any more";
}

TEST(BoxApi, QuestionsBecomeArguments) {
  TwoModels two;
  const HttpResponse reply =
      two.ask("POST", "/box/what-if/predict",
              R"({"model":"qwen3-8b","prompt":512,"sustained":true,"clock_cap":"2200 MHz","weights":null})");
  EXPECT_EQ(reply.body, "\"predict\"");
  EXPECT_EQ(two.asked_,
            (std::vector<std::string>{"--clock-cap=2200 MHz", "--model=qwen3-8b", "--prompt=512", "--sustained"}));
  EXPECT_EQ(verb_arguments("compare", R"({"machines":["dgx-spark","rtx-5090"]})"),
            (std::vector<std::string>{"--machines=dgx-spark,rtx-5090"}));
  for (const char* bad :
       {R"({"model":"/etc/passwd"})", R"({"model":"../x"})", R"({"model":"--json"})", R"({"csv":"x"})",
        R"({"log":"x"})", R"({"model":""})", R"({"model":{}})", R"({"sustained":1})", "[]", "{"}) {
    EXPECT_THROW(verb_arguments("predict", bad), RequestError) << bad;
  }
  EXPECT_EQ(two.ask("POST", "/box/what-if/serve", "{}").status, 404);
}

}  // namespace
}  // namespace tinderbox
