#include "sim_replies.h"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

namespace tinderbox::sim {
namespace {

using nlohmann::json;

// A text that ends within a character shows U+FFFD for what there is of it.
std::string shown(const std::string& bytes) { return to_valid_utf8(bytes); }

// The match that ends first, of those the longest: where it begins and ends.
std::optional<std::pair<std::size_t, std::size_t>> first_stop(
    const std::string& text, const std::vector<std::string>& stops) {
  std::optional<std::pair<std::size_t, std::size_t>> first;
  for (const std::string& stop : stops) {
    const std::size_t at = text.find(stop);
    if (at == std::string::npos) continue;
    const std::size_t end = at + stop.size();
    if (!first || end < first->second || (end == first->second && at < first->first))
      first = {at, end};
  }
  return first;
}

json parsed(const std::string& text) {
  json value = json::parse(text, nullptr, false);
  require(!value.is_discarded(), "replies are JSON", [&] { return text; });
  return value;
}

void check_usage(const json& usage, const Outcome& outcome, std::int64_t n_prompt) {
  require(usage.at("completion_tokens") == outcome.n_tokens &&
              usage.at("prompt_tokens") == n_prompt &&
              usage.at("total_tokens") == n_prompt + outcome.n_tokens,
          "usage is what was given",
          [&] { return format("{} for {} tokens", usage.dump(), outcome.n_tokens); });
}

void check_text(const std::string& got, const Outcome& outcome) {
  require(got == outcome.text, "the whole answer, once, in order",
          [&] { return format("'{}' instead of '{}'", got, outcome.text); });
}

void check_whole(const Visit& visit, const json& reply, const Outcome& outcome,
                 std::int64_t n_prompt) {
  const bool chat = visit.kind == Visit::Kind::Chat;
  require(reply.at("object") == (chat ? "chat.completion" : "text_completion") &&
              reply.at("choices").size() == 1,
          "one answer of its kind");
  const json& choice = reply.at("choices")[0];
  check_text(chat ? choice.at("message").at("content") : choice.at("text"), outcome);
  require(choice.at("finish_reason") == outcome.finish_reason, "why it ended");
  check_usage(reply.at("usage"), outcome, n_prompt);
}

// The payloads of server-sent events.
std::vector<std::string> events_of(const std::string& body) {
  constexpr std::string_view kHead = "data: ", kEnd = "\n\n";
  std::vector<std::string> events;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find(kEnd, at);
    require(end != std::string::npos && body.compare(at, kHead.size(), kHead) == 0,
            "events are whole", [&] { return body.substr(at); });
    events.push_back(body.substr(at + kHead.size(), end - at - kHead.size()));
    at = end + kEnd.size();
  }
  return events;
}

void check_stream(const Visit& visit, const std::string& body, const Outcome& outcome,
                  std::int64_t n_prompt) {
  const bool chat = visit.kind == Visit::Kind::Chat;
  const bool cut = outcome.kind == Outcome::Kind::CutShort;
  std::vector<std::string> events = events_of(body);
  require(!events.empty(), "a stream says something");
  if (cut) {
    require(parsed(events.back()).contains("error"), "a stream that is cut short says so");
  } else {
    require(events.back() == "[DONE]", "a stream ends with [DONE]", [&] { return events.back(); });
  }
  events.pop_back();
  std::string text;
  json id, finish;
  std::size_t i = 0;
  bool usage = false;
  for (; i < events.size(); ++i) {
    const json event = parsed(events[i]);
    require(i == 0 || event.at("id") == id, "a stream is of one answer");
    id = event.at("id");
    if (event.at("choices").empty()) {
      require(visit.usage && !usage && !finish.is_null(), "usage comes once, after the answer");
      check_usage(event.at("usage"), outcome, n_prompt);
      usage = true;
      continue;
    }
    require(finish.is_null(), "nothing follows the end");
    const json& choice = event.at("choices")[0];
    finish = choice.at("finish_reason");
    if (!chat) {
      text += choice.at("text").get<std::string>();
      continue;
    }
    require((i == 0) == choice.at("delta").contains("role"), "the role comes first");
    if (choice.at("delta").contains("content"))
      text += choice.at("delta").at("content").get<std::string>();
  }
  if (cut) {
    require(finish.is_null() && outcome.text.starts_with(text),
            "what was cut short is a beginning");
    return;
  }
  check_text(text, outcome);
  require(finish == outcome.finish_reason, "why it ended", [&] { return finish.dump(); });
  require(usage == visit.usage, "usage is told if asked for");
}

}  // namespace

Outcome outcome_of(const Told& told, const TextCodec& codec,
                   const std::vector<std::string>& stops) {
  Outcome outcome;
  outcome.admission = told.admission;
  if (told.admission != Admission::Accepted) {
    outcome.kind = Outcome::Kind::Refused;
    return outcome;
  }
  std::string bytes;
  for (const TokenEvent& event : told.events) {
    if (cut_short(event.finish)) {
      outcome.kind = Outcome::Kind::CutShort;
      outcome.text = shown(bytes);
      return outcome;
    }
    if (event.finish != FinishReason::Stop) bytes += codec.piece(event.token, outcome.n_tokens);
    ++outcome.n_tokens;
    if (const auto stop = first_stop(bytes, stops)) {
      outcome.text = shown(bytes.substr(0, stop->first));
      outcome.finish_reason = "stop";
      return outcome;
    }
    outcome.finish_reason = event.finish == FinishReason::Stop ? "stop" : "length";
  }
  outcome.text = shown(bytes);
  return outcome;
}

void check_error(const HttpResponse& reply, int status, std::string_view code) {
  require(reply.status == status, "the right status",
          [&] { return format("{} instead of {}: {}", reply.status, status, reply.body); });
  const json error = parsed(reply.body).at("error");
  require(error.at("code") == code && !error.at("message").get<std::string>().empty() &&
              error.at("type") == (status == 429  ? "rate_limit_error"
                                   : status < 500 ? "invalid_request_error"
                                                  : "server_error"),
          "the right error", [&] { return error.dump(); });
}

void check_reply(const Visit& visit, const HttpResponse& reply, const Outcome& outcome,
                 std::int64_t n_prompt) {
  switch (outcome.kind) {
    case Outcome::Kind::Refused:
      if (outcome.admission == Admission::QueueFull) {
        check_error(reply, 429, "queue_full");
        const auto after = std::ranges::find(reply.headers, "retry-after", &HttpHeader::name);
        require(after != reply.headers.end(), "who is turned away is told when to come back");
      } else {
        check_error(reply, 400,
                    outcome.admission == Admission::TooLong ? "context_length_exceeded"
                                                            : "kv_memory_exceeded");
      }
      return;
    case Outcome::Kind::CutShort:
      if (reply.content_type != "text/event-stream")
        return check_error(reply, 503, "box_down");
      return check_stream(visit, reply.body, outcome, n_prompt);
    case Outcome::Kind::Answer:
      require(reply.status == 200, "an answer is a success", [&] { return reply.body; });
      require((reply.content_type == "text/event-stream") == visit.streamed, "streams are streams");
      if (visit.streamed) return check_stream(visit, reply.body, outcome, n_prompt);
      check_whole(visit, parsed(reply.body), outcome, n_prompt);
  }
}

double metric(const std::string& text, const std::string& name) {
  const std::size_t at = text.starts_with(name) ? 0 : text.find("\n" + name);
  if (at == std::string::npos) return -1;
  const std::size_t begin = at == 0 ? 0 : at + 1;
  const std::string line = text.substr(begin, text.find('\n', begin) - begin);
  return parse_double(line.substr(line.rfind(' ') + 1)).value_or(-1);
}

}  // namespace tinderbox::sim
