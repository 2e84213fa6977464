// Functions that a chat may call: what the request says of them, how a model is told, and what it may answer. Where
// the chat template knows tools they are its variables; elsewhere they are described in the system message, in the
// form of Hermes' and Qwen's templates.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_template.h"
#include "model/grammar.h"

namespace tinderbox {

struct Tools {
  std::string list_json;  // as they were sent; empty: none
  // Of a call that must come (tool_choice "required", or one by name); null: none must.
  std::shared_ptr<const Grammar> grammar = {};
  bool any() const { return !list_json.empty(); }
};

// tools and tool_choice, as they stand in body_text. Throws RequestError.
Tools parse_tools(const nlohmann::json& body, std::string_view body_text);

// A message's tool_calls as [{"name":..., "arguments":{...}}]; "" if it has none. Throws RequestError.
std::string parse_message_calls(const nlohmann::json& message, const std::string& where);

// What a template is given. knows_tools: it has them as variables.
struct ToldChat {
  std::vector<ChatMessage> messages;
  std::string variables_json;  // ChatContext's; empty: none
};
ToldChat tell(std::vector<ChatMessage> messages, const Tools& tools, bool knows_tools);

}  // namespace tinderbox
