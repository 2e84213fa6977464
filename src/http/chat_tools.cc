#include "http/chat_tools.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/route_table.h"
#include "model/json_schema.h"

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

// <tool_call>{"name": ..., "arguments": ...}</tool_call> for each of these functions.
std::shared_ptr<const Grammar> call_grammar(const std::vector<Json>& functions) {
  auto grammar = std::make_shared<Grammar>();
  const Grammar::Rule root = grammar->add();
  for (const Json& function : functions) {
    Grammar::Sequence call = Grammar::literal("<tool_call>{\"name\": " + function["name"].dump() + ", \"arguments\": ");
    try {
      const Json parameters = function.value("parameters", Json());
      call.push_back(Grammar::ref(parameters.is_object() ? add_json_schema(*grammar, parameters.dump())
                                                         : add_json_object(*grammar)));
    } catch (const Error& e) {
      refuse(format("tools: {}: {}", function["name"].get<std::string>(), e.what()), "tools", "invalid_json_schema");
    }
    const Grammar::Sequence end = Grammar::literal("}</tool_call>");
    call.insert(call.end(), end.begin(), end.end());
    grammar->add(root, call);
  }
  try {
    grammar->finish(root);
  } catch (const Error& e) {
    refuse(format("tools: {}", e.what()), "tools", "invalid_json_schema");
  }
  return grammar;
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
  if (unchosen || *chosen == "auto") return tools;
  if (chosen->is_object()) {
    const auto function = chosen->value("function", nlohmann::json::object());
    const std::string name = function.is_object() ? function.value("name", std::string()) : std::string();
    std::erase_if(functions, [&](const Json& f) { return f["name"] != name; });
    if (functions.empty()) {
      refuse(format("tool_choice: no tool has the name '{}'", to_valid_utf8(name)), "tool_choice", "invalid_value");
    }
  } else if (*chosen != "required") {
    refuse("tool_choice: send none, auto, required, or a function by name", "tool_choice", "invalid_value");
  }
  tools.grammar = call_grammar(functions);
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

ToldChat tell(std::vector<ChatMessage> messages, const Tools& tools, bool knows_tools) {
  const bool called =
      std::ranges::any_of(messages, [](const ChatMessage& m) { return !m.calls_json.empty() || m.role == "tool"; });
  if (!tools.any() && !called) return {.messages = std::move(messages), .variables_json = {}};
  if (knows_tools) {
    Json variables = Json::object();
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
  if (!tools.any()) return {.messages = std::move(messages), .variables_json = {}};
  std::string told = "You can call these functions, each described by a line of JSON:\n";
  for (const Json& tool : Json::parse(tools.list_json)) told += tool.dump() + "\n";
  told += "To call one, answer with nothing but:\n<tool_call>{\"name\": NAME, \"arguments\": {...}}</tool_call>";
  if (messages.front().role == "system") {
    messages.front().content += "\n\n" + told;
  } else {
    messages.insert(messages.begin(), {.role = "system", .content = told});
  }
  return {.messages = std::move(messages), .variables_json = {}};
}

}  // namespace tinderbox
