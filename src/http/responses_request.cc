#include "http/responses_request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/json_body.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kItemsMax = 4096;

[[noreturn]] void refuse(std::string message, std::string_view param, std::string_view code = "invalid_value") {
  throw RequestError(400, std::move(message), std::string(param), std::string(code));
}

const Json* find(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

std::string text(const Json& object, const char* key, const std::string& where) {
  const std::string param = where.empty() ? key : where + "." + key;
  const Json* value = find(object, key);
  if (!value) refuse(format("{} is missing; send a string", param), param, "missing_required_parameter");
  if (!value->is_string())
    refuse(format("{}: expected a string, got {}", param, value->type_name()), param, "invalid_type");
  return value->get<std::string>();
}

// A string, or parts that are read one after another.
std::string content_text(const Json& item, const char* key, const std::string& where) {
  const std::string param = where + "." + key;
  const Json* content = find(item, key);
  if (!content || content->is_string()) return text(item, key, where);
  if (!content->is_array()) refuse(format("{}: expected a string or an array of parts", param), param, "invalid_type");
  std::string out;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const Json& part = (*content)[i];
    const std::string at = format("{}[{}]", param, i);
    if (!part.is_object())
      refuse(format("{}: expected an object {{\"type\":\"input_text\",...}}", at), at, "invalid_type");
    const std::string type = text(part, "type", at);
    static constexpr std::array<std::string_view, 4> kTexts = {"input_text", "output_text", "text", "summary_text"};
    if (type == "refusal") {
      out += text(part, "refusal", at);
    } else if (std::ranges::find(kTexts, type) != kTexts.end()) {
      out += text(part, "text", at);
    } else {
      refuse(format("{}: parts of type '{}' are not supported; send text only", at, type), at + ".type",
             "unsupported_value");
    }
  }
  return out;
}

void append_message(Json& messages, const Json& item, const std::string& where) {
  std::string role = text(item, "role", where);
  if (role != "user" && role != "assistant" && role != "system" && role != "developer") {
    refuse(format("{}.role: '{}' is not supported; send user, assistant, system or developer", where, role),
           where + ".role", "unsupported_value");
  }
  messages.push_back({{"role", std::move(role)}, {"content", content_text(item, "content", where)}});
}

// One item of an input, or of an answer.
void append_item(Json& messages, const Json& item, const std::string& where) {
  if (!item.is_object()) refuse(format("{}: expected an object", where), where, "invalid_type");
  const std::string type = find(item, "type") ? text(item, "type", where) : "message";
  if (type == "message") return append_message(messages, item, where);
  if (type == "reasoning") return;  // templates leave out earlier reasoning, too
  if (type == "function_call") {
    if (messages.empty() || messages.back()["role"] != "assistant") {
      messages.push_back({{"role", "assistant"}, {"content", nullptr}});
    }
    messages.back()["tool_calls"].push_back(
        {{"id", text(item, "call_id", where)},
         {"type", "function"},
         {"function", {{"name", text(item, "name", where)}, {"arguments", text(item, "arguments", where)}}}});
    return;
  }
  if (type == "function_call_output") {
    messages.push_back({{"role", "tool"},
                        {"tool_call_id", text(item, "call_id", where)},
                        {"content", content_text(item, "output", where)}});
    return;
  }
  refuse(
      format("{}: items of type '{}' are not supported; send message, function_call, function_call_output, reasoning "
             "or item_reference",
             where, type),
      where + ".type", "unsupported_value");
}

Json conversation(const Json& body, const ResponseStore& store, std::uint64_t key) {
  Json messages = Json::array();
  if (find(body, "previous_response_id")) {
    const std::string id = text(body, "previous_response_id", "");
    const StoredResponse* previous = store.find(id, key);
    if (previous == nullptr) {
      refuse(format("previous_response_id: there is no '{}' any more: only the newest answers are kept, in memory, and "
                    "only with \"store\"; send the whole conversation as input",
                    id),
             "previous_response_id", "previous_response_not_found");
    }
    messages = Json::parse(previous->messages_json);
  }
  const Json* input = find(body, "input");
  if (!input) refuse("input is missing; send a string or an array of items", "input", "missing_required_parameter");
  if (input->is_string()) {
    messages.push_back({{"role", "user"}, {"content", *input}});
    return messages;
  }
  if (!input->is_array()) refuse("input: expected a string or an array of items", "input", "invalid_type");
  if (input->size() > kItemsMax) {
    refuse(format("input: {} items are more than the limit of {}; drop the oldest", input->size(), kItemsMax), "input");
  }
  for (std::size_t i = 0; i < input->size(); ++i) {
    const Json& item = (*input)[i];
    const std::string where = format("input[{}]", i);
    if (!item.is_object() || item.value("type", Json()) != Json("item_reference")) {
      append_item(messages, item, where);
      continue;
    }
    const std::string* stored = store.find_item(text(item, "id", where), key);
    if (stored == nullptr) refuse(format("{}: there is no such item any more; send it whole", where), where);
    append_item(messages, Json::parse(*stored), where);
  }
  if (messages.empty()) refuse("input is empty; send at least one item", "input");
  return messages;
}

// {"type":"function","name":...} as {"type":"function","function":{"name":...}}.
Json chat_tools(const Json& tools) {
  if (!tools.is_array()) refuse("tools: expected an array", "tools", "invalid_type");
  Json out = Json::array();
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string where = format("tools[{}]", i);
    const Json& tool = tools[i];
    if (!tool.is_object()) refuse(format("{}: expected an object", where), where, "invalid_type");
    const std::string type = text(tool, "type", where);
    if (type != "function") {
      refuse(format("{}: tools of type '{}' are not run here; send functions only", where, type), where + ".type",
             "unsupported_value");
    }
    Json function = {{"name", text(tool, "name", where)}};
    for (const char* field : {"description", "parameters", "strict"}) {
      if (const Json* value = find(tool, field)) function[field] = *value;
    }
    out.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

void translate_choice(const Json& choice, Json& chat) {
  if (!choice.is_object()) {
    chat["tool_choice"] = choice;
    return;
  }
  const std::string type = text(choice, "type", "tool_choice");
  if (type == "function") {
    chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", text(choice, "name", "tool_choice")}}}};
  } else if (type == "allowed_tools") {
    const Json* named = find(choice, "tools");
    if (!named || !named->is_array() || !chat.contains("tools")) {
      refuse("tool_choice.tools: expected an array of those of tools", "tool_choice");
    }
    Json allowed = Json::array();
    for (const Json& tool : chat["tools"]) {
      const bool is_named = std::ranges::any_of(*named, [&](const Json& n) {
        return n.is_object() && n.value("name", Json()) == tool["function"]["name"];
      });
      if (is_named) allowed.push_back(tool);
    }
    chat["tools"] = std::move(allowed);
    chat["tool_choice"] = text(choice, "mode", "tool_choice");
  } else {
    refuse(format("tool_choice: '{}' is not supported; send auto, none, required, a function, or allowed_tools", type),
           "tool_choice", "unsupported_value");
  }
}

// Gives back what the answer says of it.
Json translate_text(const Json& body, Json& chat) {
  Json echo = {{"format", {{"type", "text"}}}};
  const Json* given = find(body, "text");
  if (!given) return echo;
  if (!given->is_object()) refuse("text: expected an object", "text", "invalid_type");
  const Json* wanted = find(*given, "format");
  if (!wanted) return echo;
  if (!wanted->is_object()) refuse("text.format: expected an object", "text.format", "invalid_type");
  const std::string type = text(*wanted, "type", "text.format");
  if (type == "json_schema") {
    const Json* schema = find(*wanted, "schema");
    if (!schema || !schema->is_object()) {
      refuse("text.format.schema is missing; send a JSON schema", "text.format.schema", "missing_required_parameter");
    }
    chat["response_format"] = {{"type", type},
                               {"json_schema", {{"name", text(*wanted, "name", "text.format")}, {"schema", *schema}}}};
  } else {
    chat["response_format"] = {{"type", type}};
  }
  echo["format"] = *wanted;
  return echo;
}

void refuse_unsupported(const Json& body) {
  for (const char* field : {"conversation", "prompt"}) {
    if (find(body, field)) {
      refuse(format("{} is not supported by this server; send input, or previous_response_id", field), field,
             "unsupported_parameter");
    }
  }
  if (const Json* background = find(body, "background"); background && *background != Json(false)) {
    refuse("background is not supported by this server; leave it out", "background", "unsupported_parameter");
  }
  if (const Json* truncation = find(body, "truncation"); truncation && *truncation != Json("disabled")) {
    refuse("truncation: nothing is left out of what was sent; send \"disabled\"", "truncation", "unsupported_value");
  }
}

void translate_sampling(const Json& body, Json& chat) {
  static constexpr std::array<std::pair<const char*, const char*>, 14> kSame = {
      {{"model", "model"},
       {"temperature", "temperature"},
       {"top_p", "top_p"},
       {"max_output_tokens", "max_completion_tokens"},
       {"parallel_tool_calls", "parallel_tool_calls"},
       {"chat_template_kwargs", "chat_template_kwargs"},
       {"seed", "seed"},
       {"stop", "stop"},
       {"top_k", "top_k"},
       {"min_p", "min_p"},
       {"repetition_penalty", "repetition_penalty"},
       {"presence_penalty", "presence_penalty"},
       {"frequency_penalty", "frequency_penalty"},
       {"logit_bias", "logit_bias"}}};
  for (const auto& [ours, chats] : kSame) {
    if (const Json* value = find(body, ours)) chat[chats] = *value;
  }
  const Json* top = find(body, "top_logprobs");
  const Json* include = find(body, "include");
  const bool told = include && include->is_array() &&
                    std::ranges::find(*include, Json("message.output_text.logprobs")) != include->end();
  if (told || (top && *top != Json(0))) {
    chat["logprobs"] = true;
    if (top) chat["top_logprobs"] = *top;
  }
}

std::string echo_of(const Json& body, const Json& chat, const Json& text_echo) {
  const auto given = [&](const char* key, Json otherwise) {
    const Json* value = find(body, key);
    return value ? *value : otherwise;
  };
  Json tools = Json::array();
  if (chat.contains("tools")) {
    for (const Json& sent : body["tools"]) {
      tools.push_back({{"type", "function"},
                       {"name", sent["name"]},
                       {"description", sent.value("description", Json())},
                       {"parameters", sent.value("parameters", Json())},
                       {"strict", sent.value("strict", Json())}});
    }
  }
  const Json* reasoning = find(body, "reasoning");
  const Json effort = reasoning ? reasoning->value("effort", Json()) : Json();
  const Json out = {{"background", false},
                    {"instructions", given("instructions", nullptr)},
                    {"max_output_tokens", given("max_output_tokens", nullptr)},
                    {"metadata", given("metadata", Json::object())},
                    {"parallel_tool_calls", given("parallel_tool_calls", true)},
                    {"previous_response_id", given("previous_response_id", nullptr)},
                    {"reasoning", {{"effort", effort}, {"summary", nullptr}}},
                    {"service_tier", "default"},
                    {"temperature", given("temperature", 1.0)},
                    {"text", text_echo},
                    {"tool_choice", given("tool_choice", "auto")},
                    {"tools", std::move(tools)},
                    {"top_logprobs", given("top_logprobs", 0)},
                    {"top_p", given("top_p", 1.0)},
                    {"truncation", "disabled"},
                    {"user", given("user", nullptr)}};
  const std::string members = out.dump(-1, ' ', false, Json::error_handler_t::replace);
  return members.substr(1, members.size() - 2);
}

void check_echoed(const Json& body) {
  if (const Json* metadata = find(body, "metadata")) {
    const bool good = metadata->is_object() && metadata->size() <= 16 &&
                      std::ranges::all_of(*metadata, [](const Json& value) { return value.is_string(); });
    if (!good) refuse("metadata: expected an object of up to 16 strings", "metadata", "invalid_type");
  }
  if (find(body, "instructions")) text(body, "instructions", "");
  if (find(body, "user")) text(body, "user", "");
  if (const Json* reasoning = find(body, "reasoning"); reasoning && !reasoning->is_object()) {
    refuse("reasoning: expected an object", "reasoning", "invalid_type");
  }
}

}  // namespace

ResponsesRequest parse_responses_request(std::string_view body_text, const ResponseStore& store, std::uint64_t key) {
  const nlohmann::json checked = parse_json_object(body_text);
  ResponsesRequest request;
  request.stream = json_bool(checked, "stream", false);
  request.store = json_bool(checked, "store", true);
  const Json body = Json::parse(body_text);  // anew: schemas in the order in which they were sent
  refuse_unsupported(body);
  check_echoed(body);
  Json chat = Json::object();
  translate_sampling(body, chat);
  if (const Json* tools = find(body, "tools"); tools && !tools->empty()) chat["tools"] = chat_tools(*tools);
  if (const Json* choice = find(body, "tool_choice")) translate_choice(*choice, chat);
  if (const Json* reasoning = find(body, "reasoning"); reasoning && find(*reasoning, "effort")) {
    chat["reasoning_effort"] = (*reasoning)["effort"];
  }
  const Json text_echo = translate_text(body, chat);
  Json messages = conversation(body, store, key);
  request.messages_json = messages.dump();
  if (find(body, "instructions")) {
    const Json told = {{"role", "system"}, {"content", body["instructions"]}};
    messages.insert(messages.begin(), told);
  }
  chat["messages"] = std::move(messages);
  chat["stream"] = true;
  chat["stream_options"] = {{"include_usage", true}};
  request.chat_body = chat.dump();
  request.echo_json = echo_of(body, chat, text_echo);
  return request;
}

std::string with_items(std::string_view messages_json, const std::vector<std::pair<std::string, std::string>>& items) {
  Json messages = Json::parse(messages_json);
  for (const auto& [id, document] : items) append_item(messages, Json::parse(document), id);
  return messages.dump();
}

HttpResponse responses_error_of(HttpResponse error) {
  Json body = Json::parse(error.body, nullptr, false);
  const bool known = body.is_object() && body.contains("error") && body["error"].is_object();
  if (!known) return error;
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {
      {{"max_completion_tokens", "max_output_tokens"},
       {"messages", "input"},
       {"response_format", "text.format"},
       {"reasoning_effort", "reasoning.effort"}}};
  for (const char* field : {"param", "message"}) {
    Json& value = body["error"][field];
    if (!value.is_string()) continue;
    std::string words = value.get<std::string>();
    for (const auto& [chats, ours] : kNames) {
      if (words.starts_with(chats)) words.replace(0, chats.size(), ours);
    }
    value = std::move(words);
  }
  error.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return error;
}

}  // namespace tinderbox
