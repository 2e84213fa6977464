// The OpenAI API of the served models, as routes from request to response without sockets: what a network server, the
// unit tests and the fuzzer call.
//
// GET /v1/models, /v1/models/{id}; POST /v1/chat/completions, /v1/completions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "http/http.h"
#include "http/openai_request.h"
#include "http/roster.h"
#include "http/route_table.h"

namespace tinderbox {

struct OpenAiOptions {
  std::string version;
  std::uint64_t seed = 0;                  // requests without a seed draw theirs from this one
  std::function<std::int64_t()> now_unix;  // seconds, for `created`
};

// The tokens of a text, or ids checked, that leave room for an answer. Throws RequestError naming the field.
EncodedPrompt encode(const ModelDoor& door, const PromptInput& prompt, std::string_view param);

class OpenAiApi {
 public:
  // roster must outlive it and the responses it gives out.
  OpenAiApi(const Roster& roster, OpenAiOptions options);
  // It must outlive the routes. One call at a time.
  void add_to(RouteTable& routes);

 private:
  HttpResponse complete(Endpoint endpoint, const Call& call);
  Request work_of(const ModelDoor& door, const CompletionRequest& request, const EncodedPrompt& prompt, std::int32_t k,
                  const Caller& caller);

  const Roster& roster_;
  OpenAiOptions options_;
  std::uint64_t n_completions_ = 0;
};

}  // namespace tinderbox
