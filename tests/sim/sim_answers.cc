#include "sim_answers.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "sim_log.h"

namespace tinderbox::sim {

ByteCodec::ByteCodec(bool end_tokens) {
  for (int i = 0; i < 256; ++i) bytes_ += static_cast<char>(i);
  if (end_tokens) end_tokens_ = {kAnswerEnd};
}

EncodedPrompt ByteCodec::encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_max,
                                     const std::string&) const {
  std::string text;
  for (const ChatMessage& m : messages) text += m.content;
  return encode_text(text, n_max);
}

EncodedPrompt ByteCodec::encode_text(std::string_view text, std::int64_t) const {
  EncodedPrompt prompt;
  for (const char c : text) prompt.tokens.push_back(static_cast<unsigned char>(c));
  prompt.tokens.push_back(kPromptEnd);
  prompt.n_tokens = std::ssize(prompt.tokens);
  return prompt;
}

EncodedPrompt ByteCodec::encode_ids(std::vector<TokenId> ids) const {
  const std::int64_t n = std::ssize(ids);
  return {.tokens = std::move(ids), .n_tokens = n};
}

std::string_view ByteCodec::piece(TokenId id, std::int64_t) const {
  if (id < 0 || id >= 256) return {};
  return std::string_view(bytes_).substr(static_cast<std::size_t>(id), 1);
}

TokenId answer_token(std::span<const TokenId> prompt, std::int64_t index, bool ends) {
  static constexpr std::array<std::string_view, 4> kWide = {"\xC3\xA9", "\xE2\x82\xAC",
                                                            "\xF0\x9F\x98\x80", "\xC3\x9F"};
  std::uint64_t hash = 1;
  for (const TokenId id : prompt) hash = mixed(hash, static_cast<std::uint64_t>(id));
  for (std::int64_t at = 0;;) {
    hash = mixed(hash, static_cast<std::uint64_t>(at));
    const std::uint64_t kind = (hash >> 20) % 64;
    if (kind >= 4) {
      if (at == index)
        return ends && kind == 63 ? kAnswerEnd : static_cast<TokenId>('a' + kind % 26);
      ++at;
      continue;
    }
    const std::string_view bytes = kWide[kind];
    if (index - at < std::ssize(bytes))
      return static_cast<unsigned char>(bytes[static_cast<std::size_t>(index - at)]);
    at += std::ssize(bytes);
  }
}

TokenId answer_token(SeqId seq, std::int64_t place) {
  return static_cast<TokenId>('a' + (seq * 5 + place) % 26);
}

Duration step_time(std::int64_t n_tokens) { return Duration(1'000'000 + 50'000 * n_tokens); }

StepResult FormulaExecutor::run(const Step& step, TimePoint start) {
  CHECK(!step.items.empty());
  StepResult result;
  result.end = start + step_time(step.n_tokens);
  if (plan_.stalls && random_.range(0, 30) == 0)
    result.end += Duration(random_.range(1, 40'000'000));
  for (const StepItem& item : step.items) {
    if (!item.samples) continue;
    const auto end = std::ranges::find(item.history, kPromptEnd);
    const std::ptrdiff_t n_prompt = end - item.history.begin() + 1;
    if (item.history.empty()) {
      result.sampled.push_back(answer_token(item.seq, item.n_past + item.n_new));
      continue;
    }
    CHECK(end != item.history.end());
    result.sampled.push_back(answer_token(item.history.first(static_cast<std::size_t>(n_prompt)),
                                          std::ssize(item.history) - n_prompt, plan_.end_tokens));
  }
  return result;
}

}  // namespace tinderbox::sim
