// Functions that a chat may call: what the request says of them, how a model is told, and what it may answer. Where
// the chat template knows tools they are its variables; elsewhere they are described in the system message, in the
// form of Hermes' and Qwen's templates.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_template.h"

namespace tinderbox {

struct Tools {
  std::string list_json;      // as they were sent; empty: none
  std::string callable_json = {};  // the functions that may be called
  std::vector<std::string> names = {};  // of these
  bool must_call = false;               // tool_choice "required", or one by name
  std::optional<bool> parallel = {};    // parallel_tool_calls; nullopt: nothing was said
  bool any() const { return !list_json.empty(); }
};

// tools, tool_choice and parallel_tool_calls, as they stand in body_text. Throws RequestError.
Tools parse_tools(const nlohmann::json& body, std::string_view body_text);

// A message's tool_calls as [{"name":..., "arguments":{...}}]; "" if it has none. Throws RequestError.
std::string parse_message_calls(const nlohmann::json& message, const std::string& where);

// What a template is given. knows_tools: it has them as variables.
struct ToldChat {
  std::vector<ChatMessage> messages;
  std::string variables_json;  // ChatContext's; empty: none
};
ToldChat tell(std::vector<ChatMessage> messages, const Tools& tools, bool knows_tools,
              const std::string& variables_json = {});

// chat_template_kwargs and reasoning_effort, as variables of the template: a JSON object; "" if there are none. Throws
// RequestError.
std::string parse_template_variables(const nlohmann::json& body, std::string_view body_text);

}  // namespace tinderbox
