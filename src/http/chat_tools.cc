#include "http/chat_tools.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kToolsMax = 128, kNameBytesMax = 64;

[[noreturn]] void refuse(std::string message, const std::string& param, std::string_view code) {
  throw RequestError(400, std::move(message), param, std::string(code));
}

bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '.';
  });
}

// The function of each tool, checked.
std::vector<Json> functions_of(const Json& list) {
  if (!list.is_array()) refuse("tools: expected an array", "tools", "invalid_type");
  if (list.size() > kToolsMax) {
    refuse(format("tools: {} are more than the limit of {}", list.size(), kToolsMax), "tools", "invalid_value");
  }
  std::vector<Json> out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = format("tools[{}]", i);
    const Json& tool = list[i];
    if (!tool.is_object() || tool.value("type", Json("function")) != Json("function")) {
      refuse(format("{}: expected an object of type function", where), where, "unsupported_value");
    }
    const Json function = tool.value("function", Json());
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string() ||
        !good_name(function["name"].get<std::string>())) {
      refuse(format("{}.function.name: expected up to {} letters, digits, '_', '-' and '.'", where, kNameBytesMax),
             where + ".function.name", "invalid_value");
    }
    out.push_back(function);
  }
  return out;
}

std::string call_text(const Json& calls) {
  std::string out;
  for (const Json& call : calls) {
    out += (out.empty() ? "<tool_call>\n" : "\n<tool_call>\n") +
           call.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n</tool_call>";
  }
  return out;
}

}  // namespace

Tools parse_tools(const nlohmann::json& body, std::string_view body_text) {
  Tools tools;
  const auto given = body.find("tools");
  const bool none = given == body.end() || given->is_null() || (given->is_array() && given->empty());
  const auto chosen = body.find("tool_choice");
  const bool unchosen = chosen == body.end() || chosen->is_null();
  if (none) {
    if (unchosen || *chosen == "none" || *chosen == "auto") return tools;
    refuse("tool_choice needs tools; send both", "tool_choice", "invalid_value");
  }
  const Json list = Json::parse(body_text).at("tools");  // anew: in the order in which it was sent
  std::vector<Json> functions = functions_of(list);
  if (!unchosen && *chosen == "none") return tools;
  tools.list_json = list.dump();
  if (const auto parallel = body.find("parallel_tool_calls"); parallel != body.end() && !parallel->is_null()) {
    if (!parallel->is_boolean()) {
      refuse("parallel_tool_calls: expected true or false", "parallel_tool_calls", "invalid_type");
    }
    tools.parallel = parallel->get<bool>();
  }
  if (!unchosen && chosen->is_object()) {
    const auto function = chosen->value("function", nlohmann::json::object());
    const std::string name = function.is_object() ? function.value("name", std::string()) : std::string();
    std::erase_if(functions, [&](const Json& f) { return f["name"] != name; });
    if (functions.empty()) {
      refuse(format("tool_choice: no tool has the name '{}'", to_valid_utf8(name)), "tool_choice", "invalid_value");
    }
    tools.must_call = true;
    tools.parallel = false;  // it is called once
  } else if (!unchosen && *chosen != "auto") {
    if (*chosen != "required") {
      refuse("tool_choice: send none, auto, required, or a function by name", "tool_choice", "invalid_value");
    }
    tools.must_call = true;
  }
  for (const Json& function : functions) tools.names.push_back(function["name"].get<std::string>());
  tools.callable_json = Json(functions).dump();
  return tools;
}

std::string parse_message_calls(const nlohmann::json& message, const std::string& where) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return {};
  const std::string param = where + ".tool_calls";
  if (!calls->is_array()) refuse(format("{}: expected an array", param), param, "invalid_type");
  Json out = Json::array();
  for (const auto& call : *calls) {
    const auto function = call.is_object() ? call.find("function") : call.end();
    if (!call.is_object() || function == call.end() || !function->is_object() || !function->contains("name") ||
        !(*function)["name"].is_string()) {
      refuse(format("{}: expected objects with a function and its name", param), param, "invalid_value");
    }
    Json arguments = Json::object();
    if (const auto given = function->find("arguments"); given != function->end()) {
      arguments = given->is_string() ? Json::parse(given->get<std::string>(), nullptr, false) : Json(*given);
      if (arguments.is_discarded()) arguments = given->get<std::string>();  // as the model wrote it
    }
    out.push_back({{"name", (*function)["name"]}, {"arguments", std::move(arguments)}});
  }
  return out.empty() ? std::string() : out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string parse_template_variables(const nlohmann::json& body, std::string_view body_text) {
  Json variables = Json::object();
  const auto given = body.find("chat_template_kwargs");
  if (given != body.end() && !given->is_null()) {
    if (!given->is_object()) {
      refuse("chat_template_kwargs: expected an object", "chat_template_kwargs", "invalid_type");
    }
    variables = Json::parse(body_text).at("chat_template_kwargs");
    for (const char* ours : {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"}) {
      if (variables.contains(ours)) {
        refuse(format("chat_template_kwargs: {} is not a variable of yours", ours), "chat_template_kwargs",
               "invalid_value");
      }
    }
  }
  const auto effort = body.find("reasoning_effort");
  if (effort != body.end() && !effort->is_null()) {
    static constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    if (!effort->is_string() || std::ranges::find(kEfforts, effort->get<std::string>()) == std::end(kEfforts)) {
      refuse("reasoning_effort: send none, minimal, low, medium, high, xhigh or max", "reasoning_effort",
             "invalid_value");
    }
    variables["reasoning_effort"] = *effort;
    if (!variables.contains("enable_thinking")) variables["enable_thinking"] = *effort != "none";
  }
  return variables.empty() ? std::string() : variables.dump();
}

ToldChat tell(std::vector<ChatMessage> messages, const Tools& tools, bool knows_tools,
              const std::string& variables_json) {
  const bool called =
      std::ranges::any_of(messages, [](const ChatMessage& m) { return !m.calls_json.empty() || m.role == "tool"; });
  if (!tools.any() && !called) return {.messages = std::move(messages), .variables_json = variables_json};
  if (knows_tools) {
    Json variables = variables_json.empty() ? Json::object() : Json::parse(variables_json);
    if (tools.any()) variables["tools"] = Json::parse(tools.list_json);
    Json list = Json::array();
    for (const ChatMessage& m : messages) {
      Json message = {{"role", m.role}, {"content", to_valid_utf8(m.content)}};
      if (!m.calls_json.empty()) {
        for (const Json& call : Json::parse(m.calls_json)) {
          message["tool_calls"].push_back({{"type", "function"}, {"function", call}});
        }
      }
      list.push_back(std::move(message));
    }
    if (called) variables["messages"] = std::move(list);
    return {.messages = std::move(messages), .variables_json = variables.dump()};
  }
  for (ChatMessage& m : messages) {
    if (m.role == "tool") {
      m = {.role = "user", .content = "<tool_response>\n" + m.content + "\n</tool_response>"};
    } else if (!m.calls_json.empty()) {
      m.content += (m.content.empty() ? "" : "\n") + call_text(Json::parse(m.calls_json));
      m.calls_json.clear();
    }
  }
  if (!tools.any()) return {.messages = std::move(messages), .variables_json = variables_json};
  std::string told = "You can call these functions, each described by a line of JSON:\n";
  for (const Json& tool : Json::parse(tools.list_json)) told += tool.dump() + "\n";
  told += "To call one, answer with nothing but:\n<tool_call>{\"name\": NAME, \"arguments\": {...}}</tool_call>";
  if (messages.front().role == "system") {
    messages.front().content += "\n\n" + told;
  } else {
    messages.insert(messages.begin(), {.role = "system", .content = told});
  }
  return {.messages = std::move(messages), .variables_json = variables_json};
}

}  // namespace tinderbox
