// Arbitrary headers before a gate with one key: whoever gets through has sent it, and was not a page of another origin
// or sent to a name of another computer. Lines of the input: method, path, host, origin, authorization, x-api-key, and
// the three of a preflight.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/text.h"
#include "http/cors.h"
#include "http/gate.h"
#include "http/request_log.h"

namespace tinderbox {
namespace {

constexpr std::string_view kKey = "tb-key";

void one(std::string_view input) {
  static constexpr const char* kNames[] = {"host",
                                           "origin",
                                           "authorization",
                                           "x-api-key",
                                           "access-control-request-method",
                                           "access-control-request-headers",
                                           "sec-fetch-site"};
  const std::vector<std::string> lines = split(input, '\n');
  HttpRequest request;
  if (!lines.empty()) request.method = lines[0];
  if (lines.size() > 1) request.path = lines[1];
  for (std::size_t i = 2; i < lines.size() && i - 2 < std::size(kNames); ++i) {
    if (!lines[i].empty()) request.headers.push_back({kNames[i - 2], lines[i]});
  }
  bool reached = false;
  RouteTable routes;
  routes.add({.method = "POST", .path = "/v1/x", .answer = [&](const Call&) {
                reached = true;
                return HttpResponse{};
              }});
  KeyBook keys(nullptr, {api_key_of(kKey, "ann")});
  bool ended = false;
  Gate gate(routes, keys,
            {.allowed_hosts = {"box.example"},
             .cors_origins = {"https://app.example"},
             .now_unix = [] { return 0.0; },
             .now = [] { return TimePoint{}; },
             .ended =
                 [&](const RequestRecord& record) {
                   ended = true;
                   for (const char c : log_text(record, true)) CHECK(static_cast<unsigned char>(c) >= 0x20);
                   CHECK(log_json(record).find('\n') == std::string::npos);
                 }});
  const HttpResponse response = gate.handle(request, {});
  CHECK(ended);
  for (const HttpHeader& header : response.headers) {
    CHECK(header.value.find_first_of("\r\n") == std::string::npos || header.value == request.header("origin"));
  }
  if (!reached) return;
  CHECK(request.header("authorization").find(kKey) != std::string_view::npos ||
        request.header("x-api-key").find(kKey) == 0 || trim(request.header("x-api-key")) == kKey);
  const std::string host = host_name(request.header("host"));
  CHECK(host.empty() || host == "box.example" || is_loopback_name(host));
  const std::string_view origin = request.header("origin");
  CHECK(origin.empty() || origin == "https://app.example" || origin.find("://") != std::string_view::npos);
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tinderbox::one({reinterpret_cast<const char*>(data), size});
  return 0;
}
