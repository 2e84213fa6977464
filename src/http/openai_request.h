// The bodies of /v1/chat/completions and /v1/completions, checked: every field we use has its type,
// range and limit verified, unknown fields are ignored, and what would change the answer but is not
// supported is refused by name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/sampling.h"
#include "http/answer_form.h"
#include "http/chat_tools.h"
#include "http/route_table.h"
#include "model/chat_template.h"
#include "model/grammar.h"

namespace tinderbox {

enum class Endpoint : std::uint8_t { Chat, Completions };

// A text, or its tokens.
using PromptInput = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest {
  Endpoint endpoint = Endpoint::Chat;
  std::string model;
  std::vector<ChatMessage> messages;                       // Chat
  std::vector<PromptInput> prompts;                             // Completions: one or more
  std::optional<std::int64_t> n_gen_max;                   // >= 1; absent: the endpoint's default
  std::string n_gen_max_param = "max_tokens";              // the name it was given by
  SamplingParams sampling;
  bool has_seed = false;
  Tools tools;             // Chat
  SamplingExtras extras;   // without n_prompt
  std::int32_t n = 1;      // answers to each prompt
  AnswerForm form;
  std::string variables_json = {};  // Chat: of its template; empty: none
  std::shared_ptr<const Grammar> grammar = {};  // of form and tools, with calls that are tagged; null: none
  bool must() const { return form.kind != AnswerForm::Kind::Text || tools.must_call; }  // be of it from the beginning
  bool echo = false;       // Completions: the prompt comes before the answer
  std::vector<std::string> stops;
  bool stream = false, include_usage = false;
};

// The field messages. Throws RequestError.
std::vector<ChatMessage> parse_messages(const nlohmann::json& body);

// A field that is one prompt or several: strings, or arrays of token ids. Throws RequestError.
std::vector<PromptInput> parse_prompts(const nlohmann::json& body, std::string_view field);

// Throws RequestError.
CompletionRequest parse_completion_request(Endpoint endpoint, std::string_view body);

}  // namespace tinderbox
