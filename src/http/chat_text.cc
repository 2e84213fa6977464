#include "http/chat_text.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace tinderbox {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>", kCall = "<tool_call>",
                           kCallEnd = "</tool_call>", kBlank = " \t\r\n";

// The most bytes at the end of `text` with which `mark` may begin.
std::size_t beginning_of(std::string_view mark, std::string_view text) {
  for (std::size_t n = std::min(mark.size() - 1, text.size()); n > 0; --n) {
    if (text.ends_with(mark.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

bool parse_tool_call(std::string_view text, ToolCall& call) {
  const auto document = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("name") || !document["name"].is_string()) return false;
  call.name = document["name"].get<std::string>();
  const char* key = document.contains("arguments") ? "arguments" : "parameters";
  if (!document.contains(key)) {
    call.arguments = "{}";
  } else if (document[key].is_string()) {
    call.arguments = document[key].get<std::string>();
  } else {
    call.arguments = document[key].dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  return true;
}

ChatText::ChatText(const Options& options)
    : options_(options),
      state_(!options.reasons ? State::Content : options.thinking ? State::Reasoning : State::Begin) {}

void ChatText::push(std::string_view text, ChatDelta& delta) {
  pending_ += text;
  while (step(delta, false)) {
  }
}

void ChatText::finish(ChatDelta& delta) {
  while (step(delta, true)) {
  }
  if (state_ == State::Call) {
    ToolCall call;
    if (parse_tool_call(pending_, call)) {
      delta.calls.push_back(std::move(call));
    } else {
      say(std::string(kCall) + pending_, delta);
    }
  }
  pending_.clear();
}

void ChatText::say(std::string_view text, ChatDelta& delta) {
  // Blanks between marks are the template's, not the answer's.
  if (!said_ && (options_.reasons || options_.tools)) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  }
  if (text.empty()) return;
  said_ = true;
  delta.content += text;
}

// true: it has come to another state.
bool ChatText::step(ChatDelta& delta, bool over) {
  switch (state_) {
    case State::Begin: {
      const std::size_t at = std::min(pending_.find_first_not_of(kBlank), pending_.size());
      const std::string_view rest = std::string_view(pending_).substr(at);
      if (rest.starts_with(kThink)) {
        pending_.erase(0, at + kThink.size());
        state_ = State::Reasoning;
        return true;
      }
      if (!over && kThink.starts_with(rest)) return false;
      state_ = State::Content;
      return true;
    }
    case State::Reasoning: {
      const std::size_t end = pending_.find(kThinkEnd);
      if (end != std::string::npos) {
        delta.reasoning += pending_.substr(0, end);
        pending_.erase(0, end + kThinkEnd.size());
        state_ = State::Content;
        return true;
      }
      const std::size_t keep = over ? 0 : beginning_of(kThinkEnd, pending_);
      delta.reasoning += pending_.substr(0, pending_.size() - keep);
      pending_.erase(0, pending_.size() - keep);
      return false;
    }
    case State::Content: {
      const std::size_t begin = options_.tools ? pending_.find(kCall) : std::string::npos;
      if (begin != std::string::npos) {
        say(std::string_view(pending_).substr(0, begin), delta);
        pending_.erase(0, begin + kCall.size());
        state_ = State::Call;
        return true;
      }
      const std::size_t keep = over || !options_.tools ? 0 : beginning_of(kCall, pending_);
      say(std::string_view(pending_).substr(0, pending_.size() - keep), delta);
      pending_.erase(0, pending_.size() - keep);
      return false;
    }
    case State::Call: {
      const std::size_t end = pending_.find(kCallEnd);
      if (end == std::string::npos) return false;
      ToolCall call;
      if (parse_tool_call(std::string_view(pending_).substr(0, end), call)) {
        delta.calls.push_back(std::move(call));
      } else {
        say(std::string(kCall) + pending_.substr(0, end + kCallEnd.size()), delta);
      }
      pending_.erase(0, end + kCallEnd.size());
      state_ = State::Content;
      return true;
    }
  }
  return false;
}

}  // namespace tinderbox
