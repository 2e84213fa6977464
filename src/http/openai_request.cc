#include "http/openai_request.h"

#include <limits>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace tinderbox {

namespace {

using nlohmann::json;

constexpr int kDepthMax = 64;
constexpr std::size_t kMessagesMax = 4096;
constexpr std::size_t kStopsMax = 4;
constexpr std::size_t kStopBytesMax = 1024;

[[noreturn]] void refuse(std::string message, std::string_view param, std::string_view code = {}) {
  throw RequestError(400, std::move(message), std::string(param), std::string(code));
}

[[noreturn]] void wrong_type(std::string_view param, std::string_view wanted, const json& got) {
  refuse(format("{}: expected {}, got {}; send {} instead", param, wanted, got.type_name(), wanted),
         param, "invalid_type");
}

// Refuses nesting that only an attack has, before anything is allocated for it.
void check_depth(std::string_view body) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) {
        refuse(format("the body nests deeper than {} levels at byte {}; send a flat request",
                      kDepthMax, i + 1),
               {}, "invalid_json");
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

json parse_body(std::string_view body) {
  check_depth(body);
  try {
    json document = json::parse(body.begin(), body.end());
    if (!document.is_object()) wrong_type("body", "a JSON object", document);
    return document;
  } catch (const json::parse_error& e) {
    refuse(format("the body is not valid JSON at byte {}; send one JSON object in UTF-8", e.byte),
           {}, "invalid_json");
  } catch (const json::exception&) {  // a number such as 1e400
    refuse("the body has a number that is out of range; send numbers that fit a double", {},
           "invalid_json");
  }
}

// The field, or nullptr if it is absent or null.
const json* find(const json& object, std::string_view key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

double number(const json& object, std::string_view key, double fallback, double low, double high) {
  const json* value = find(object, key);
  if (!value) return fallback;
  if (!value->is_number()) wrong_type(key, "a number", *value);
  const double x = value->get<double>();
  if (!(x >= low && x <= high)) {
    refuse(format("{}: {} is out of range; send a number from {} to {}", key, x, low, high), key,
           "invalid_value");
  }
  return x;
}

std::optional<std::int64_t> integer(const json& object, std::string_view key, std::int64_t low,
                                    std::int64_t high) {
  const json* value = find(object, key);
  if (!value) return std::nullopt;
  if (!value->is_number_integer()) wrong_type(key, "an integer", *value);
  const bool huge = value->is_number_unsigned() &&
                    value->get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max();
  const std::int64_t n =
      huge ? std::numeric_limits<std::int64_t>::max() : value->get<std::int64_t>();
  if (n < low || n > high) {
    refuse(format("{}: {} is out of range; send an integer from {} to {}", key, value->dump(), low,
                  high),
           key, "invalid_value");
  }
  return n;
}

bool boolean(const json& object, std::string_view key) {
  const json* value = find(object, key);
  if (!value) return false;
  if (!value->is_boolean()) wrong_type(key, "true or false", *value);
  return value->get<bool>();
}

const std::string& text(const json& value, std::string_view param) {
  if (!value.is_string()) wrong_type(param, "a string", value);
  return value.get_ref<const std::string&>();
}

// A message's content: a string, or parts of type "text" that are read one after another.
std::string message_content(const json& message, const std::string& where) {
  const json* content = find(message, "content");
  const std::string param = where + ".content";
  if (!content) {
    if (message.value("role", json()) == "assistant") return {};
    refuse(format("{} is missing; send a string", param), param, "missing_required_parameter");
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) wrong_type(param, "a string or an array of text parts", *content);
  std::string out;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const json& part = (*content)[i];
    const std::string part_param = format("{}[{}]", param, i);
    if (!part.is_object())
      wrong_type(part_param, "an object {\"type\":\"text\",\"text\":...}", part);
    const json* type = find(part, "type");
    if (!type)
      refuse(format("{}.type is missing; send \"text\"", part_param), part_param + ".type");
    if (text(*type, part_param + ".type") != "text") {
      refuse(format("{}: parts of type {} are not supported; send text only", part_param,
                    type->dump()),
             part_param + ".type", "unsupported_value");
    }
    const json* words = find(part, "text");
    if (!words)
      refuse(format("{}.text is missing; send a string", part_param), part_param + ".text");
    out += text(*words, part_param + ".text");
  }
  return out;
}

std::vector<ChatMessage> parse_messages(const json& body) {
  const json* list = find(body, "messages");
  if (!list)
    refuse("messages is missing; send an array of {role, content}", "messages",
           "missing_required_parameter");
  if (!list->is_array()) wrong_type("messages", "an array", *list);
  if (list->empty())
    refuse("messages is empty; send at least one message", "messages", "invalid_value");
  if (list->size() > kMessagesMax) {
    refuse(format("messages: {} messages are more than the limit of {}; drop the oldest",
                  list->size(), kMessagesMax),
           "messages", "invalid_value");
  }
  std::vector<ChatMessage> messages;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const json& message = (*list)[i];
    const std::string where = format("messages[{}]", i);
    if (!message.is_object()) wrong_type(where, "an object {role, content}", message);
    const json* role_field = find(message, "role");
    if (!role_field)
      refuse(format("{}.role is missing; send system, user or assistant", where), where + ".role");
    std::string role = text(*role_field, where + ".role");
    if (role == "developer") role = "system";  // the same thing under its newer name
    if (role != "system" && role != "user" && role != "assistant") {
      refuse(format("{}.role: {} is not supported; send system, developer, user or assistant",
                    where, role_field->dump()),
             where + ".role", "unsupported_value");
    }
    messages.push_back({std::move(role), message_content(message, where)});
  }
  return messages;
}

std::vector<TokenId> parse_ids(const json& list) {
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const json& id = list[i];
    const std::string param = format("prompt[{}]", i);
    if (!id.is_number_integer()) wrong_type(param, "a token id", id);
    const bool fits = id.is_number_unsigned()
                          ? id.get<std::uint64_t>() <= std::numeric_limits<TokenId>::max()
                          : id.get<std::int64_t>() >= std::numeric_limits<TokenId>::min();
    if (!fits) refuse(format("{}: {} is no token id", param, id.dump()), "prompt", "invalid_value");
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

std::variant<std::string, std::vector<TokenId>> parse_prompt(const json& body) {
  const json* prompt = find(body, "prompt");
  if (!prompt) refuse("prompt is missing; send a string", "prompt", "missing_required_parameter");
  if (prompt->is_string()) return prompt->get<std::string>();
  if (!prompt->is_array())
    wrong_type("prompt", "a string, an array of one string, or token ids", *prompt);
  if (prompt->empty()) refuse("prompt is an empty array; send a string", "prompt", "invalid_value");
  const json& first = prompt->front();
  if (first.is_number()) return parse_ids(*prompt);
  if (prompt->size() > 1) {
    refuse(format("prompt: {} prompts in one request are not supported; send one request for each",
                  prompt->size()),
           "prompt", "unsupported_value");
  }
  if (first.is_array()) {
    if (first.empty())
      refuse("prompt[0] is an empty array; send token ids", "prompt", "invalid_value");
    return parse_ids(first);
  }
  return text(first, "prompt[0]");
}

std::vector<std::string> parse_stops(const json& body) {
  const json* stop = find(body, "stop");
  if (!stop) return {};
  std::vector<std::string> stops;
  if (stop->is_string()) {
    stops.push_back(stop->get<std::string>());
  } else if (stop->is_array()) {
    if (stop->size() > kStopsMax) {
      refuse(format("stop: {} strings are more than the limit of {}", stop->size(), kStopsMax),
             "stop", "invalid_value");
    }
    for (std::size_t i = 0; i < stop->size(); ++i)
      stops.push_back(text((*stop)[i], format("stop[{}]", i)));
  } else {
    wrong_type("stop", "a string or an array of strings", *stop);
  }
  for (const std::string& s : stops) {
    if (s.empty() || s.size() > kStopBytesMax) {
      refuse(format("stop: a string of {} bytes; send 1 to {} bytes", s.size(), kStopBytesMax),
             "stop", "invalid_value");
    }
  }
  return stops;
}

// True if the field asks for something: not absent, null, false, 0 or empty.
bool asks(const json& body, std::string_view key) {
  const json* value = find(body, key);
  if (!value) return false;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number()) return value->get<double>() != 0.0;
  return !value->empty();
}

// Fields of the OpenAI API that would change the answer, were they supported.
void refuse_unsupported(const json& body) {
  static constexpr std::string_view kFields[] = {
      "logprobs",         "top_logprobs",      "tools", "functions", "logit_bias",
      "presence_penalty", "frequency_penalty", "echo",  "suffix",    "audio"};
  for (const std::string_view field : kFields) {
    if (asks(body, field)) {
      refuse(format("{} is not supported by this server; leave it out", field), field,
             "unsupported_parameter");
    }
  }
  for (const std::string_view field : {"n", "best_of"}) {
    const auto n = integer(body, field, 1, 128);
    if (n.value_or(1) != 1) {
      refuse(format("{}: {} answers to one request are not supported; send 1", field, *n), field,
             "unsupported_value");
    }
  }
  if (const json* wanted = find(body, "response_format")) {
    if (!wanted->is_object()) wrong_type("response_format", "an object", *wanted);
    const json* type = find(*wanted, "type");
    if (type && text(*type, "response_format.type") != "text") {
      refuse("response_format: only {\"type\":\"text\"} is supported; leave it out",
             "response_format", "unsupported_value");
    }
  }
}

SamplingParams parse_sampling(const json& body) {
  constexpr std::int64_t kTopKMax = 1 << 24;
  SamplingParams p;
  p.temperature = number(body, "temperature", 1.0, 0.0, 2.0);
  p.top_k = static_cast<std::int32_t>(integer(body, "top_k", -1, kTopKMax).value_or(0));
  if (p.top_k < 0) p.top_k = 0;  // -1 says "all" to other servers
  p.top_p = number(body, "top_p", 1.0, 0.0, 1.0);
  if (p.top_p == 0.0) {  // the limit of ever smaller top_p: the most likely token alone
    p.top_p = 1.0;
    p.top_k = 1;
  }
  p.min_p = number(body, "min_p", 0.0, 0.0, 1.0);
  p.repetition_penalty = number(body, "repetition_penalty", 1.0, 0.01, 100.0);
  constexpr auto kAny = std::numeric_limits<std::int64_t>::max();
  p.seed = static_cast<std::uint64_t>(
      integer(body, "seed", std::numeric_limits<std::int64_t>::min(), kAny).value_or(0));
  return p;
}

}  // namespace

CompletionRequest parse_completion_request(Endpoint endpoint, std::string_view body_text) {
  const json body = parse_body(body_text);
  CompletionRequest request;
  request.endpoint = endpoint;
  const json* model = find(body, "model");
  if (!model)
    refuse("model is missing; send one of the ids of /v1/models", "model",
           "missing_required_parameter");
  request.model = text(*model, "model");
  refuse_unsupported(body);
  if (endpoint == Endpoint::Chat) {
    request.messages = parse_messages(body);
  } else {
    request.prompt = parse_prompt(body);
  }
  constexpr auto kAny = std::numeric_limits<std::int64_t>::max();
  request.n_gen_max = integer(body, "max_completion_tokens", 1, kAny);
  if (request.n_gen_max) {
    request.n_gen_max_param = "max_completion_tokens";
  } else {
    request.n_gen_max = integer(body, "max_tokens", 1, kAny);
  }
  request.sampling = parse_sampling(body);
  request.has_seed = find(body, "seed") != nullptr;
  request.stops = parse_stops(body);
  request.stream = boolean(body, "stream");
  if (const json* options = find(body, "stream_options")) {
    if (!options->is_object()) wrong_type("stream_options", "an object", *options);
    request.include_usage = boolean(*options, "include_usage");
  }
  return request;
}

}  // namespace tinderbox
