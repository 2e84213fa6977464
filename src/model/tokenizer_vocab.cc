#include "model/tokenizer_vocab.h"

#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::size_t kTokensMax = std::size_t{1} << 22;
constexpr std::size_t kPieceBytesMax = 65536;
constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581

// GPT-2's letters (openai/gpt-2, bytes_to_unicode): printable Latin-1 stands for itself, the other
// 68 bytes in order for U+0100 onwards. Indexed by code point; -1: not a letter.
constexpr std::array<int, 0x144> kByteOfLetter = [] {
  std::array<int, 0x144> table{};
  for (int& entry : table) entry = -1;
  std::size_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table[printable ? byte : next++] = static_cast<int>(byte);
  }
  return table;
}();

std::string spaces_of_marks(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(kSpaceMark)) {
      out += ' ';
      at += kSpaceMark.size();
    } else {
      out += text[at++];
    }
  }
  return out;
}

// "<0x0A>" -> "\n".
std::optional<char> byte_of_name(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const std::size_t digit = std::string_view("0123456789ABCDEF").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value * 16 + static_cast<int>(digit);
  }
  return static_cast<char>(value);
}

TokenType token_type(const Gguf& file, double number, std::size_t id) {
  if (number >= 1 && number <= 6 && number == std::floor(number)) {
    return static_cast<TokenType>(static_cast<int>(number));
  }
  throw_invalid(format("{}: key tokenizer.ggml.token_type says {} of token {}, expected 1 to 6",
                       file.name(), number, id));
}

}  // namespace

std::string bytes_of_letters(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    std::size_t code = lead;
    if (lead >= 0x80) {  // every letter beyond ASCII has two bytes
      if ((lead & 0xe0) != 0xc0 || at + 1 == text.size()) return std::string(text);
      code = static_cast<std::size_t>(lead & 0x1f) << 6 |
             (static_cast<unsigned char>(text[++at]) & 0x3f);
    }
    if (code >= kByteOfLetter.size() || kByteOfLetter[code] < 0) return std::string(text);
    out += static_cast<char>(kByteOfLetter[code]);
  }
  return out;
}

Vocabulary load_vocabulary(const Gguf& file, bool letters) {
  const GgufArray* tokens = file.array("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->strings.empty()) {
    throw_invalid(
        format("{}: key tokenizer.ggml.tokens is missing or not a list of strings: the file has no "
               "vocabulary",
               file.name()));
  }
  const std::size_t n = tokens->strings.size();
  if (n > kTokensMax)
    throw_too_large(format("{}: {} tokens, the limit is {}", file.name(), n, kTokensMax));
  const GgufArray* types = file.array("tokenizer.ggml.token_type");
  if (types != nullptr && types->numbers.size() != n) {
    throw_invalid(format("{}: key tokenizer.ggml.token_type has {} entries for {} tokens",
                         file.name(), types->numbers.size(), n));
  }
  Vocabulary out;
  out.pieces.reserve(n);
  out.types.reserve(n);
  out.ids.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::string_view text = tokens->strings[i];
    if (text.size() > kPieceBytesMax) {
      throw_invalid(format("{}: token {} has {} bytes, the limit is {}", file.name(), i,
                           text.size(), kPieceBytesMax));
    }
    const TokenType type =
        types == nullptr ? TokenType::Normal : token_type(file, types->numbers[i], i);
    std::string piece(text);
    if (type == TokenType::Normal) piece = letters ? bytes_of_letters(text) : spaces_of_marks(text);
    if (type == TokenType::Byte) {
      const auto byte = byte_of_name(text);
      if (!byte) throw_invalid(format("{}: byte token {} is not named <0xNN>", file.name(), i));
      piece.assign(1, *byte);
    }
    // The vocabulary's own spelling is what SPM merges; of equal pieces the first counts.
    if (type == TokenType::Normal)
      out.ids.emplace(letters ? piece : std::string(text), static_cast<TokenId>(i));
    out.pieces.push_back(std::move(piece));
    out.types.push_back(type);
  }
  return out;
}

}  // namespace tinderbox
