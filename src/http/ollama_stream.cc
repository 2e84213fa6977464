#include "http/ollama_stream.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

std::int64_t nanoseconds(Duration d) { return std::max<std::int64_t>(d.count(), 0); }

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::int64_t integer_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number_integer() ? at->get<std::int64_t>() : 0;
}

// An answer that is translated when it is complete.
class TranslatedStream final : public ResponseStream {
 public:
  TranslatedStream(HttpResponse inner, std::function<std::string(const std::string&)> translate)
      : inner_(std::move(inner)), translate_(std::move(translate)) {}
  State poll(HttpResponse& response) override {
    const State state = inner_.stream->poll(inner_);
    response.tally = inner_.tally;
    if (state != State::Finished) return State::Waiting;
    inner_.stream.reset();
    HttpResponse whole = translated(std::move(inner_), translate_);
    response.status = whole.status;
    response.headers = std::move(whole.headers);
    response.body = std::move(whole.body);
    return State::Finished;
  }

 private:
  HttpResponse inner_;
  std::function<std::string(const std::string&)> translate_;
};

}  // namespace

std::string rfc3339(double unix_seconds) {
  const auto us = static_cast<std::int64_t>(std::floor(unix_seconds * 1e6));
  const auto seconds = static_cast<std::time_t>(us / 1'000'000);
  std::tm t{};
  gmtime_r(&seconds, &t);
  return format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                t.tm_min, t.tm_sec, us % 1'000'000);
}

HttpResponse ollama_error_of(const HttpResponse& error) {
  const Json body = Json::parse(error.body, nullptr, false);
  const bool known = body.is_object() && body.contains("error") && body["error"].is_object();
  HttpResponse out = ollama_error(error.status, known ? text_of(body["error"], "message") : error.body);
  out.headers = error.headers;
  out.tally = error.tally;
  return out;
}

HttpResponse translated(HttpResponse inner, std::function<std::string(const std::string&)> translate) {
  if (inner.stream) {
    HttpResponse out;
    out.tally = inner.tally;
    out.stream = std::make_unique<TranslatedStream>(std::move(inner), std::move(translate));
    return out;
  }
  if (inner.status >= 400) return ollama_error_of(inner);
  inner.body = translate(inner.body);
  return inner;
}

OllamaStream::OllamaStream(HttpResponse inner, Options options)
    : inner_(std::move(inner)), options_(std::move(options)), start_(options_.now()) {
  CHECK(inner_.stream != nullptr);
}

ResponseStream::State OllamaStream::poll(HttpResponse& response) {
  if (state_ == State::Finished) return state_;
  const State inner = inner_.stream->poll(inner_);
  response.tally = inner_.tally;
  if (inner == State::Waiting) return state_;
  if (inner_.status >= 400) {
    HttpResponse error = ollama_error_of(inner_);
    response.status = error.status;
    response.headers = std::move(error.headers);
    response.body += error.body;
    return state_ = State::Finished;
  }
  if (state_ == State::Waiting && options_.streamed) {
    response.content_type = "application/x-ndjson";
    response.headers.push_back({"cache-control", "no-cache"});
    response.headers.push_back({"x-accel-buffering", "no"});
    state_ = State::Open;
  }
  reader_.take(std::exchange(inner_.body, {}), [&](std::string_view data) {
    event(data, response);
    return state_ != State::Finished;
  });
  if (inner == State::Finished && state_ != State::Finished) last(response);
  return state_;
}

void OllamaStream::event(std::string_view data, HttpResponse& response) {
  if (data == "[DONE]") return last(response);
  const Json chunk = Json::parse(data, nullptr, false);
  if (!chunk.is_object()) return;
  if (chunk.contains("error")) {
    HttpResponse error;
    error.status = 503;
    error.body = data;
    error = ollama_error_of(error);
    if (!options_.streamed) response.status = error.status;
    response.body += error.body + (options_.streamed ? "\n" : "");
    inner_.stream.reset();
    state_ = State::Finished;
    return;
  }
  if (const auto usage = chunk.find("usage"); usage != chunk.end() && usage->is_object()) {
    n_prompt_ = integer_of(*usage, "prompt_tokens");
    n_generated_ = integer_of(*usage, "completion_tokens");
  }
  const auto choices = chunk.find("choices");
  if (choices == chunk.end() || !choices->is_array() || choices->empty()) return;
  const Json& choice = choices->front();
  const std::string reason = text_of(choice, "finish_reason");
  if (!reason.empty()) done_reason_ = reason == "length" ? "length" : "stop";
  const auto message = choice.find("delta");
  if (message == choice.end() || !message->is_object()) return delta(text_of(choice, "text"), "", response);
  if (const auto calls = message->find("tool_calls"); calls != message->end() && calls->is_array()) {
    for (const Json& call : *calls) {
      const auto index = static_cast<std::size_t>(std::clamp<std::int64_t>(integer_of(call, "index"), 0, 127));
      if (calls_.size() <= index) calls_.resize(index + 1);
      if (!call.contains("function") || !call["function"].is_object()) continue;
      calls_[index].name += text_of(call["function"], "name");
      calls_[index].arguments += text_of(call["function"], "arguments");
    }
  }
  std::string thinking = text_of(*message, "reasoning_content");
  if (thinking.empty()) thinking = text_of(*message, "reasoning");
  delta(text_of(*message, "content"), thinking, response);
}

void OllamaStream::delta(const std::string& content, const std::string& thinking, HttpResponse& response) {
  if (content.empty() && thinking.empty()) return;
  first_ = std::min(first_, options_.now());
  if (options_.streamed) {
    response.body += line(content, thinking, false) + "}\n";
  } else {
    content_ += content;
    thinking_ += thinking;
  }
}

// Without its closing brace.
std::string OllamaStream::line(const std::string& content, const std::string& thinking, bool done) const {
  std::string out = R"({"model":)";
  append_json_string(out, to_valid_utf8(options_.model));
  out += format(R"(,"created_at":"{}",)", rfc3339(options_.now_unix()));
  const bool chat = options_.endpoint == OllamaEndpoint::Chat;
  out += chat ? R"("message":{"role":"assistant","content":)" : R"("response":)";
  append_json_string(out, content);
  if (!thinking.empty()) {
    out += R"(,"thinking":)";
    append_json_string(out, thinking);
  }
  if (done) out += calls_object();
  out += chat ? "}" : "";
  return out + (done ? R"(,"done":true)" : R"(,"done":false)");
}

std::string OllamaStream::calls_object() const {
  if (calls_.empty()) return "";
  Json out = Json::array();
  for (const ToolCall& call : calls_) {
    Json arguments = Json::parse(call.arguments, nullptr, false);
    if (!arguments.is_object()) arguments = Json::object();
    out.push_back({{"function", {{"name", call.name}, {"arguments", std::move(arguments)}}}});
  }
  return R"(,"tool_calls":)" + out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string OllamaStream::figures() const {
  const TimePoint end = options_.now(), first = std::min(first_, end);
  return format(
      R"(,"done_reason":"{}","total_duration":{},"load_duration":0,"prompt_eval_count":{},"prompt_eval_duration":{},)"
      R"("eval_count":{},"eval_duration":{}}})",
      done_reason_, nanoseconds(end - start_), n_prompt_, nanoseconds(first - start_), n_generated_,
      nanoseconds(end - first));
}

void OllamaStream::last(HttpResponse& response) {
  if (state_ == State::Finished) return;
  state_ = State::Finished;
  response.body += line(content_, thinking_, true) + figures() + (options_.streamed ? "\n" : "");
}

}  // namespace tinderbox
