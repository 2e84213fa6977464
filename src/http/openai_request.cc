#include "http/openai_request.h"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/json_body.h"

namespace tinderbox {

namespace {

using nlohmann::json;

constexpr std::size_t kMessagesMax = 4096;
constexpr std::size_t kPromptsMax = 128;
constexpr std::int64_t kAnswersMax = 128, kLogprobsMax = 20;
constexpr std::size_t kStopsMax = 4;
constexpr std::size_t kStopBytesMax = 1024;

[[noreturn]] void refuse(std::string message, std::string_view param, std::string_view code = {}) {
  throw RequestError(400, std::move(message), std::string(param), std::string(code));
}

[[noreturn]] void wrong_type(std::string_view param, std::string_view wanted, const json& got) {
  refuse(format("{}: expected {}, got {}; send {} instead", param, wanted, got.type_name(), wanted),
         param, "invalid_type");
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

}  // namespace

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
    if (role != "system" && role != "user" && role != "assistant" && role != "tool") {
      refuse(format("{}.role: {} is not supported; send system, developer, user, assistant or tool",
                    where, role_field->dump()),
             where + ".role", "unsupported_value");
    }
    std::string calls = role == "assistant" ? parse_message_calls(message, where) : std::string();
    messages.push_back({std::move(role), message_content(message, where), std::move(calls)});
  }
  return messages;
}

namespace {

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

PromptInput parse_one_prompt(const json& prompt, const std::string& where) {
  if (prompt.is_string()) return prompt.get<std::string>();
  if (!prompt.is_array()) wrong_type(where, "a string or an array of token ids", prompt);
  if (prompt.empty()) refuse(format("{} is an empty array; send token ids", where), "prompt", "invalid_value");
  return parse_ids(prompt);
}

}  // namespace

std::vector<PromptInput> parse_prompts(const json& body, std::string_view field) {
  const json* prompt = find(body, field);
  const std::string where(field);
  if (!prompt) refuse(format("{} is missing; send a string", field), field, "missing_required_parameter");
  if (prompt->is_string()) return {prompt->get<std::string>()};
  if (!prompt->is_array()) wrong_type(field, "a string, an array of strings, or token ids", *prompt);
  if (prompt->empty()) refuse(format("{} is an empty array; send a string", field), field, "invalid_value");
  if (prompt->front().is_number()) return {parse_ids(*prompt)};
  if (prompt->size() > kPromptsMax) {
    refuse(format("{}: {} of them are more than the limit of {}; send several requests", field, prompt->size(),
                  kPromptsMax),
           field, "invalid_value");
  }
  std::vector<PromptInput> out;
  for (std::size_t i = 0; i < prompt->size(); ++i) {
    out.push_back(parse_one_prompt((*prompt)[i], format("{}[{}]", field, i)));
  }
  return out;
}

namespace {

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
      "functions", "suffix", "audio"};
  for (const std::string_view field : kFields) {
    if (asks(body, field)) {
      refuse(format("{} is not supported by this server; leave it out", field), field,
             "unsupported_parameter");
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

// Chat asks for logprobs by true and a number of likeliest ones, completions by that number.
std::int32_t parse_logprobs(Endpoint endpoint, const json& body) {
  if (endpoint == Endpoint::Completions) {
    return static_cast<std::int32_t>(integer(body, "logprobs", 0, kLogprobsMax).value_or(-1));
  }
  const auto top = integer(body, "top_logprobs", 0, kLogprobsMax);
  if (!boolean(body, "logprobs")) {
    if (top.value_or(0) == 0) return -1;
    refuse("top_logprobs needs \"logprobs\": true; send both", "top_logprobs", "invalid_value");
  }
  return static_cast<std::int32_t>(top.value_or(0));
}

// {"50256": -100}: token ids as names.
std::vector<std::pair<TokenId, float>> parse_bias(const json& body) {
  constexpr double kMost = 100;
  constexpr std::size_t kTokensMax = 1024;
  const json* bias = find(body, "logit_bias");
  if (!bias) return {};
  if (!bias->is_object()) wrong_type("logit_bias", "an object of token ids and numbers", *bias);
  if (bias->size() > kTokensMax) {
    refuse(format("logit_bias: {} tokens are more than the limit of {}", bias->size(), kTokensMax), "logit_bias",
           "invalid_value");
  }
  std::vector<std::pair<TokenId, float>> out;
  for (const auto& [name, value] : bias->items()) {
    const auto id = parse_int(name);
    if (!id || *id < 0 || *id > std::numeric_limits<TokenId>::max()) {
      refuse(format("logit_bias: '{}' is no token id", to_valid_utf8(name)), "logit_bias", "invalid_value");
    }
    if (!value.is_number()) wrong_type("logit_bias", "numbers from -100 to 100", value);
    const double x = value.get<double>();
    if (!(std::abs(x) <= kMost)) {
      refuse(format("logit_bias: {} is out of range; send numbers from -100 to 100", x), "logit_bias", "invalid_value");
    }
    out.emplace_back(static_cast<TokenId>(*id), static_cast<float>(x));
  }
  return out;
}

void parse_extras(const json& body, std::string_view body_text, CompletionRequest& request) {
  request.n = static_cast<std::int32_t>(integer(body, "n", 1, kAnswersMax).value_or(1));
  const auto best_of = integer(body, "best_of", 1, kAnswersMax);
  if (best_of && *best_of != request.n) {
    refuse(format("best_of: {} is not n: all answers are sent, none is chosen; leave it out", *best_of), "best_of",
           "unsupported_value");
  }
  SamplingExtras& extras = request.extras;
  extras.presence_penalty = number(body, "presence_penalty", 0.0, -2.0, 2.0);
  extras.frequency_penalty = number(body, "frequency_penalty", 0.0, -2.0, 2.0);
  extras.n_logprobs = parse_logprobs(request.endpoint, body);
  extras.bias = parse_bias(body);
  request.form = parse_response_format(body, body_text);
  request.echo = request.endpoint == Endpoint::Completions && boolean(body, "echo");
  if (request.echo && extras.n_logprobs >= 0) {
    refuse("echo with logprobs is not supported: a prompt's tokens have none here; leave one out", "echo",
           "unsupported_value");
  }
}

}  // namespace

CompletionRequest parse_completion_request(Endpoint endpoint, std::string_view body_text) {
  const json body = parse_json_object(body_text);
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
    request.tools = parse_tools(body, body_text);
    request.variables_json = parse_template_variables(body, body_text);
  } else {
    request.prompts = parse_prompts(body, "prompt");
  }
  constexpr auto kAny = std::numeric_limits<std::int64_t>::max();
  request.n_gen_max = integer(body, "max_completion_tokens", 1, kAny);
  if (request.n_gen_max) {
    request.n_gen_max_param = "max_completion_tokens";
  } else {
    request.n_gen_max = integer(body, "max_tokens", 1, kAny);
  }
  request.sampling = parse_sampling(body);
  parse_extras(body, body_text, request);
  if (request.tools.must_call && request.form.kind != AnswerForm::Kind::Text) {
    refuse("response_format: a call must come (tool_choice), and no text", "response_format", "invalid_value");
  }
  request.grammar = answer_grammar(request.form, request.tools, CallForm::Tagged);
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
