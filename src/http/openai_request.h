// The bodies of /v1/chat/completions and /v1/completions, checked: every field we use has its type,
// range and limit verified, unknown fields are ignored, and what would change the answer but is not
// supported is refused by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/sampling.h"
#include "http/route_table.h"
#include "model/chat_template.h"

namespace tinderbox {

enum class Endpoint : std::uint8_t { Chat, Completions };

struct CompletionRequest {
  Endpoint endpoint = Endpoint::Chat;
  std::string model;
  std::vector<ChatMessage> messages;                       // Chat
  std::variant<std::string, std::vector<TokenId>> prompt;  // Completions
  std::optional<std::int64_t> n_gen_max;                   // >= 1; absent: the endpoint's default
  std::string n_gen_max_param = "max_tokens";              // the name it was given by
  SamplingParams sampling;
  bool has_seed = false;
  std::vector<std::string> stops;
  bool stream = false, include_usage = false;
};

// Throws RequestError.
CompletionRequest parse_completion_request(Endpoint endpoint, std::string_view body);

}  // namespace tinderbox
