#include "http/http_client.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"
#include "http/http_server.h"

namespace tinderbox {
namespace {

TEST(Url, IsTakenApart) {
  const Url plain = parse_url("http://127.0.0.1:8080");
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, "8080");
  EXPECT_EQ(plain.path, "/");
  const Url six = parse_url("http://[::1]:9/a/b?c=d");
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.port, "9");
  EXPECT_EQ(six.path, "/a/b?c=d");
  EXPECT_EQ(parse_url("http://spark.local").port, "80");
}

TEST(Url, RefusesWhatItCannotReach) {
  for (const char* text : {"", "localhost:8080", "https://a", "http://", "http://:8080", "http://a:0", "http://a:65536",
                           "http://a:x", "http://a:", "http://[::1", "http://u:p@a", "http://a b", "http://a/\r\nX: y",
                           "http://[::1]x"}) {
    EXPECT_THROW(parse_url(text), Error) << text;
  }
}

std::string problem(const Url& url, const std::string& key = {}) {
  try {
    http_get(url, key, Seconds(0.2));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(HttpClient, GetsADocument) {
  HttpServer server({.port = 0}, [](const HttpRequest& request, const Wake&) {
    HttpResponse response;
    response.status = request.path == "/there" ? 200 : 404;
    response.body = std::string(request.header("authorization")) + std::string(100'000, 'x');
    return response;
  });
  Url url{.host = "127.0.0.1", .port = std::to_string(server.port()), .path = "/there"};
  const HttpReply reply = http_get(url, "secret", Seconds(5));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body.substr(0, 14), "Bearer secretx");
  EXPECT_EQ(reply.body.size(), 100'013U);
  url.path = "/not";
  EXPECT_EQ(http_get(url, "", Seconds(5)).status, 404);
  EXPECT_NE(problem(url, "a\r\nX: y").find("key"), std::string::npos);
}

TEST(HttpClient, SaysWhereNothingAnswers) {
  // Listens and never answers; once closed, nothing listens there.
  const int silent = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(silent, 1), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const Url url{.host = "127.0.0.1", .port = std::to_string(ntohs(address.sin_port))};
  EXPECT_NE(problem(url).find("timeout"), std::string::npos) << problem(url);
  close(silent);
  const std::string refused = problem(url);
  EXPECT_NE(refused.find("refused"), std::string::npos) << refused;
  EXPECT_NE(refused.find("tinderbox serve"), std::string::npos) << refused;
}

}  // namespace
}  // namespace tinderbox
