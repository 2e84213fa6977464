#include "http/cors.h"

#include <gtest/gtest.h>

#include "http/gate.h"

namespace tinderbox {
namespace {

HttpRequest request(std::vector<HttpHeader> headers) {
  HttpRequest r;
  r.headers = std::move(headers);
  return r;
}

TEST(Cors, TellsWhosePageAsks) {
  const std::vector<std::string> allowed = {"https://a.example"};
  const auto origin = [&](const char* host, const char* from, const std::vector<std::string>& own = {}) {
    return origin_of(request({{"host", host}, {"origin", from}}), allowed, own);
  };
  EXPECT_EQ(origin_of(request({{"host", "h"}}), allowed, {}), Origin::None);
  EXPECT_EQ(origin("h:8080", "http://h:8080"), Origin::Own);
  EXPECT_EQ(origin("H", "http://h:80"), Origin::Own);
  EXPECT_EQ(origin("h", "https://h"), Origin::Own);  // behind a proxy that speaks TLS
  EXPECT_EQ(origin("h:443", "https://h"), Origin::Own);
  EXPECT_EQ(origin("h:8080", "http://h"), Origin::Foreign);
  EXPECT_EQ(origin("h", "https://a.example"), Origin::Allowed);
  EXPECT_EQ(origin("h", "http://a.example"), Origin::Foreign);
  EXPECT_EQ(origin("h", "https://a.example:444"), Origin::Foreign);
  EXPECT_EQ(origin("inner:1", "https://box.example", {"box.example"}), Origin::Own);
  EXPECT_EQ(origin("", "null"), Origin::Foreign);
  EXPECT_EQ(origin("", "://"), Origin::Foreign);
}

TEST(Cors, HeadersThatAreNoNamesAreNotSentBack) {
  HttpRequest r = request({{"origin", "https://a.example"},
                           {"access-control-request-method", "POST"},
                           {"access-control-request-headers", "x-a\r\nset-cookie: b"}});
  r.method = "OPTIONS";
  ASSERT_TRUE(is_preflight(r));
  for (const HttpHeader& h : preflight_answer(r).headers) EXPECT_EQ(h.value.find("set-cookie"), std::string::npos);
}

TEST(Gate, NamesOfHosts) {
  EXPECT_EQ(host_name("LocalHost:80"), "localhost");
  EXPECT_EQ(host_name("[::1]:80"), "::1");
  EXPECT_EQ(host_name("::1"), "::1");
  EXPECT_EQ(host_name("a.b."), "a.b");
  EXPECT_EQ(host_name(""), "");
  EXPECT_EQ(host_name("["), "");
  EXPECT_TRUE(is_loopback_name("127.255.0.1"));
  for (const char* name : {"", "localhost.", "128.0.0.1", "127.0.0", "127.0.0.1.1", "127.0.0.x", "127.0.0.-1"}) {
    EXPECT_FALSE(is_loopback_name(name)) << name;
  }
}

}  // namespace
}  // namespace tinderbox
