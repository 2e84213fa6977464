#include "http/cors.h"

#include <algorithm>

#include "base/text.h"
#include "http/gate.h"

namespace tinderbox {
namespace {

constexpr std::string_view kExposed =
    "x-request-id, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    "x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

bool is_list_of_names(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == ',' || c == ' ';
  });
}

bool anybody(const std::vector<std::string>& allowed) { return std::ranges::find(allowed, "*") != allowed.end(); }

// "https://a.b:443" -> "a.b"; other ports stay. The port that a scheme has anyway is not said.
std::string authority(std::string_view origin) {
  const std::size_t at = origin.find("://");
  if (at == std::string_view::npos) return "";
  const std::string_view scheme = origin.substr(0, at), port = scheme == "https" ? ":443" : ":80";
  std::string rest = lower(origin.substr(at + 3));
  if (rest.ends_with(port)) rest.resize(rest.size() - port.size());
  return rest;
}

}  // namespace

Origin origin_of(const HttpRequest& request, const std::vector<std::string>& allowed,
                 const std::vector<std::string>& own_hosts) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) {
    // Browsers that send no Origin with a form or an image say so here.
    return request.header("sec-fetch-site") == "cross-site" && request.method != "GET" && request.method != "HEAD"
               ? Origin::Foreign
               : Origin::None;
  }
  const std::string from = authority(origin);
  if (!from.empty()) {
    const std::string scheme(origin.substr(0, origin.find("://")));
    if (from == authority(scheme + "://" + std::string(request.header("host")))) return Origin::Own;
    if (std::ranges::find(own_hosts, host_name(from)) != own_hosts.end()) return Origin::Own;
  }
  return anybody(allowed) || std::ranges::find(allowed, origin) != allowed.end() ? Origin::Allowed : Origin::Foreign;
}

bool is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && !request.header("origin").empty() &&
         !request.header("access-control-request-method").empty();
}

void add_cors(const HttpRequest& request, Origin origin, const std::vector<std::string>& allowed,
              std::vector<HttpHeader>& headers) {
  if (allowed.empty()) return;
  if (!anybody(allowed)) headers.push_back({"vary", "origin"});
  if (origin != Origin::Allowed) return;
  headers.push_back({"access-control-allow-origin", anybody(allowed) ? "*" : std::string(request.header("origin"))});
  headers.push_back({"access-control-expose-headers", std::string(kExposed)});
}

HttpResponse preflight_answer(const HttpRequest& request) {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.headers.push_back({"access-control-allow-methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS"});
  const std::string_view asked = request.header("access-control-request-headers");
  response.headers.push_back({"access-control-allow-headers", asked.empty() || !is_list_of_names(asked)
                                                                  ? "authorization, content-type, x-api-key"
                                                                  : std::string(asked)});
  response.headers.push_back({"access-control-max-age", "600"});
  if (request.header("access-control-request-private-network") == "true") {
    response.headers.push_back({"access-control-allow-private-network", "true"});
  }
  return response;
}

}  // namespace tinderbox
