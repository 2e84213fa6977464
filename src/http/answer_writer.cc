#include "http/answer_writer.h"

#include "base/text.h"
#include "http/http.h"

namespace tinderbox {

namespace {

std::string usage_object(const Usage& usage) {
  return format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})",
                usage.prompt_tokens, usage.completion_tokens,
                usage.prompt_tokens + usage.completion_tokens);
}

}  // namespace

AnswerWriter::AnswerWriter(AnswerHead head, bool include_usage)
    : head_(std::move(head)), include_usage_(include_usage) {
  chunk_head_ = "data: " + this->head(head_.endpoint == Endpoint::Chat ? "chat.completion.chunk"
                                                                       : "text_completion");
}

std::string AnswerWriter::head(std::string_view object) const {
  std::string out = R"({"id":)";
  append_json_string(out, head_.id);
  out += R"(,"object":)";
  append_json_string(out, object);
  out += format(R"(,"created":{},"model":)", head_.created_unix);
  append_json_string(out, head_.model);
  out += R"(,"system_fingerprint":)";
  append_json_string(out, head_.system_fingerprint);
  out += R"(,"choices":[)";
  return out;
}

void AnswerWriter::chunk(std::string& out, std::string_view choice) const {
  out += chunk_head_;
  out += choice;
  out += include_usage_ ? "],\"usage\":null}\n\n" : "]}\n\n";
}

void AnswerWriter::open(std::string& out) const {
  if (head_.endpoint != Endpoint::Chat) return;
  chunk(
      out,
      R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})");
}

void AnswerWriter::text(std::string& out, std::string_view delta) const {
  const bool chat = head_.endpoint == Endpoint::Chat;
  std::string choice = chat ? R"({"index":0,"delta":{"content":)" : R"({"index":0,"text":)";
  append_json_string(choice, delta);
  choice += chat ? R"(},"logprobs":null,"finish_reason":null})"
                 : R"(,"logprobs":null,"finish_reason":null})";
  chunk(out, choice);
}

void AnswerWriter::close(std::string& out, std::string_view finish_reason,
                         const Usage& usage) const {
  std::string choice = head_.endpoint == Endpoint::Chat
                           ? R"({"index":0,"delta":{},"logprobs":null,"finish_reason":)"
                           : R"({"index":0,"text":"","logprobs":null,"finish_reason":)";
  append_json_string(choice, finish_reason);
  choice += '}';
  chunk(out, choice);
  if (include_usage_) out += chunk_head_ + "],\"usage\":" + usage_object(usage) + "}\n\n";
  out += "data: [DONE]\n\n";
}

void AnswerWriter::error(std::string& out, std::string_view error_object) {
  out += "data: ";
  out += error_object;
  out += "\n\n";
}

std::string AnswerWriter::whole(std::string_view text, std::string_view finish_reason,
                                const Usage& usage) const {
  const bool chat = head_.endpoint == Endpoint::Chat;
  std::string out = head(chat ? "chat.completion" : "text_completion");
  out += chat ? R"({"index":0,"message":{"role":"assistant","content":)" : R"({"index":0,"text":)";
  append_json_string(out, text);
  out += chat ? R"(,"refusal":null},"logprobs":null,"finish_reason":)"
              : R"(,"logprobs":null,"finish_reason":)";
  append_json_string(out, finish_reason);
  out += "}],\"usage\":" + usage_object(usage) + "}";
  return out;
}

}  // namespace tinderbox
