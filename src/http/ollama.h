// Ollama's API of the served models, so that its clients run unchanged: a translation into the OpenAI routes of the
// same table and back, so that there is one way to an answer.
//
// GET /api/version, /api/tags, /api/ps; POST /api/show, /api/generate, /api/chat, /api/embed, /api/embeddings. What
// changes the set of models (pull, create, copy, push, delete, blobs) is refused: models are named when the server
// starts. `load_duration` is 0: the time is part of prompt_eval_duration.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "http/ollama_request.h"
#include "http/roster.h"
#include "http/route_table.h"

namespace tinderbox {

struct OllamaOptions {
  std::string version;
  std::function<double()> now_unix;  // seconds
  std::function<TimePoint()> now;    // never goes back
};

class OllamaApi {
 public:
  // roster must outlive it and the responses it gives out.
  OllamaApi(const Roster& roster, OllamaOptions options);
  // To the table that has the routes of OpenAI and of the box, which it uses. It must outlive the table.
  void add_to(RouteTable& routes);

 private:
  HttpResponse answer(OllamaEndpoint endpoint, const Call& call) const;
  HttpResponse load(const OllamaRequest& request, OllamaEndpoint endpoint, const Call& call) const;
  HttpResponse embed(const Call& call, bool older) const;
  HttpResponse show(const Call& call) const;
  HttpResponse running(const Call& call) const;
  // Asks another route of the table.
  HttpResponse inner(std::string method, std::string path, std::string body, const Call& call) const;

  const Roster& roster_;
  OllamaOptions options_;
  const RouteTable* routes_ = nullptr;
};

}  // namespace tinderbox
