#include "http/answer_writer.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "http/http.h"

namespace tinderbox {

namespace {

std::string usage_object(const Usage& usage) {
  std::string out = format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{})", usage.prompt_tokens,
                           usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens);
  // No prompt is found in a cache yet: the server's scheduler keeps none.
  out += R"(,"prompt_tokens_details":{"cached_tokens":0})";
  return out + format(R"(,"completion_tokens_details":{{"reasoning_tokens":{}}}}})", usage.reasoning_tokens);
}

// "token":"...","logprob":x,"bytes":[...]: what is no text becomes U+FFFD there, and is exact in the bytes.
void append_token(std::string& out, std::string_view bytes, float logprob) {
  out += R"("token":)";
  append_json_string(out, to_valid_utf8(bytes));
  // JSON knows no infinity; OpenAI says -9999 for a token that could not come.
  out += format(R"(,"logprob":{},"bytes":[)", std::isfinite(logprob) ? logprob : -9999.0F);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out += format("{}{}", i == 0 ? "" : ",", static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
  }
  out += ']';
}

std::string chat_logprobs(const std::vector<LoggedToken>& logged) {
  std::string out = R"({"content":[)";
  for (const LoggedToken& token : logged) {
    out += &token == logged.data() ? "{" : ",{";
    append_token(out, token.bytes, token.logprob);
    out += R"(,"top_logprobs":[)";
    for (const auto& [bytes, logprob] : token.top) {
      out += &bytes == &token.top.front().first ? "{" : ",{";
      append_token(out, bytes, logprob);
      out += '}';
    }
    out += "]}";
  }
  return out + R"(],"refusal":null})";
}

// Four lists side by side, as /v1/completions has them. offset: in characters of the text, of the first token.
std::string text_logprobs(const std::vector<LoggedToken>& logged, std::int64_t offset) {
  std::string tokens, logprobs, tops, offsets;
  for (const LoggedToken& token : logged) {
    const char* comma = &token == logged.data() ? "" : ",";
    const std::string text = to_valid_utf8(token.bytes);
    tokens += comma;
    append_json_string(tokens, text);
    logprobs += format("{}{}", comma, std::isfinite(token.logprob) ? token.logprob : -9999.0F);
    offsets += format("{}{}", comma, offset);
    offset += std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
    tops += comma;
    tops += '{';
    std::vector<std::string> seen;  // different bytes may read alike
    for (const auto& [bytes, logprob] : token.top) {
      std::string name = to_valid_utf8(bytes);
      if (std::ranges::find(seen, name) != seen.end()) continue;
      if (!seen.empty()) tops += ',';
      append_json_string(tops, name);
      tops += format(":{}", std::isfinite(logprob) ? logprob : -9999.0F);
      seen.push_back(std::move(name));
    }
    tops += '}';
  }
  return format(R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})", tokens, logprobs,
                tops, offsets);
}

}  // namespace

AnswerWriter::AnswerWriter(AnswerHead head, bool include_usage, bool logprobs)
    : head_(std::move(head)), include_usage_(include_usage), logprobs_(logprobs) {
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

std::string AnswerWriter::logprobs_object(const std::vector<LoggedToken>& logged, std::int64_t offset) const {
  if (!logprobs_ || logged.empty()) return "null";
  return head_.endpoint == Endpoint::Chat ? chat_logprobs(logged) : text_logprobs(logged, offset);
}

void AnswerWriter::open(std::string& out, int choice) const {
  if (head_.endpoint != Endpoint::Chat) return;
  chunk(out, format(R"({{"index":{},"delta":{{"role":"assistant","content":""}},)"
                    R"("logprobs":null,"finish_reason":null}})",
                    choice));
}

void AnswerWriter::text(std::string& out, int choice, std::string_view delta,
                        const std::vector<LoggedToken>& logged) const {
  const bool chat = head_.endpoint == Endpoint::Chat;
  std::string body = format(R"({{"index":{},)", choice);
  body += chat ? R"("delta":{"content":)" : R"("text":)";
  append_json_string(body, delta);
  body += chat ? R"(},"logprobs":)" : R"(,"logprobs":)";
  body += logprobs_object(logged, 0);
  body += R"(,"finish_reason":null})";
  chunk(out, body);
}

// Ids tell the calls of an answer apart, and those of different answers.
void AnswerWriter::append_calls(std::string& out, int choice, const std::vector<ToolCall>& calls,
                                std::size_t n_before, bool numbered) const {
  out += R"("tool_calls":[)";
  for (std::size_t i = 0; i < calls.size(); ++i) {
    out += i == 0 ? "{" : ",{";
    if (numbered) out += format(R"("index":{},)", n_before + i);
    out += R"("id":)";
    append_json_string(out, format("call_{}_{}_{}", head_.id.substr(head_.id.find('-') + 1), choice, n_before + i));
    out += R"(,"type":"function","function":{"name":)";
    append_json_string(out, to_valid_utf8(calls[i].name));
    out += R"(,"arguments":)";
    append_json_string(out, to_valid_utf8(calls[i].arguments));
    out += "}}";
  }
  out += ']';
}

void AnswerWriter::chat(std::string& out, int choice, const ChatDelta& delta, std::size_t n_calls,
                        const std::vector<LoggedToken>& logged) const {
  if (delta.reasoning.empty() && delta.calls.empty()) return text(out, choice, delta.content, logged);
  std::string body = format(R"({{"index":{},"delta":{{)", choice);
  const char* comma = "";
  if (!delta.reasoning.empty()) {
    body += R"("reasoning_content":)";
    append_json_string(body, delta.reasoning);
    comma = ",";
  }
  if (!delta.content.empty()) {
    body += comma;
    body += R"("content":)";
    append_json_string(body, delta.content);
    comma = ",";
  }
  if (!delta.calls.empty()) {
    body += comma;
    append_calls(body, choice, delta.calls, n_calls, true);
  }
  body += R"(},"logprobs":)";
  body += logprobs_object(logged, 0);
  body += R"(,"finish_reason":null})";
  chunk(out, body);
}

void AnswerWriter::close(std::string& out, int choice, std::string_view finish_reason) const {
  std::string body = format(R"({{"index":{},)", choice);
  body += head_.endpoint == Endpoint::Chat ? R"("delta":{})" : R"("text":"")";
  body += R"(,"logprobs":null,"finish_reason":)";
  append_json_string(body, finish_reason);
  body += '}';
  chunk(out, body);
}

void AnswerWriter::end(std::string& out, const Usage& usage) const {
  if (include_usage_) out += chunk_head_ + "],\"usage\":" + usage_object(usage) + "}\n\n";
  out += "data: [DONE]\n\n";
}

void AnswerWriter::error(std::string& out, std::string_view error_object) {
  out += "data: ";
  out += error_object;
  out += "\n\n";
}

std::string AnswerWriter::whole(const std::vector<WholeChoice>& choices, const Usage& usage) const {
  const bool chat = head_.endpoint == Endpoint::Chat;
  std::string out = head(chat ? "chat.completion" : "text_completion");
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const WholeChoice& choice = choices[i];
    if (i > 0) out += ',';
    out += format(R"({{"index":{},)", i);
    out += chat ? R"("message":{"role":"assistant","content":)" : R"("text":)";
    if (chat && choice.text.empty() && !choice.calls.empty()) {
      out += "null";
    } else {
      append_json_string(out, choice.text);
    }
    if (!choice.reasoning.empty()) {
      out += R"(,"reasoning_content":)";
      append_json_string(out, choice.reasoning);
    }
    if (!choice.calls.empty()) {
      out += ',';
      append_calls(out, static_cast<int>(i), choice.calls, 0, false);
    }
    out += chat ? R"(,"refusal":null},"logprobs":)" : R"(,"logprobs":)";
    out += logprobs_object(choice.logged, 0);
    out += R"(,"finish_reason":)";
    append_json_string(out, choice.finish_reason);
    out += '}';
  }
  out += "],\"usage\":" + usage_object(usage) + "}";
  return out;
}

}  // namespace tinderbox
