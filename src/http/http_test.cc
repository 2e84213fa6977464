#include "http/http.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/text.h"
#include "http/static_files.h"

namespace tinderbox {
namespace {

using nlohmann::json;

TEST(Http, ErrorObject) {
  const json e =
      json::parse(error_response(404, "no \"x\"\n", "model", "model_not_found").body).at("error");
  EXPECT_EQ(e.at("message"), "no \"x\"\n");
  EXPECT_EQ(e.at("type"), "invalid_request_error");
  EXPECT_EQ(e.at("param"), "model");
  EXPECT_EQ(e.at("code"), "model_not_found");
  const json plain = json::parse(error_response(503, "\xFF", {}, {}).body).at("error");
  EXPECT_EQ(plain.at("message"), "\xEF\xBF\xBD");
  EXPECT_EQ(plain.at("type"), "server_error");
  EXPECT_TRUE(plain.at("param").is_null());
  EXPECT_TRUE(plain.at("code").is_null());
}

// Law: any text survives the escaper and another parser.
TEST(HttpLaw, JsonStringsParseBack) {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    Random random(seed, Stream::Test);
    std::string bytes;
    for (std::int64_t i = random.range(0, 40); i > 0; --i)
      bytes += static_cast<char>(random.range(0, 255));
    const std::string text = to_valid_utf8(bytes);
    std::string out;
    append_json_string(out, text);
    ASSERT_EQ(json::parse(out).get<std::string>(), text) << "seed " << seed;
  }
}

TEST(Http, PercentDecode) {
  EXPECT_EQ(percent_decode("/v1/models/a%2Fb%20c"), "/v1/models/a/b c");
  EXPECT_EQ(percent_decode("%"), "%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%zz%41"), "%zzA");
}

TEST(StaticFiles, ServesWithTagAndPolicy) {
  const StaticFiles files({{"index.html", "<p>", ""},
                           {"app.js", "1", ""},
                           {"x.bin", "2", "a/b"},
                           {"p.svg", "<svg/>", ""}});
  HttpRequest request{.method = "GET", .path = "/", .query = {}, .headers = {}, .body = {}};
  const auto page = files.find(request);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->body, "<p>");
  EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
  const auto header = [](const HttpResponse& response, std::string_view name) {
    std::string value;
    for (const HttpHeader& h : response.headers) {
      if (h.name == name) value = h.value;
    }
    return value;
  };
  EXPECT_EQ(header(*page, "content-security-policy"), "default-src 'self'");
  request.path = "/p.svg";
  EXPECT_EQ(header(files.find(request).value(), "content-security-policy"),
            "default-src 'self'; style-src 'unsafe-inline'")
      << "a drawing may style itself, and load nothing";
  request.path = "/";
  request.headers = {{"if-none-match", header(*page, "etag")}};
  EXPECT_EQ(files.find(request)->status, 304);
  EXPECT_EQ(files.find(request)->body, "");
  request.path = "/app.js";
  EXPECT_EQ(files.find(request)->status, 200) << "another file has another tag";
  request.path = "/x.bin";
  EXPECT_EQ(files.find(request)->content_type, "a/b");
  for (const char* path : {"/../index.html", "/nothing", "", "index.html", "//"}) {
    request.path = path;
    EXPECT_FALSE(files.find(request)) << path;
  }
}

TEST(StaticFiles, AcceptsGzipAsTheHeaderWeighsIt) {
  for (const char* yes : {"gzip", "GZIP", "br, gzip", "gzip;q=0.5", "deflate , gzip ; q=1", "*", "*;q=0, gzip"}) {
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  }
  for (const char* no : {"", "br", "identity", "gzip;q=0", "gzip; Q=0.000", "*;q=0", "gzipped", ";gzip",
                         "*, gzip;q=0"}) {
    EXPECT_FALSE(accepts_gzip(no)) << no;
  }
}

TEST(StaticFiles, ServesGzipToThoseWhoAcceptIt) {
  const StaticFiles files({{"report.html", "plain", ""}, {"report.html.gz", "packed", ""}, {"a.txt", "a", ""}});
  HttpRequest request{.method = "GET", .path = "/report", .query = {}, .headers = {}, .body = {}};
  const auto header = [](const HttpResponse& response, std::string_view name) {
    for (const HttpHeader& h : response.headers) {
      if (h.name == name) return h.value;
    }
    return std::string();
  };
  const HttpResponse plain = files.find(request).value();
  EXPECT_EQ(plain.body, "plain") << "/report is report.html";
  EXPECT_EQ(header(plain, "content-encoding"), "");
  EXPECT_EQ(header(plain, "vary"), "Accept-Encoding");
  request.headers = {{"accept-encoding", "gzip, br"}};
  const HttpResponse packed = files.find(request).value();
  EXPECT_EQ(packed.body, "packed");
  EXPECT_EQ(packed.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(header(packed, "content-encoding"), "gzip");
  EXPECT_NE(header(packed, "etag"), header(plain, "etag")) << "each encoding has a tag of its own";
  request.headers.push_back({"if-none-match", header(packed, "etag")});
  EXPECT_EQ(files.find(request)->status, 304);
  request.path = "/report.html.gz";
  EXPECT_FALSE(files.find(request)) << "it is no file of its own";
  request.path = "/a.txt";
  EXPECT_EQ(header(files.find(request).value(), "vary"), "") << "there is no other encoding to choose";
}

}  // namespace
}  // namespace tinderbox
