#include "http/route_table.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace tinderbox {
namespace {

using nlohmann::json;

HttpResponse text(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

RouteTable small() {
  RouteTable routes;
  routes.add({.method = "GET", .path = "/a", .answer = [](const Call&) { return text("list"); }});
  routes.add({.method = "POST", .path = "/a", .answer = [](const Call&) { return text("made"); }, .manages = true});
  routes.add({.method = "GET", .path = "/a/*", .answer = [](const Call& call) { return text(call.rest); }});
  routes.add({.method = "POST", .path = "/api/chat", .answer = [](const Call&) -> HttpResponse {
                throw_invalid("no such thing");
              }, .errors = RouteTable::Errors::Ollama});
  return routes;
}

HttpResponse ask(const RouteTable& routes, std::string method, std::string path, const Caller& caller = {}) {
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  return routes.handle(request, {}, caller);
}

std::string header(const HttpResponse& response, std::string_view name) {
  for (const HttpHeader& h : response.headers) {
    if (h.name == name) return h.value;
  }
  return {};
}

TEST(RouteTable, FindsByMethodAndPath) {
  const RouteTable routes = small();
  EXPECT_EQ(ask(routes, "GET", "/a").body, "list");
  EXPECT_EQ(ask(routes, "HEAD", "/a").body, "list");
  EXPECT_EQ(ask(routes, "POST", "/a").body, "made");
  EXPECT_EQ(ask(routes, "GET", "/a/b/c").body, "b/c");
  EXPECT_EQ(ask(routes, "GET", "/a/").status, 404) << "the rest is not empty";
}

TEST(RouteTable, SaysWhatIsPossible) {
  const RouteTable routes = small();
  EXPECT_EQ(header(ask(routes, "DELETE", std::string("/a/\0x", 5)), "allow"), "GET, HEAD");
  EXPECT_EQ(header(ask(routes, std::string("\0", 1), "/a"), "allow"), "GET, HEAD, POST");
  const HttpResponse wrong = ask(routes, "DELETE", "/a");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(header(wrong, "allow"), "GET, HEAD, POST");
  const HttpResponse options = ask(routes, "OPTIONS", "/a");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(header(options, "allow"), "GET, HEAD, POST, OPTIONS");
  const HttpResponse none = ask(routes, "GET", "/b");
  EXPECT_EQ(none.status, 404);
  EXPECT_NE(none.body.find("/api/chat"), std::string::npos) << "names what there is: " << none.body;
}

TEST(RouteTable, ErrorsHaveTheFormOfTheirClients) {
  const RouteTable routes = small();
  EXPECT_EQ(json::parse(ask(routes, "POST", "/api/chat").body), json({{"error", "no such thing"}}));
  EXPECT_EQ(json::parse(ask(routes, "GET", "/api/chat").body).at("error").is_string(), true);
  EXPECT_EQ(json::parse(ask(routes, "DELETE", "/a").body).at("error").at("code"), "method_not_allowed");
}

TEST(RouteTable, OnlyManagersManage) {
  const RouteTable routes = small();
  const Caller guest{.key = 1, .name = "guest", .manages = false};
  EXPECT_EQ(ask(routes, "POST", "/a", guest).status, 403);
  EXPECT_EQ(ask(routes, "GET", "/a", guest).status, 200);
}

TEST(RouteTable, OtherwiseIsForReading) {
  RouteTable routes = small();
  routes.otherwise([](const Call& call) {
    HttpResponse response;
    response.status = call.request.path == "/file" ? 200 : 0;
    return response;
  });
  EXPECT_EQ(ask(routes, "GET", "/file").status, 200);
  EXPECT_EQ(ask(routes, "POST", "/file").status, 405);
  EXPECT_EQ(ask(routes, "GET", "/other").status, 404);
}

}  // namespace
}  // namespace tinderbox
