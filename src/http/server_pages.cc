#include "http/server_pages.h"

#include <memory>
#include <utility>

namespace tinderbox {
namespace {

// Ollama's clients ask "/" whether it is there, and for JSON; browsers ask for the page.
bool is_ollama_client(const HttpRequest& request) {
  const std::string_view accept = request.header("accept");
  return request.path == "/" && accept.find("application/json") != std::string_view::npos &&
         accept.find("text/html") == std::string_view::npos;
}

}  // namespace

void add_server_pages(RouteTable& routes, const std::string& version, Metrics& metrics,
                      std::vector<StaticFile> files, bool open_metrics) {
  routes.add({.method = "GET", .path = "/health", .answer = [](const Call&) {
                HttpResponse response;
                response.body = R"({"status":"ok"})";
                return response;
              },
              .open = true});
  routes.add({.method = "GET", .path = "/version", .answer = [version](const Call&) {
                HttpResponse response;
                response.body = R"({"version":)";
                append_json_string(response.body, version);
                response.body += '}';
                return response;
              }});
  routes.add({.method = "GET", .path = "/metrics", .answer = [&metrics](const Call&) {
                HttpResponse response;
                response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                response.body = metrics.text();
                return response;
              },
              .open = open_metrics});
  routes.otherwise([held = std::make_shared<const StaticFiles>(std::move(files))](const Call& call) {
    if (is_ollama_client(call.request)) {
      HttpResponse banner;
      banner.content_type = "text/plain; charset=utf-8";
      banner.body = "Ollama is running";
      return banner;
    }
    if (std::optional<HttpResponse> file = held->find(call.request)) return std::move(*file);
    HttpResponse nothing;
    nothing.status = 0;
    return nothing;
  });
}

}  // namespace tinderbox
