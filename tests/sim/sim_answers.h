// Answers that anybody can work out: a token follows from its prompt and place alone, so that one
// given to the wrong client, twice, or out of order is seen.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "box/executor.h"
#include "http/text_codec.h"
#include "sim_plan.h"

namespace tinderbox::sim {

inline constexpr TokenId kAnswerEnd = 256, kPromptEnd = 257;

// A token is a byte of text; prompts end with kPromptEnd.
class ByteCodec final : public TextCodec {
 public:
  explicit ByteCodec(bool end_tokens);
  EncodedPrompt encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_max,
                            const std::string& variables_json = {}) const override;
  std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<const Grammar>) const override { return nullptr; }
  EncodedPrompt encode_text(std::string_view text, std::int64_t n_max) const override;
  EncodedPrompt encode_ids(std::vector<TokenId> ids) const override;
  std::string_view piece(TokenId id, std::int64_t index) const override;
  const std::vector<TokenId>& end_tokens() const override { return end_tokens_; }

 private:
  std::string bytes_;
  std::vector<TokenId> end_tokens_;
};

// The index-th token of the answer to a prompt: letters, and characters of two to four bytes; now
// and then, if asked, the end.
TokenId answer_token(std::span<const TokenId> prompt, std::int64_t index, bool ends);
// Of a sequence without ids: the one that stands at this place, prompt counted.
TokenId answer_token(SeqId seq, std::int64_t place);

// What a step takes that works on so many tokens.
Duration step_time(std::int64_t n_tokens);

class FormulaExecutor final : public Executor {
 public:
  explicit FormulaExecutor(const Plan& plan) : plan_(plan), random_(plan.seed, Stream::Faults) {}
  StepResult run(const Step& step, TimePoint start) override;

 private:
  const Plan& plan_;
  Random random_;
};

}  // namespace tinderbox::sim
