// Writes the OpenAI reply objects of one request: the whole object, or server-sent events chunk by
// chunk. Chunks are formatted directly, without a document tree, because there is one for every
// token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/chat_text.h"
#include "http/openai_request.h"

namespace tinderbox {

struct AnswerHead {
  Endpoint endpoint = Endpoint::Chat;
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  std::int64_t created_unix = 0;
  std::string model;
  std::string system_fingerprint;
};

struct Usage {
  std::int64_t prompt_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
};

// A token as it is told with logprobs. bytes may be no whole characters.
struct LoggedToken {
  std::string bytes;
  float logprob = 0;
  std::vector<std::pair<std::string, float>> top = {};
};

// One of the answers to a request, when it is complete.
struct WholeChoice {
  std::string text, reasoning = {};
  std::vector<ToolCall> calls = {};
  std::string_view finish_reason;
  std::vector<LoggedToken> logged = {};
};

// All text must be well-formed UTF-8.
class AnswerWriter {
 public:
  // include_usage: chunks carry usage:null and a last chunk carries the usage, as the API's
  // stream_options ask. logprobs: choices carry them.
  AnswerWriter(AnswerHead head, bool include_usage, bool logprobs = false);

  void open(std::string& out, int choice) const;  // the first chunk of a choice: who speaks
  void text(std::string& out, int choice, std::string_view delta, const std::vector<LoggedToken>& logged) const;
  // The same of what is not only text. n_calls: that came before.
  void chat(std::string& out, int choice, const ChatDelta& delta, std::size_t n_calls,
            const std::vector<LoggedToken>& logged) const;
  void close(std::string& out, int choice, std::string_view finish_reason) const;
  void end(std::string& out, const Usage& usage) const;  // ... data: [DONE]
  // An error after the status line is out.
  static void error(std::string& out, std::string_view error_object);

  std::string whole(const std::vector<WholeChoice>& choices, const Usage& usage) const;

 private:
  void chunk(std::string& out, std::string_view choice) const;
  std::string head(std::string_view object) const;
  void append_calls(std::string& out, int choice, const std::vector<ToolCall>& calls, std::size_t n_before,
                    bool numbered) const;
  std::string logprobs_object(const std::vector<LoggedToken>& logged, std::int64_t offset) const;

  AnswerHead head_;
  bool include_usage_, logprobs_;
  std::string chunk_head_;  // "data: {...,"choices":[", the same for every chunk
};

}  // namespace tinderbox
