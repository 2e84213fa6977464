// Between text and what the scheduler runs. Two implementations: the tokenizer of a real model, and
// a placeholder for weightless serving, where only the number of tokens is real. Immutable; any
// thread may use them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/chat_template.h"
#include "model/token_mask.h"
#include "model/tokenizer.h"

namespace tinderbox {

struct EncodedPrompt {
  std::vector<TokenId> tokens;  // empty when only the count is real
  std::int64_t n_tokens = 0;    // >= 1
  bool thinking = false;        // its end opens the answer's reasoning
};

// What a chat template knows beside messages.
struct ChatFeatures {
  bool tools = false, reasons = false;
  bool bare_calls = false;  // it has the model call tools without tags
};

class TextCodec {
 public:
  virtual ~TextCodec() = default;
  // n_tokens_max: texts that cannot fit are given back with a lower bound of their count and no
  // tokens, so that a huge prompt costs no tokenising. Throws Error::Invalid if the template
  // refuses the messages.
  // variables_json: ChatContext's.
  virtual EncodedPrompt encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_tokens_max,
                                    const std::string& variables_json = {}) const = 0;
  virtual ChatFeatures chat_features() const { return {}; }
  virtual EncodedPrompt encode_text(std::string_view text, std::int64_t n_tokens_max) const = 0;
  // A prompt that came as ids. Throws Error::Invalid naming the first id outside the vocabulary.
  virtual EncodedPrompt encode_ids(std::vector<TokenId> ids) const = 0;
  // The bytes of the answer's index-th token as shown; "" for control tokens.
  virtual std::string_view piece(TokenId id, std::int64_t index) const = 0;
  // Tokens that end an answer; empty: only the length does.
  virtual const std::vector<TokenId>& end_tokens() const = 0;
  // For one answer that must be of this grammar. null: there is no vocabulary to choose from.
  virtual std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<const Grammar> grammar) const = 0;
};

class TokenizerCodec final : public TextCodec {
 public:
  // now_unix: UTC seconds, for templates that write the date; without it they refuse.
  TokenizerCodec(Tokenizer tokenizer, ChatTemplate chat,
                 std::function<std::int64_t()> now_unix = {});
  EncodedPrompt encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_tokens_max,
                            const std::string& variables_json = {}) const override;
  ChatFeatures chat_features() const override {
    const bool tools = chat_.mentions("tools");
    return {.tools = tools,
            .reasons = chat_.mentions("<think>"),
            .bare_calls = tools && !chat_.mentions("<tool_call>")};
  }
  EncodedPrompt encode_text(std::string_view text, std::int64_t n_tokens_max) const override;
  EncodedPrompt encode_ids(std::vector<TokenId> ids) const override;
  std::string_view piece(TokenId id, std::int64_t index) const override;
  const std::vector<TokenId>& end_tokens() const override { return tokenizer_.end_tokens(); }
  std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<const Grammar> grammar) const override {
    return std::make_shared<GrammarConstraint>(std::move(grammar), vocabulary_);
  }

 private:
  EncodedPrompt encode(std::string_view text, bool parse_special, std::int64_t n_tokens_max) const;

  Tokenizer tokenizer_;
  ChatTemplate chat_;
  std::function<std::int64_t()> now_unix_;
  std::string bos_text_, eos_text_;
  std::shared_ptr<const SortedVocabulary> vocabulary_;
  std::int64_t piece_bytes_max_ = 1;  // the longest token: bounds the count from below
};

// Counts four bytes as a token, and answers in words that nobody can take for a model's.
class PlaceholderCodec final : public TextCodec {
 public:
  static constexpr std::string_view kMark = "[weightless placeholder text] ";
  EncodedPrompt encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_tokens_max,
                            const std::string& variables_json = {}) const override;
  EncodedPrompt encode_text(std::string_view text, std::int64_t n_tokens_max) const override;
  EncodedPrompt encode_ids(std::vector<TokenId> ids) const override;
  std::string_view piece(TokenId id, std::int64_t index) const override;
  const std::vector<TokenId>& end_tokens() const override { return end_tokens_; }
  std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<const Grammar>) const override { return nullptr; }

 private:
  std::vector<TokenId> end_tokens_;
};

}  // namespace tinderbox
