#include "http/box_keys.h"

#include <filesystem>
#include <semaphore>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tinderbox {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class Keys {
 public:
  explicit Keys(StateStore* store = nullptr, std::vector<ApiKey> fixed = {}) : book(store, std::move(fixed)) {
    add_key_routes(routes, book,
                   {.entropy =
                        [this](std::span<std::uint8_t> bytes) {
                          for (std::uint8_t& byte : bytes) byte = next++;
                        },
                    .now_unix = [] { return std::int64_t{1'700'000'000}; }});
  }
  std::pair<int, Json> ask(std::string method, std::string path, std::string body = {}) {
    HttpRequest request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.body = std::move(body);
    const auto ready = std::make_shared<std::counting_semaphore<>>(0);
    HttpResponse response = routes.handle(request, [ready] { ready->release(); });
    if (response.stream) {
      while (response.stream->poll(response) != ResponseStream::State::Finished) ready->acquire();
    }
    return {response.status, Json::parse(response.body)};
  }
  KeyBook book;
  RouteTable routes;
  std::uint8_t next = 7;
};

TEST(BoxKeys, AreMadeShownOnceListedAndRemoved) {
  Keys keys;
  EXPECT_EQ(keys.ask("GET", "/box/keys").second, Json::parse(R"({"keys":[],"required":false})"));
  const auto [status, made] = keys.ask("POST", "/box/keys", R"({"name":"ann","priority":-1,"requests_per_min":60})");
  ASSERT_EQ(status, 200);
  const std::string secret = made["key"], id = made["id"];
  EXPECT_TRUE(secret.starts_with("tb-"));
  EXPECT_EQ(made["manager"], true) << "the first one";
  ASSERT_NE(keys.book.find(secret), nullptr);
  EXPECT_EQ(keys.book.find(secret)->row.priority, -1);
  const Json list = keys.ask("GET", "/box/keys").second;
  EXPECT_EQ(list["required"], true);
  EXPECT_EQ(list["keys"][0]["id"], id);
  EXPECT_EQ(list["keys"][0]["requests_per_min"], 60);
  EXPECT_EQ(list["keys"][0]["tokens_per_min"], nullptr);
  EXPECT_EQ(list.dump().find(secret), std::string::npos);
  EXPECT_EQ(keys.ask("POST", "/box/keys", R"({"name":"bob"})").second["manager"], false);
  EXPECT_EQ(keys.ask("DELETE", "/box/keys/" + id), (std::pair{200, Json{{"id", id}, {"deleted", true}}}));
  EXPECT_EQ(keys.book.find(secret), nullptr);
  EXPECT_EQ(keys.ask("DELETE", "/box/keys/" + id).first, 404);
}

TEST(BoxKeys, BadOnesAreRefusedByName) {
  Keys keys;
  for (const auto& [body, param] : {std::pair{R"({})", "name"},
                                    {R"({"name":5})", "name"},
                                    {R"({"name":""})", "name"},
                                    {R"({"name":"a","priority":"high"})", "priority"},
                                    {R"({"name":"a","priority":99999999999})", "priority"},
                                    {R"({"name":"a","requests_per_min":0})", "requests_per_min"},
                                    {R"({"name":"a","tokens_per_min":1.5})", "tokens_per_min"},
                                    {R"({"name":"a","tokens_per_min":18446744073709551615})", "tokens_per_min"},
                                    {R"({"name":"a","manager":1})", "manager"}}) {
    const auto [status, answer] = keys.ask("POST", "/box/keys", body);
    EXPECT_EQ(status, 400) << body;
    EXPECT_EQ(answer["error"]["param"], param) << answer;
  }
  EXPECT_EQ(keys.ask("POST", "/box/keys", "[").first, 400);
  EXPECT_EQ(keys.ask("POST", "/box/keys", "").first, 400);
  EXPECT_TRUE(keys.book.entries().empty());
}

TEST(BoxKeys, ThoseOfTheCommandLineStay) {
  Keys keys(nullptr, {api_key_of("tb-given", "serve")});
  const std::string id = keys.book.entries()[0].row.id;
  EXPECT_EQ(keys.ask("DELETE", "/box/keys/" + id).first, 400);
  EXPECT_NE(keys.book.find("tb-given"), nullptr);
}

TEST(BoxKeys, AreOnDiskOnceTheAnswerIsThereAndStayUsed) {
  std::string folder = (fs::temp_directory_path() / "tinderbox-keys-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::string secret, id;
  {
    StateStore store(std::make_unique<StateFile>(folder), folder, [] { return 1.7e9; }, [](std::string_view) {});
    Keys keys(&store);
    const Json made = keys.ask("POST", "/box/keys", R"({"name":"ann"})").second;
    secret = made["key"];
    id = made["id"];
    EXPECT_EQ(StateFile(folder).keys().size(), 1u);
    RequestRecord record{.at_unix = 1.7e9, .key_id = id, .prompt_tokens = 3, .generated_tokens = 4};
    record.metered = true;
    keys.book.count(record, {});
    store.add(record);
    EXPECT_EQ(keys.ask("POST", "/box/keys", R"({"name":"bob"})").first, 200);
    EXPECT_EQ(keys.book.find(secret)->row.requests, 1) << "not forgotten when the table comes anew";
  }
  {
    StateStore store(std::make_unique<StateFile>(folder), folder, [] { return 1.7e9; }, [](std::string_view) {});
    Keys keys(&store);
    ASSERT_NE(keys.book.find(secret), nullptr);
    EXPECT_EQ(keys.book.find(secret)->row.generated_tokens, 4);
    EXPECT_EQ(keys.ask("DELETE", "/box/keys/" + id).first, 200);
    EXPECT_EQ(keys.book.find(secret), nullptr);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace tinderbox
