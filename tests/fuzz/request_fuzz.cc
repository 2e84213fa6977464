// Arbitrary bytes as the body of both completion endpoints and of /v1/responses. The mailbox has no loop behind it:
// what is accepted is taken out, half of it refused, half of it answered by bytes of the input, and every reply must be
// well-formed.
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "box/mailbox.h"
#include "http/openai.h"
#include "http/responses_api.h"
#include "http/roster.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

constexpr std::int32_t kContextMax = 512;

// Every document in a body of server-sent events, or the body itself, must parse.
void check_body(const HttpResponse& response) {
  if (response.content_type != "text/event-stream") {
    CHECK(nlohmann::json::accept(response.body));
    return;
  }
  std::string_view rest = response.body;
  const bool named = rest.starts_with("event: ");  // of /v1/responses, which has no [DONE]
  CHECK(named || rest.ends_with("data: [DONE]\n\n"));
  while (!rest.empty()) {
    if (named) rest.remove_prefix(rest.find('\n') + 1);
    const std::size_t end = rest.find("\n\n");
    CHECK(rest.starts_with("data: ") && end != std::string_view::npos);
    const std::string_view event = rest.substr(6, end - 6);
    CHECK(event == "[DONE]" || nlohmann::json::accept(event));
    rest.remove_prefix(end + 2);
  }
}

// What the box would do, with tokens taken from the input.
void answer(Mailbox& mailbox, const Request& request, const std::uint8_t* data, std::size_t size) {
  CHECK(request.n_prompt >= 1 && request.n_gen_max >= 1);
  CHECK(request.n_prompt + request.n_gen_max <= kContextMax);
  if (request.sampling.seed % 2 == 1)
    return mailbox.on_admission(request, Admission::QueueFull, {});
  mailbox.on_admission(request, Admission::Accepted, {});
  for (std::int32_t i = 0; i < request.n_gen_max; ++i) {
    const bool last = i + 1 == request.n_gen_max;
    const auto at = static_cast<std::size_t>(i) % size;
    mailbox.on_token({.seq = request.id,
                      .token = data[at],
                      .finish = last ? FinishReason::Length : FinishReason::None},
                     {});
  }
}

void one(const char* path, const std::uint8_t* data, std::size_t size) {
  Mailbox mailbox;
  const PlaceholderCodec codec;
  const Roster roster({{.info = {.id = "m", .context_max = kContextMax, .weightless = true},
                        .mailbox = &mailbox,
                        .codec = &codec}});
  OpenAiApi api(roster, {.version = "0", .seed = 0, .now_unix = [] { return std::int64_t{0}; }});
  RouteTable routes;
  ResponsesApi responses([] { return std::int64_t{0}; });
  api.add_to(routes);
  responses.add_to(routes);
  HttpRequest http;
  http.method = "POST";
  http.path = path;
  http.body.assign(reinterpret_cast<const char*>(data), size);
  HttpResponse response = routes.handle(http);
  if (response.stream) {
    for (const Command& command : mailbox.take({})) {
      if (const auto* request = std::get_if<Request>(&command))
        answer(mailbox, *request, data, size);
    }
    CHECK(response.stream->poll(response) == ResponseStream::State::Finished);
  } else {
    CHECK(response.status >= 400);
  }
  check_body(response);
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/responses"})
    tinderbox::one(path, data, size);
  return 0;
}
