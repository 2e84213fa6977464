// Which part of the server answers a request: a table of paths and methods. Whatever is wrong with a request ends in
// an error object of the form that the path's clients know, so that no handler writes one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "http/http.h"

namespace tinderbox {

// A request that cannot be served, with what the OpenAI error object says beside the message.
class RequestError : public Error {
 public:
  RequestError(int status, std::string message, std::string param = {}, std::string code = {});
  int status() const { return status_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }

 private:
  int status_;
  std::string param_, code_;
};

// Who asks. Without keys everybody is the one anonymous caller, who may do everything.
struct Caller {
  std::uint64_t key = 0;       // for fairness and the books; 0: anonymous
  std::string name = {};       // of the key
  std::int32_t priority = 0;   // lower ones go first
  bool manages = true;         // may change the box: models, faults, keys
};

// One call of a route.
struct Call {
  const HttpRequest& request;
  Caller caller;
  std::string rest;  // what '*' stood for
  Wake wake;         // called when a deferred response may have more
};

class RouteTable {
 public:
  using Answer = std::function<HttpResponse(const Call&)>;
  // How a path's clients expect to be told of errors.
  enum class Errors : std::uint8_t { OpenAi, Ollama };
  struct Route {
    std::string method;  // "GET" answers HEAD, too
    std::string path;    // "/v1/models", or with one '*' at the end for a rest that is not empty: "/v1/models/*"
    Answer answer;
    Errors errors = Errors::OpenAi;
    bool manages = false;  // refused to callers who may not
    bool open = false;     // needs no key
  };
  // What is known of a request before it is answered.
  struct Rule {
    Errors errors = Errors::OpenAi;
    bool known = false;    // its path is a route's
    bool open = false;     // as the route
    bool metered = false;  // counts against the limits of a key: work, not a look at the box or a change of it
  };

  // Requires that method and path are not there yet.
  void add(Route route);
  // For paths in no route: e.g. files. An answer with status 0: there is nothing either. Only GET and HEAD.
  void otherwise(Answer answer) { otherwise_ = std::move(answer); }
  // Never throws on bad input: it answers. An answer may throw RequestError, or Error, which is a 400.
  HttpResponse handle(const HttpRequest& request, Wake wake = {}, const Caller& caller = {}) const;
  Rule rule(const HttpRequest& request) const;
  static HttpResponse refusal(Errors errors, const RequestError& error);

 private:
  HttpResponse answer(const HttpRequest& request, Wake wake, const Caller& caller, Errors& errors) const;
  std::string known_paths() const;

  std::vector<Route> routes_;
  Answer otherwise_;
};

// {"error":"..."}, as Ollama's clients read it.
HttpResponse ollama_error(int status, std::string_view message);

}  // namespace tinderbox
