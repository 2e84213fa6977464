// Answers of the OpenAI routes in Ollama's words, as they come: server-sent events become lines of JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/event_reader.h"
#include "http/http.h"
#include "http/ollama_request.h"

namespace tinderbox {

// "2026-01-31T12:00:00.123456Z"
std::string rfc3339(double unix_seconds);
// {"error":...} of an OpenAI error object.
HttpResponse ollama_error_of(const HttpResponse& error);

// A streamed answer of /v1/chat/completions or /v1/completions.
class OllamaStream final : public ResponseStream {
 public:
  struct Options {
    OllamaEndpoint endpoint = OllamaEndpoint::Chat;
    bool streamed = true;  // else one object in the end
    std::string model = {};
    std::function<TimePoint()> now = {};
    std::function<double()> now_unix = {};
  };
  OllamaStream(HttpResponse inner, Options options);
  State poll(HttpResponse& response) override;

 private:
  struct ToolCall {
    std::string name, arguments;
  };
  void event(std::string_view data, HttpResponse& response);
  void delta(const std::string& content, const std::string& thinking, HttpResponse& response);
  void last(HttpResponse& response);
  std::string line(const std::string& content, const std::string& thinking, bool done) const;
  std::string calls_object() const;
  std::string figures() const;

  HttpResponse inner_;
  Options options_;
  TimePoint start_;
  TimePoint first_ = TimePoint::max();
  EventReader reader_;              // of the inner body
  std::string content_, thinking_;  // when it is sent as a whole
  std::vector<ToolCall> calls_;
  std::string done_reason_ = "stop";
  std::int64_t n_prompt_ = 0, n_generated_ = 0;
  State state_ = State::Waiting;
};

// Another answer, when it is complete: as `translate` tells it, or its error.
HttpResponse translated(HttpResponse inner, std::function<std::string(const std::string& body)> translate);

}  // namespace tinderbox
