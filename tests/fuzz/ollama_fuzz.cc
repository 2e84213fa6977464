// Arbitrary bytes as the body of each of Ollama's endpoints, and as the answer of an OpenAI route that is translated:
// no body may do more than be refused, and every line that comes out must be JSON.
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "http/ollama_request.h"
#include "http/ollama_stream.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

class Pieces final : public ResponseStream {
 public:
  explicit Pieces(std::string_view body) : body_(body), step_(1 + body.size() / 3) {}
  State poll(HttpResponse& response) override {
    const std::size_t n = std::min(body_.size(), step_);
    response.body += body_.substr(0, n);
    body_.remove_prefix(n);
    return body_.empty() ? State::Finished : State::Open;
  }

 private:
  std::string_view body_;
  std::size_t step_;
};

void translate(std::string_view answer, bool streamed, OllamaEndpoint endpoint) {
  HttpResponse inner;
  inner.stream = std::make_unique<Pieces>(answer);
  OllamaStream stream(std::move(inner), {.endpoint = endpoint,
                                         .streamed = streamed,
                                         .model = "m",
                                         .now = [] { return TimePoint{}; },
                                         .now_unix = [] { return 0.0; }});
  HttpResponse response;
  for (int i = 0; stream.poll(response) != ResponseStream::State::Finished; ++i) CHECK(i < 10);
  std::string_view rest = response.body;
  CHECK(!rest.empty());
  if (!streamed) CHECK(nlohmann::json::accept(rest));
  while (streamed && !rest.empty()) {
    const std::size_t end = rest.find('\n');
    CHECK(end != std::string_view::npos && nlohmann::json::accept(rest.substr(0, end)));
    rest.remove_prefix(end + 1);
  }
}

template <typename Parse>
void parse(const Parse& what) {
  try {
    CHECK(nlohmann::json::accept(what()));
  } catch (const RequestError&) {
  }
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tinderbox;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const OllamaEndpoint endpoint : {OllamaEndpoint::Generate, OllamaEndpoint::Chat}) {
    parse([&] {
      const OllamaRequest request = parse_ollama_request(endpoint, text);
      return request.does == OllamaRequest::Does::Answer ? request.with_limit(512) : "{}";
    });
    for (const bool streamed : {false, true}) translate(text, streamed, endpoint);
  }
  for (const bool older : {false, true}) parse([&] { return embeddings_body(text, older); });
  return 0;
}
