#include "http/text_codec.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

namespace {

std::int64_t size_of(std::string_view text) { return static_cast<std::int64_t>(text.size()); }

void check_ids(const std::vector<TokenId>& ids, TokenId n_vocab) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < n_vocab) continue;
    throw_invalid(format("prompt[{}]: token id {} is outside the vocabulary; use ids from 0 to {}",
                         i, ids[i], n_vocab - 1));
  }
}

// Bytes a token stands for in weightless serving: the usual rule of thumb for English text.
constexpr std::int64_t kBytesPerToken = 4;

EncodedPrompt counted(std::int64_t bytes) {
  return {.tokens = {},
          .n_tokens = std::max<std::int64_t>(1, (bytes + kBytesPerToken - 1) / kBytesPerToken)};
}

constexpr std::array<std::string_view, 32> kWords = {
    "lorem ",  "ipsum ",  "dolor ",   "sit ",      "amet ",    "consectetur ", "adipiscing ",
    "elit ",   "sed ",    "do ",      "eiusmod ",  "tempor ",  "ut ",          "labore ",
    "et ",     "dolore ", "magna ",   "aliqua ",   "enim ",    "ad ",          "minim ",
    "veniam ", "quis ",   "nostrud ", "ullamco ",  "laboris ", "nisi ",        "aliquip ",
    "ex ",     "ea ",     "commodo ", "consequat "};

}  // namespace

TokenizerCodec::TokenizerCodec(Tokenizer tokenizer, ChatTemplate chat,
                               std::function<std::int64_t()> now_unix)
    : tokenizer_(std::move(tokenizer)), chat_(std::move(chat)), now_unix_(std::move(now_unix)) {
  if (const auto bos = tokenizer_.bos()) bos_text_ = tokenizer_.special_piece(*bos);
  if (const auto eos = tokenizer_.eos()) eos_text_ = tokenizer_.special_piece(*eos);
  std::vector<std::string> pieces;
  for (TokenId id = 0; id < tokenizer_.n_vocab(); ++id) {
    pieces.emplace_back(tokenizer_.is_control(id) ? std::string_view() : tokenizer_.piece(id));
    piece_bytes_max_ = std::max(piece_bytes_max_, size_of(tokenizer_.special_piece(id)));
    piece_bytes_max_ = std::max(piece_bytes_max_, size_of(tokenizer_.piece(id)));
  }
  vocabulary_ = std::make_shared<const SortedVocabulary>(std::move(pieces), tokenizer_.end_tokens());
}

EncodedPrompt TokenizerCodec::encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_tokens_max,
                                          const std::string& variables_json) const {
  // Messages that cannot fit are not worth rendering.
  std::int64_t bytes = size_of(variables_json);
  for (const ChatMessage& m : messages) bytes += size_of(m.content);
  const std::int64_t n_min = bytes / piece_bytes_max_;
  if (n_min > n_tokens_max) return {.tokens = {}, .n_tokens = n_min};
  ChatContext context;
  context.messages = messages;
  context.bos_token = bos_text_;
  context.eos_token = eos_text_;
  context.variables_json = variables_json;
  if (now_unix_) context.now_unix = now_unix_();
  const std::string text = chat_.render(context);
  EncodedPrompt prompt = encode(text, true, n_tokens_max);
  const std::size_t end = text.find_last_not_of(" \n");
  prompt.thinking = end != std::string::npos && std::string_view(text).substr(0, end + 1).ends_with("<think>");
  return prompt;
}

EncodedPrompt TokenizerCodec::encode_text(std::string_view text, std::int64_t n_tokens_max) const {
  return encode(text, false, n_tokens_max);
}

EncodedPrompt TokenizerCodec::encode(std::string_view text, bool parse_special,
                                     std::int64_t n_tokens_max) const {
  const std::int64_t n_min = size_of(text) / piece_bytes_max_;
  if (n_min > n_tokens_max) return {.tokens = {}, .n_tokens = n_min};
  // Some templates write the BOS token themselves.
  const bool has_bos = parse_special && !bos_text_.empty() && text.starts_with(bos_text_);
  EncodedPrompt prompt{.tokens = tokenizer_.encode(text, parse_special, !has_bos), .n_tokens = 0};
  if (prompt.tokens.empty()) {
    // A model needs one token to start from; an empty text gets the one that separates documents.
    const auto start = tokenizer_.bos() ? tokenizer_.bos() : tokenizer_.eos();
    if (!start)
      throw_invalid("prompt: this model has no token for an empty prompt; send some text");
    prompt.tokens.push_back(*start);
  }
  prompt.n_tokens = static_cast<std::int64_t>(prompt.tokens.size());
  return prompt;
}

EncodedPrompt TokenizerCodec::encode_ids(std::vector<TokenId> ids) const {
  check_ids(ids, tokenizer_.n_vocab());
  EncodedPrompt prompt{.tokens = std::move(ids), .n_tokens = 0};
  prompt.n_tokens = static_cast<std::int64_t>(prompt.tokens.size());
  return prompt;
}

std::string_view TokenizerCodec::piece(TokenId id, std::int64_t /*index*/) const {
  return tokenizer_.piece(id);
}

EncodedPrompt PlaceholderCodec::encode_chat(const std::vector<ChatMessage>& messages, std::int64_t /*n_tokens_max*/,
                                            const std::string& variables_json) const {
  std::int64_t bytes = size_of(variables_json);
  for (const ChatMessage& m : messages) bytes += size_of(m.role) + size_of(m.content);
  return counted(bytes);
}

EncodedPrompt PlaceholderCodec::encode_text(std::string_view text,
                                            std::int64_t /*n_tokens_max*/) const {
  return counted(size_of(text));
}

EncodedPrompt PlaceholderCodec::encode_ids(std::vector<TokenId> ids) const {
  // No vocabulary is known: every id a vocabulary could have is as good as another.
  check_ids(ids, 1 << 24);
  return {.tokens = {}, .n_tokens = static_cast<std::int64_t>(ids.size())};
}

std::string_view PlaceholderCodec::piece(TokenId id, std::int64_t index) const {
  if (index == 0) return kMark;
  const auto word = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(id)) +
                     static_cast<std::uint64_t>(index)) %
                    kWords.size();
  return kWords[word];
}

}  // namespace tinderbox
