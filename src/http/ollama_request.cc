#include "http/ollama_request.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/json_body.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kTokensMax = 1 << 30;  // no context is longer

[[noreturn]] void refuse(std::string_view field, std::string_view what) {
  throw RequestError(400, format("{}: {}", field, what), std::string(field), "unsupported_value");
}

const Json* find(const Json& object, std::string_view key) {
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

// Not absent, null, "", [], {}, false.
bool asks(const Json& object, std::string_view key) {
  const Json* value = find(object, key);
  if (value == nullptr) return false;
  if (value->is_string()) return !value->get_ref<const std::string&>().empty();
  return value->is_boolean() ? value->get<bool>() : value->is_number() || !value->empty();
}

std::string text_or_empty(const Json& object, std::string_view key) {
  return find(object, key) == nullptr ? std::string() : json_string(object, key);
}

// "5m", 300, -1, "0": only whether the model is to go at once matters here.
bool unloads(const Json& body) {
  const Json* keep = find(body, "keep_alive");
  if (keep == nullptr) return false;
  if (keep->is_number()) return keep->get<double>() == 0;
  if (!keep->is_string()) refuse("keep_alive", "send a number of seconds, or a text as \"5m\"");
  const std::string& words = keep->get_ref<const std::string&>();
  return !words.empty() && words.find_first_not_of("0smh.") == std::string::npos;
}

// Returns num_predict, if it is a limit.
std::optional<std::int64_t> add_options(const Json& body, Json& out) {
  static const Json kNone = Json::object();
  const Json* given = find(body, "options");
  const Json& options = given == nullptr ? kNone : *given;
  if (!options.is_object()) refuse("options", "send an object");
  out["temperature"] = 0.8;
  out["top_k"] = 40;
  out["top_p"] = 0.9;
  for (const auto& [theirs, ours] :
       {std::pair{"temperature", "temperature"}, std::pair{"top_k", "top_k"}, std::pair{"top_p", "top_p"},
        std::pair{"min_p", "min_p"}, std::pair{"repeat_penalty", "repetition_penalty"},
        std::pair{"presence_penalty", "presence_penalty"}, std::pair{"frequency_penalty", "frequency_penalty"},
        std::pair{"seed", "seed"}, std::pair{"stop", "stop"}}) {
    const Json* value = find(options, theirs);
    const bool any_seed = value != nullptr && std::string_view(theirs) == "seed" && *value == -1;
    if (value != nullptr && !any_seed) out[ours] = *value;
  }
  // -1: until the model ends; -2: until the context is full.
  const Json* n = find(options, "num_predict");
  if (n != nullptr && !n->is_number_integer()) refuse("num_predict", "send an integer");
  for (const char* field : {"mirostat", "tfs_z", "typical_p"}) {
    const Json* value = find(options, field);
    const bool off = value == nullptr || *value == 0 || (*value == 1 && std::string_view(field) != "mirostat");
    if (!off) refuse(field, "is not supported; leave it out");
  }
  if (n == nullptr || *n <= 0) return std::nullopt;
  return *n > kTokensMax ? kTokensMax : n->get<std::int64_t>();
}

void add_format(const Json& body, Json& out) {
  const Json* wanted = find(body, "format");
  if (wanted == nullptr || *wanted == "") return;
  if (*wanted == "json") {
    out["response_format"] = {{"type", "json_object"}};
  } else if (wanted->is_object()) {
    out["response_format"] = {{"type", "json_schema"}, {"json_schema", {{"name", "format"}, {"schema", *wanted}}}};
  } else {
    refuse("format", "send \"json\" or a JSON schema");
  }
}

void add_think(const Json& body, Json& out) {
  const Json* think = find(body, "think");
  if (think == nullptr) return;
  if (think->is_boolean()) {
    out["chat_template_kwargs"] = {{"enable_thinking", *think}};
  } else if (think->is_string()) {
    out["reasoning_effort"] = *think;
  } else {
    refuse("think", "send true, false, or low, medium, high");
  }
}

void refuse_images(const Json& object, std::string_view where) {
  if (asks(object, "images")) refuse(where, "images are not supported; send text only");
}

// Ollama's calls have no ids, and their arguments are objects.
Json tool_calls(const Json& calls, std::size_t& n_calls) {
  if (!calls.is_array()) refuse("tool_calls", "send an array");
  Json out = Json::array();
  for (const Json& call : calls) {
    const Json* function = call.is_object() ? find(call, "function") : nullptr;
    if (function == nullptr || !function->is_object())
      refuse("tool_calls", "send {\"function\":{\"name\",\"arguments\"}}");
    const Json* arguments = find(*function, "arguments");
    out.push_back({{"id", format("call_{}", n_calls++)},
                   {"type", "function"},
                   {"function",
                    {{"name", json_string(*function, "name")},
                     {"arguments", arguments == nullptr ? "{}" : arguments->dump()}}}});
  }
  return out;
}

Json messages_of(const Json& list) {
  if (!list.is_array()) refuse("messages", "send an array");
  Json out = Json::array();
  std::size_t n_calls = 0, n_answers = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& message = list[i];
    if (!message.is_object()) refuse(format("messages[{}]", i), "send an object {role, content}");
    refuse_images(message, format("messages[{}].images", i));
    Json ours = {{"role", json_string(message, "role")}, {"content", text_or_empty(message, "content")}};
    if (asks(message, "tool_calls")) ours["tool_calls"] = tool_calls(message["tool_calls"], n_calls);
    // In the order of the calls.
    if (ours["role"] == "tool") ours["tool_call_id"] = format("call_{}", n_answers++);
    out.push_back(std::move(ours));
  }
  return out;
}

Json generate_messages(const Json& body) {
  Json out = Json::array();
  const std::string system = text_or_empty(body, "system");
  if (!system.empty()) out.push_back({{"role", "system"}, {"content", system}});
  out.push_back({{"role", "user"}, {"content", text_or_empty(body, "prompt")}});
  return out;
}

std::string model_of(const Json& body) {
  const bool older = find(body, "model") == nullptr && find(body, "name") != nullptr;
  std::string model = json_string(body, older ? "name" : "model");
  constexpr std::string_view kLatest = ":latest";
  if (model.ends_with(kLatest)) model.resize(model.size() - kLatest.size());
  return model;
}

}  // namespace

OllamaRequest parse_ollama_request(OllamaEndpoint endpoint, std::string_view text) {
  const Json body = parse_json_object(text);
  const bool chat = endpoint == OllamaEndpoint::Chat;
  OllamaRequest request;
  request.model = model_of(body);
  request.stream = json_bool(body, "stream", true);
  refuse_images(body, "images");
  for (const char* field : {"template", "suffix", "context"}) {
    if (asks(body, field)) refuse(field, "is not supported; leave it out");
  }
  if (chat ? !asks(body, "messages") : text_or_empty(body, "prompt").empty()) {
    request.does = unloads(body) ? OllamaRequest::Does::Unload : OllamaRequest::Does::Load;
    return request;
  }
  Json out = {{"model", request.model}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
  const bool raw = !chat && json_bool(body, "raw", false);
  if (raw) {
    if (asks(body, "system")) refuse("system", "has no place in a raw prompt; leave it out");
    out["prompt"] = body["prompt"];
  } else {
    out["messages"] = chat ? messages_of(body["messages"]) : generate_messages(body);
  }
  if (chat && asks(body, "tools")) out["tools"] = body["tools"];
  request.n_gen_max = add_options(body, out);
  add_format(body, out);
  add_think(body, out);
  request.path = raw ? "/v1/completions" : "/v1/chat/completions";
  request.body = out.dump(-1, ' ', false, Json::error_handler_t::replace);
  return request;
}

std::string OllamaRequest::with_limit(std::int64_t context_max) const {
  const bool needed = n_gen_max || path == "/v1/completions";
  if (!needed) return body;
  const std::int64_t limit = std::min(n_gen_max.value_or(context_max), context_max);
  return format(R"({{"max_tokens":{},{})", limit, std::string_view(body).substr(1));
}

std::string ollama_model(std::string_view body) { return model_of(parse_json_object(body)); }

std::string embeddings_body(std::string_view text, bool older) {
  const Json body = parse_json_object(text);
  const char* field = older ? "prompt" : "input";
  if (find(body, field) == nullptr) refuse(field, older ? "send a text" : "send a text or an array of texts");
  Json out = {{"model", model_of(body)}, {"input", body[field]}};
  if (const Json* dimensions = find(body, "dimensions")) out["dimensions"] = *dimensions;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tinderbox
