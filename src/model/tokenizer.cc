// Which kind a file has, its special tokens, and the way back to text. Written-out special tokens
// are found leftmost first and longest at one place; the text between them goes to the BPE or the
// SentencePiece half.
#include "model/tokenizer.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <variant>

#include "base/error.h"
#include "base/text.h"
#include "model/pretokenizer.h"
#include "model/tokenizer_vocab.h"

namespace tinderbox {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581, SentencePiece's space
constexpr std::size_t kTextBytesMax = std::size_t{1} << 30;
constexpr std::size_t kSpecialBytesMax = 256;  // longer names are never recognised in text

// Control tokens that end an answer, whatever the file's eos says. Source: the chat templates of
// the shipped families.
constexpr std::array<std::string_view, 12> kEndNames = {
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>",   "</s>",
    "<|return|>", "<|call|>",   "<|end|>",    "<end_of_turn>",   "<|end_of_turn|>", "<EOT>"};

// Tokens whose names may stand in text.
class SpecialTokens {
 public:
  struct Match {
    std::size_t at, size;
    TokenId id;
  };

  explicit SpecialTokens(const Vocabulary& vocabulary) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      const TokenType type = vocabulary.type(id);
      const std::string& name = vocabulary.piece(id);
      const bool special = type == TokenType::Control || type == TokenType::Unknown ||
                           type == TokenType::UserDefined;
      if (!special || name.empty() || name.size() > kSpecialBytesMax) continue;
      (type == TokenType::UserDefined ? always_ : on_request_).add(name, id);
    }
  }

  // The first one at or after `from`; control tokens count only if wanted.
  std::optional<Match> find(std::string_view text, std::size_t from, bool control) const {
    for (std::size_t at = from; at < text.size(); ++at) {
      std::optional<Match> best = always_.match(text, at);
      if (!control) {
        if (best) return best;
        continue;
      }
      const std::optional<Match> other = on_request_.match(text, at);
      if (other && (!best || other->size > best->size)) best = other;
      if (best) return best;
    }
    return std::nullopt;
  }

 private:
  struct Set {
    std::bitset<256> first;
    std::vector<std::size_t> sizes;  // that occur, longest first
    TokenMap ids;

    void add(const std::string& name, TokenId id) {
      first.set(static_cast<unsigned char>(name[0]));
      ids.emplace(name, id);
      const auto place = std::ranges::lower_bound(sizes, name.size(), std::greater<>());
      if (place == sizes.end() || *place != name.size()) sizes.insert(place, name.size());
    }
    std::optional<Match> match(std::string_view text, std::size_t at) const {
      if (!first.test(static_cast<unsigned char>(text[at]))) return std::nullopt;
      for (const std::size_t size : sizes) {
        if (size > text.size() - at) continue;
        const auto found = ids.find(text.substr(at, size));
        if (found != ids.end()) return Match{at, size, found->second};
      }
      return std::nullopt;
    }
  };
  Set always_, on_request_;
};

// The byte-level half: words, then merges.
struct BpeEncoder {
  PreTokenizer words;
  Bpe bpe;

  void encode(std::string_view text, const Vocabulary& vocabulary,
              std::vector<TokenId>& out) const {
    for (const std::string_view word : split_words(text, words)) bpe.encode(word, vocabulary, out);
  }
};

// The SentencePiece half: spaces become visible and, if the model wants it, one stands before the
// text.
struct SpmEncoder {
  bool space_prefix;
  Spm spm;

  void encode(std::string_view text, const Vocabulary& vocabulary,
              std::vector<TokenId>& out) const {
    std::string marked;
    marked.reserve(text.size() + 16);
    if (space_prefix) marked += kSpaceMark;
    for (const char c : text) {
      if (c == ' ') {
        marked += kSpaceMark;
      } else {
        marked += c;
      }
    }
    spm.encode(marked, vocabulary, out);
  }
};

using Encoder = std::variant<BpeEncoder, SpmEncoder>;

bool prefers_bos(std::string_view kind, std::string_view pre) {
  return kind == "llama" || pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3" ||
         pre == "tekken";
}

Encoder load_encoder(const Gguf& file, std::string_view kind, std::string_view pre,
                     const Vocabulary& vocabulary) {
  if (kind == "llama") {
    const bool prefix = file.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
    return SpmEncoder{prefix, Spm(file, vocabulary)};
  }
  const auto words = pretokenizer(pre);
  if (!words) {
    throw_unsupported(format(
        "{}: key tokenizer.ggml.pre names the pre-tokenizer '{}', which this version does not "
        "know; known are gpt-2, smollm, llama-bpe, qwen2, gpt-4o, tekken and their aliases",
        file.name(), pre));
  }
  // Llama 3, o200k and tekken come from tiktoken, which looks a whole word up before it merges.
  const bool whole = *words == PreTokenizer::Llama3 || *words == PreTokenizer::O200k ||
                     *words == PreTokenizer::Tekken;
  return BpeEncoder{*words, Bpe(file, vocabulary, whole)};
}

std::optional<TokenId> token_key(const Gguf& file, std::string_view key,
                                 const Vocabulary& vocabulary) {
  const auto id = file.integer(key);
  if (!id) return std::nullopt;
  if (*id < 0 || *id >= vocabulary.size()) {
    throw_invalid(format("{}: key {} is {}, but there are {} tokens", file.name(), key, *id,
                         vocabulary.size()));
  }
  return static_cast<TokenId>(*id);
}

std::vector<TokenId> find_end_tokens(const Gguf& file, const Vocabulary& vocabulary) {
  std::vector<TokenId> ends;
  for (const std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                     "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = token_key(file, key, vocabulary)) ends.push_back(*id);
  }
  const auto control = [&](std::string_view name) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      if (vocabulary.type(id) == TokenType::Control && vocabulary.piece(id) == name) return id;
    }
    return TokenId{-1};
  };
  // In gpt-oss's harmony format <|end|> only closes one channel; the answer follows and ends with
  // <|return|>.
  const bool harmony = control("<|return|>") >= 0 && control("<|call|>") >= 0;
  for (const std::string_view name : kEndNames) {
    const TokenId id = control(name);
    if (id >= 0 && !(harmony && name == "<|end|>")) ends.push_back(id);
  }
  std::ranges::sort(ends);
  const auto repeated = std::ranges::unique(ends);
  ends.erase(repeated.begin(), repeated.end());
  return ends;
}

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  SpecialTokens specials;
  Encoder encoder;
  std::optional<TokenId> bos, eos;
  bool wants_bos;
  std::vector<TokenId> ends;
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::from_gguf(const Gguf& file) {
  const auto kind = file.string("tokenizer.ggml.model");
  if (!kind)
    throw_invalid(
        format("{}: key tokenizer.ggml.model is missing: the file has no tokenizer", file.name()));
  if (*kind != "gpt2" && *kind != "llama") {
    throw_unsupported(format(
        "{}: key tokenizer.ggml.model names the tokenizer kind '{}'; this version knows gpt2 and "
        "llama",
        file.name(), *kind));
  }
  const std::string_view pre = file.string("tokenizer.ggml.pre").value_or("default");
  Vocabulary vocabulary = load_vocabulary(file, *kind == "gpt2");
  SpecialTokens specials(vocabulary);
  Encoder encoder = load_encoder(file, *kind, pre, vocabulary);
  const auto bos = token_key(file, "tokenizer.ggml.bos_token_id", vocabulary);
  const auto eos = token_key(file, "tokenizer.ggml.eos_token_id", vocabulary);
  const bool wants_bos =
      file.boolean("tokenizer.ggml.add_bos_token").value_or(prefers_bos(*kind, pre));
  std::vector<TokenId> ends = find_end_tokens(file, vocabulary);
  return Tokenizer(
      std::make_unique<Impl>(Impl{std::move(vocabulary), std::move(specials), std::move(encoder),
                                  bos, eos, wants_bos, std::move(ends)}));
}

int Tokenizer::n_vocab() const { return impl_->vocabulary.size(); }

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool parse_special,
                                       bool add_bos) const {
  if (text.size() > kTextBytesMax) {
    throw_too_large(
        format("a text of {} bytes: the tokenizer's limit is {}", text.size(), kTextBytesMax));
  }
  std::vector<TokenId> out;
  if (add_bos && impl_->wants_bos && impl_->bos) out.push_back(*impl_->bos);
  for (std::size_t at = 0; at < text.size();) {
    const auto special = impl_->specials.find(text, at, parse_special);
    const std::string_view plain =
        text.substr(at, special ? special->at - at : std::string_view::npos);
    if (!plain.empty()) {
      std::visit([&](const auto& encoder) { encoder.encode(plain, impl_->vocabulary, out); },
                 impl_->encoder);
    }
    if (!special) break;
    out.push_back(special->id);
    at = special->at + special->size;
  }
  return out;
}

std::string_view Tokenizer::piece(TokenId id) const {
  const bool known = id >= 0 && id < n_vocab();
  if (!known) return {};
  const TokenType type = impl_->vocabulary.type(id);
  const bool text =
      type == TokenType::Normal || type == TokenType::UserDefined || type == TokenType::Byte;
  return text ? std::string_view(impl_->vocabulary.piece(id)) : std::string_view();
}

std::string_view Tokenizer::special_piece(TokenId id) const {
  // A model may have more rows than its file has tokens; those are padding.
  if (id < 0 || id >= n_vocab()) return {};
  return impl_->vocabulary.piece(id);
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  std::string out;
  for (const TokenId id : ids) out += piece(id);
  const auto* spm = std::get_if<SpmEncoder>(&impl_->encoder);
  if (spm != nullptr && spm->space_prefix && out.starts_with(' ')) out.erase(0, 1);
  return out;
}

std::optional<TokenId> Tokenizer::bos() const { return impl_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->eos; }
const std::vector<TokenId>& Tokenizer::end_tokens() const { return impl_->ends; }
bool Tokenizer::is_control(TokenId id) const {
  return id >= 0 && id < n_vocab() && impl_->vocabulary.type(id) == TokenType::Control;
}

}  // namespace tinderbox
