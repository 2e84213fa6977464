#include "http/route_table.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox {
namespace {

// What '*' stands for, "" if the path has none; nullopt: another path.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with('*')) return pattern == path ? std::optional<std::string>("") : std::nullopt;
  pattern.remove_suffix(1);
  if (!path.starts_with(pattern) || path.size() == pattern.size()) return std::nullopt;
  return std::string(path.substr(pattern.size()));
}

bool same_method(std::string_view route, std::string_view asked) {
  return route == asked || (route == "GET" && asked == "HEAD");
}

class MethodNotAllowed : public RequestError {
 public:
  MethodNotAllowed(const HttpRequest& request, std::string allowed)
      : RequestError(405, format("{} {} is not possible; use {}", request.method, request.path, allowed), {},
                     "method_not_allowed"),
        allowed_(std::move(allowed)) {}
  const std::string& allowed() const { return allowed_; }

 private:
  std::string allowed_;
};

[[noreturn]] void method_not_allowed(const HttpRequest& request, std::string allowed) {
  throw MethodNotAllowed(request, std::move(allowed));
}

}  // namespace

RequestError::RequestError(int status, std::string message, std::string param, std::string code)
    : Error(status == 404 ? Code::NotFound : Code::Invalid, std::move(message)),
      status_(status),
      param_(std::move(param)),
      code_(std::move(code)) {}

void RouteTable::add(Route route) {
  CHECK(route.answer != nullptr);
  CHECK(std::ranges::none_of(
      routes_, [&](const Route& r) { return r.method == route.method && r.path == route.path; }));
  routes_.push_back(std::move(route));
}

HttpResponse RouteTable::handle(const HttpRequest& request, Wake wake, const Caller& caller) const {
  Errors errors = Errors::OpenAi;
  try {
    return answer(request, std::move(wake), caller, errors);
  } catch (const MethodNotAllowed& e) {
    HttpResponse response = refusal(errors, e);
    response.headers.push_back({"allow", e.allowed()});
    return response;
  } catch (const RequestError& e) {
    return refusal(errors, e);
  } catch (const Error& e) {  // a chat template or a tokenizer that refuses the input
    return refusal(errors, RequestError(400, e.what()));
  }
}

HttpResponse RouteTable::refusal(Errors errors, const RequestError& error) {
  if (errors == Errors::Ollama) return ollama_error(error.status(), error.what());
  return error_response(error.status(), error.what(), error.param(), error.code());
}

RouteTable::Rule RouteTable::rule(const HttpRequest& request) const {
  Rule rule;
  for (const Route& route : routes_) {
    if (!match(route.path, request.path)) continue;
    rule.known = true;
    rule.errors = route.errors;
    rule.open = route.open;
    if (!same_method(route.method, request.method)) continue;
    rule.metered = route.method == "POST" && !route.path.starts_with("/box/");
    break;
  }
  return rule;
}

HttpResponse RouteTable::answer(const HttpRequest& request, Wake wake, const Caller& caller, Errors& errors) const {
  std::string allowed;
  for (const Route& route : routes_) {
    std::optional<std::string> rest = match(route.path, request.path);
    if (!rest) continue;
    errors = route.errors;
    if (same_method(route.method, request.method)) {
      if (route.manages && !caller.manages) {
        throw RequestError(403, format("{} {} needs a key that may manage the box", request.method, request.path), {},
                           "not_a_manager");
      }
      return route.answer({request, caller, std::move(*rest), std::move(wake)});
    }
    allowed += (allowed.empty() ? "" : ", ") + (route.method == "GET" ? std::string("GET, HEAD") : route.method);
  }
  if (request.method == "OPTIONS") {
    HttpResponse response{.status = 204, .content_type = {}, .headers = {}, .body = {}, .stream = {}};
    response.headers.push_back({"allow", (allowed.empty() ? "GET, HEAD" : allowed) + ", OPTIONS"});
    return response;
  }
  if (!allowed.empty()) method_not_allowed(request, allowed);
  if (otherwise_) {
    HttpRequest as_get;
    as_get.path = request.path;
    const bool reads = request.method == "GET" || request.method == "HEAD";
    HttpResponse response = otherwise_({reads ? request : as_get, caller, {}, std::move(wake)});
    if (response.status != 0 && !reads) method_not_allowed(request, "GET, HEAD");
    if (response.status != 0) return response;
  }
  throw RequestError(404, format("there is nothing at {} {}; see {}", request.method, request.path, known_paths()), {},
                     "not_found");
}

std::string RouteTable::known_paths() const {
  std::vector<std::string> seen;
  std::string out;
  for (const Route& route : routes_) {
    std::string path = route.path;
    if (path.ends_with('*')) path.replace(path.size() - 1, 1, "...");
    if (std::ranges::find(seen, path) != seen.end()) continue;
    seen.push_back(path);
    out += (out.empty() ? "" : ", ") + path;
  }
  return out.empty() ? "/" : out;
}

HttpResponse ollama_error(int status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = R"({"error":)";
  append_json_string(response.body, to_valid_utf8(message));
  response.body += '}';
  return response;
}

}  // namespace tinderbox
