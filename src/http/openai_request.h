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

#include "base/error.h"
#include "base/sampling.h"
#include "model/chat_template.h"

namespace tinderbox {

// A request that cannot be served, with what the OpenAI error object says beside the message.
class RequestError : public Error {
 public:
  RequestError(int status, std::string message, std::string param = {}, std::string code = {});
  int status() const { return status_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }

 private:
  int status_;
  std::string param_, code_;
};

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
