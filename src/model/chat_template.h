// A model's chat template: the subset of Jinja that the shipped models' templates use (list in
// chat_template.cc), with the settings and variables of Hugging Face's apply_chat_template.
// Rendering is bounded in steps, memory and output (jinja_value.h), so that a hostile template ends
// in an Error, not in a hang.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

struct ChatMessage {
  std::string role, content;
  // Calls of functions that it makes, [{"name":..., "arguments":...}]; empty: none. Not rendered: see variables_json.
  std::string calls_json = {};
};

struct ChatContext {
  std::vector<ChatMessage> messages;
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;
  // UTC seconds for strftime_now(); without it a template that asks for the date ends in
  // Error::Unsupported.
  std::optional<std::int64_t> now_unix;
  // A JSON object whose members become further variables (tools, enable_thinking, ...), in place of
  // those above where names agree; empty: none.
  std::string variables_json;
};

class ChatTemplate {
 public:
  // Throws Error::Unsupported naming line and construct outside the subset, Error::Invalid on bad
  // syntax.
  static ChatTemplate parse(std::string_view source);
  // A plain ChatML template, for files without one.
  static ChatTemplate chatml();
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // Whether its source has this text: what it can be told of.
  bool mentions(std::string_view text) const;

  // Throws Error::Invalid on raise_exception(message), type errors and broken variables_json,
  // Error::TooLarge over the limits, Error::Unsupported outside the subset. Deterministic; any
  // thread.
  std::string render(const ChatContext& context) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tinderbox
