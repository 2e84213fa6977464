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

// Whether an answer that begins like this may yet be {"name": ... or {"type": "function", "name": ...
bool may_be_bare_call(std::string_view text) {
  std::string begin;
  constexpr std::string_view kBegins[] = {R"({"name":)", R"({"type":"function","name":)"};
  for (const char c : text) {
    if (kBlank.find(c) == std::string_view::npos) begin += c;
    if (begin.size() > kBegins[1].size()) break;
  }
  return std::ranges::any_of(
      kBegins, [&](std::string_view b) { return begin.starts_with(b) || b.starts_with(begin); });
}

// Bytes of the JSON object that `text` begins with; 0: it is none, or not whole.
std::size_t object_end(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth == 0) return i + 1;
    }
    if (depth == 0) return 0;
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
    if (!nlohmann::json::accept(call.arguments)) return false;
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
  } else if (state_ == State::Bare && !bare_calls(delta)) {
    say(pending_, delta);
  }
  pending_.clear();
}

void ChatText::say(std::string_view text, ChatDelta& delta) {
  // Blanks between marks are the template's, not the answer's.
  if (!said_ && (options_.reasons || !options_.tools.empty())) {
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
    case State::Reasoning:
      return reason(delta, over);
    case State::Content:
      return content(delta, over);
    case State::Call:
      return call(delta);
    case State::Bare:
      if (may_be_bare_call(pending_)) return false;
      no_bare_ = true;
      state_ = State::Content;
      return true;
  }
  return false;
}

bool ChatText::reason(ChatDelta& delta, bool over) {
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

bool ChatText::content(ChatDelta& delta, bool over) {
  const bool tools = !options_.tools.empty();
  if (tools && !said_ && !no_bare_ && n_calls_ == 0) {
    const std::size_t at = pending_.find_first_not_of(kBlank);
    if (at == std::string::npos && !over) return false;
    if (at != std::string::npos && pending_[at] == '{') {
      state_ = State::Bare;
      return true;
    }
  }
  const std::size_t begin = tools ? pending_.find(kCall) : std::string::npos;
  if (begin != std::string::npos) {
    say(std::string_view(pending_).substr(0, begin), delta);
    pending_.erase(0, begin + kCall.size());
    state_ = State::Call;
    return true;
  }
  const std::size_t keep = over || !tools ? 0 : beginning_of(kCall, pending_);
  say(std::string_view(pending_).substr(0, pending_.size() - keep), delta);
  pending_.erase(0, pending_.size() - keep);
  return false;
}

bool ChatText::call(ChatDelta& delta) {
  const std::size_t end = pending_.find(kCallEnd);
  if (end == std::string::npos) return false;
  ToolCall call;
  if (parse_tool_call(std::string_view(pending_).substr(0, end), call)) {
    delta.calls.push_back(std::move(call));
    ++n_calls_;
  } else {
    say(std::string(kCall) + pending_.substr(0, end + kCallEnd.size()), delta);
  }
  pending_.erase(0, end + kCallEnd.size());
  state_ = State::Content;
  return true;
}

// The whole answer, as one object after another, with blanks or ';' between. false: it is something else.
bool ChatText::bare_calls(ChatDelta& delta) const {
  std::vector<ToolCall> calls;
  std::string_view rest = pending_;
  for (;;) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n;"), rest.size()));
    if (rest.empty()) break;
    const std::size_t end = object_end(rest);
    ToolCall& call = calls.emplace_back();
    if (end == 0 || !parse_tool_call(rest.substr(0, end), call)) return false;
    if (std::ranges::find(options_.tools, call.name) == options_.tools.end()) return false;
    rest.remove_prefix(end);
  }
  delta.calls.insert(delta.calls.end(), calls.begin(), calls.end());
  return !calls.empty();
}

}  // namespace tinderbox
