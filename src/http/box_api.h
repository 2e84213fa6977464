// The box itself over HTTP: what it is like now and as events, its models (load, unload, pin), faults to inject, and
// questions to the twin. For the page, `tinderbox top` and scripts.
//
// GET /box/state, /box/events, /box/models, /box/faults, /box/catalogue; POST /box/models/{load,unload,pin},
// /box/faults, /box/what-if/{predict,fit,compare,soak}; DELETE /box/faults/NAME.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "box/serving_box.h"
#include "http/deferred.h"
#include "http/roster.h"
#include "http/route_table.h"

namespace tinderbox {

struct BoxApiOptions {
  std::vector<Fault> faults;  // that can be injected; empty: there is no body
  std::string catalogue;      // JSON, as it is
  // Answers a verb's question with the document that it prints, or with an error; on a thread of its own.
  // arguments: of the command line. Optional.
  std::function<void(std::string verb, std::vector<std::string> arguments, Deferred::Give)> ask;
};

class BoxApi {
 public:
  // All must outlive it and the responses it gives out. body: null if there is none.
  BoxApi(ServingBox& box, BodyExecutor* body, const Roster& roster, Broadcast& state, BoxApiOptions options);
  // It must outlive the table.
  void add_to(RouteTable& routes);

 private:
  void add_models(RouteTable& routes);
  void add_faults(RouteTable& routes);
  HttpResponse change_model(const Call& call, std::string_view what);
  HttpResponse inject(const Call& call);
  HttpResponse what_if(const Call& call);

  ServingBox& box_;
  BodyExecutor* body_;
  const Roster& roster_;
  Broadcast& state_;
  BoxApiOptions options_;
};

// {"prompt":512,"sustained":true,"machines":["a","b"]} as ["--prompt=512","--sustained","--machines=a,b"]. Only
// options of the verb that read and write no files, with values that are names or numbers. Throws RequestError.
std::vector<std::string> verb_arguments(std::string_view verb, std::string_view body);

}  // namespace tinderbox
