// The body of POST /v1/responses, checked, as the body of a chat: OpenAI's newer interface asks for the same answers in
// other words. What would change the answer but is not supported is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/http.h"
#include "http/response_store.h"

namespace tinderbox {

struct ResponsesRequest {
  std::string chat_body;      // of /v1/chat/completions, streamed, with usage
  std::string messages_json;  // the conversation so far, without instructions
  std::string echo_json;      // members of the Response object that say what was asked, without braces
  bool stream = false, store = true;
};

// key: of the caller, for what is stored. Throws RequestError.
ResponsesRequest parse_responses_request(std::string_view body, const ResponseStore& store, std::uint64_t key);

// messages_json and what these items of an answer add to it.
std::string with_items(std::string_view messages_json, const std::vector<std::pair<std::string, std::string>>& items);

// A chat's refusal in the names of this interface.
HttpResponse responses_error_of(HttpResponse error);

}  // namespace tinderbox
