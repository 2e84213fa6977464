// Writes the OpenAI reply objects of one answer: the whole object, or server-sent events chunk by
// chunk. Chunks are formatted directly, without a document tree, because there is one for every
// token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
};

// All text must be well-formed UTF-8.
class AnswerWriter {
 public:
  // include_usage: chunks carry usage:null and a last chunk carries the usage, as the API's
  // stream_options ask.
  AnswerWriter(AnswerHead head, bool include_usage);

  void open(std::string& out) const;  // the first chunk: who speaks
  void text(std::string& out, std::string_view delta) const;
  void close(std::string& out, std::string_view finish_reason,
             const Usage& usage) const;  // ... data: [DONE]
  // An error after the status line is out.
  static void error(std::string& out, std::string_view error_object);

  std::string whole(std::string_view text, std::string_view finish_reason,
                    const Usage& usage) const;

 private:
  void chunk(std::string& out, std::string_view choice) const;
  std::string head(std::string_view object) const;

  AnswerHead head_;
  bool include_usage_;
  std::string chunk_head_;  // "data: {...,"choices":[", the same for every chunk
};

}  // namespace tinderbox
