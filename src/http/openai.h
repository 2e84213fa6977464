// The OpenAI API of one served model, as a function from request to response without sockets: what
// a network server, the unit tests and the fuzzer call.
//
// GET /v1/models, /v1/models/{id}; POST /v1/chat/completions, /v1/completions; GET /health,
// /version, /metrics and the page's files. Everything else is an OpenAI error object.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "box/mailbox.h"
#include "http/http.h"
#include "http/metrics.h"
#include "http/openai_request.h"
#include "http/static_files.h"
#include "http/text_codec.h"

namespace tinderbox {

struct ServedModel {
  std::string id;
  std::int64_t created_unix = 0;
  std::int64_t context_max = 0;  // prompt + answer, as the scheduler's limit
  bool weightless = false;       // answers are placeholders
  std::string as;                // the machine whose pace is kept; empty: this computer's own
};

struct ApiOptions {
  ServedModel model;
  std::string version;
  std::uint64_t seed = 0;                  // requests without a seed draw theirs from this one
  std::function<std::int64_t()> now_unix;  // seconds, for `created`
  std::vector<StaticFile> files;           // the page
};

class OpenAiApi {
 public:
  // All references must outlive it and the responses it gives out.
  OpenAiApi(Mailbox& mailbox, const TextCodec& codec, const Metrics& metrics, ApiOptions options);
  // Never throws on bad input: it answers. wake is called when a deferred response may have more.
  // One thread at a time.
  HttpResponse handle(const HttpRequest& request, Wake wake = {});

 private:
  HttpResponse get(const HttpRequest& request) const;
  HttpResponse complete(Endpoint endpoint, const HttpRequest& http, Wake wake);
  EncodedPrompt encode(const CompletionRequest& request) const;
  std::string model_object() const;

  Mailbox& mailbox_;
  const TextCodec& codec_;
  const Metrics& metrics_;
  ApiOptions options_;
  StaticFiles files_;
  std::uint64_t n_completions_ = 0;
};

}  // namespace tinderbox
