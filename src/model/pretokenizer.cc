// The rules, in the order in which they are tried ((?i:...) ignores case, ASCII only):
//   gpt2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   smollm  every \p{N} alone, then gpt2 on what lies between
//   llama3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//   ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+
//           |\s+(?!\S)|\s+
//   qwen2   llama3 with \p{N}
//   o200k   [^\r\n\p{L}\p{N}]?U*W+C?|[^\r\n\p{L}\p{N}]?U+W*C?|\p{N}{1,3}|
//   ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+
//           |\s+(?!\S)|\s+   with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W =
//           [\p{Ll}\p{Lm}\p{Lo}\p{M}], C = (?i:'s|...)
//   tekken  o200k without C and with \p{N}
// Sources: the tokenizer.json files of GPT-2, SmolLM2, Llama 3, Qwen2, gpt-oss and Mistral NeMo.
#include "model/pretokenizer.h"

#include <array>
#include <cstdint>
#include <utility>

#include <utf8proc.h>

#include "base/check.h"

namespace tinderbox {
namespace {

enum class Letters { AfterSpace, AfterSymbol, Cased };
enum class Contractions { FirstLower, First, Suffix, None };

struct Rules {
  bool digits_alone = false;
  Letters letters = Letters::AfterSpace;
  Contractions contractions = Contractions::FirstLower;
  int digits_max = 0;  // 0: any number of digits, after an optional space
  std::string_view after_symbols{};
  bool line_ends = false;
};

Rules rules_of(PreTokenizer kind) {
  switch (kind) {
    case PreTokenizer::Gpt2:
      return {};
    case PreTokenizer::Smollm:
      return {.digits_alone = true};
    case PreTokenizer::Llama3:
      return {false, Letters::AfterSymbol, Contractions::First, 3, "\r\n", true};
    case PreTokenizer::Qwen2:
      return {false, Letters::AfterSymbol, Contractions::First, 1, "\r\n", true};
    case PreTokenizer::O200k:
      return {false, Letters::Cased, Contractions::Suffix, 3, "\r\n/", true};
    case PreTokenizer::Tekken:
      return {false, Letters::Cased, Contractions::None, 1, "\r\n/", true};
  }
  return {};
}

enum : std::uint8_t {
  kLetter = 1,
  kNumber = 2,
  kSpace = 4,
  kLineEnd = 8,
  kUpper = 16,
  kLower = 32
};

// Unicode's White_Space.
bool is_space(std::int32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

std::uint8_t classes_of(std::int32_t c) {
  if (c == '\r' || c == '\n') return kSpace | kLineEnd;
  if (is_space(c)) return kSpace;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kLetter | kUpper;
    case UTF8PROC_CATEGORY_LL:
      return kLetter | kLower;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter | kUpper | kLower;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kUpper | kLower;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    default:
      return 0;
  }
}

class Splitter {
 public:
  Splitter(std::string_view text, const Rules& rules) : text_(text), rules_(rules) {
    CHECK(text.size() < (std::size_t{1} << 32));
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    chars_.reserve(text.size() + 1);
    for (std::size_t at = 0; at < text.size();) {
      utf8proc_int32_t code = 0;
      const auto left = static_cast<utf8proc_ssize_t>(text.size() - at);
      const utf8proc_ssize_t size = utf8proc_iterate(bytes + at, left, &code);
      chars_.push_back(
          {static_cast<std::uint32_t>(at), size > 0 ? classes_of(code) : std::uint8_t{0}});
      at += size > 0 ? static_cast<std::size_t>(size) : 1;
    }
    chars_.push_back({static_cast<std::uint32_t>(text.size()), 0});
  }

  std::vector<std::string_view> split() {
    const std::size_t n = chars_.size() - 1;
    for (std::size_t begin = 0; begin < n;) {
      // A section is a digit or what lies between digits; without digits_alone it is the whole
      // text.
      end_ = n;
      if (rules_.digits_alone) end_ = is(begin, kNumber) ? begin + 1 : run_until(begin, kNumber, n);
      while (begin < end_) {
        const std::size_t next = word_end(begin);
        words_.push_back(text_.substr(chars_[begin].at, chars_[next].at - chars_[begin].at));
        begin = next;
      }
    }
    return std::move(words_);
  }

 private:
  struct Char {
    std::uint32_t at;  // byte offset
    std::uint8_t classes;
  };

  // All of these are false at the end of the section.
  bool is(std::size_t i, int classes) const {
    return i < end_ && (chars_[i].classes & classes) != 0;
  }
  char byte(std::size_t i) const { return i < end_ ? text_[chars_[i].at] : '\0'; }
  bool is_symbol(std::size_t i) const {
    return i < end_ && (chars_[i].classes & (kSpace | kLetter | kNumber)) == 0;
  }

  std::size_t run(std::size_t i, int classes) const {
    while (is(i, classes)) ++i;
    return i;
  }
  std::size_t run_until(std::size_t i, int classes, std::size_t end) const {
    while (i < end && (chars_[i].classes & classes) == 0) ++i;
    return i;
  }

  // Each of the following returns the end of its match at i, or i if there is none.

  std::size_t contraction(std::size_t i, bool any_case) const {
    if (byte(i) != '\'') return i;
    const auto letter = [&](std::size_t k) {
      const char c = byte(k);
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    const char first = letter(i + 1), second = letter(i + 2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return i + 2;
    const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                     (first == 'l' && second == 'l');
    return two ? i + 3 : i;
  }

  // U*W+ or, failing that, U+W*; `i` if neither.
  std::size_t cased(std::size_t i, bool lower_needed) const {
    const std::size_t upper_end = run(i, kUpper);
    if (!lower_needed) return upper_end == i ? i : run(upper_end, kLower);
    if (is(upper_end, kLower)) return run(upper_end, kLower);
    for (std::size_t k = upper_end; k > i; --k) {  // give back down to the last that is also a W
      if (is(k - 1, kLower)) return k;
    }
    return i;
  }

  std::size_t letters(std::size_t i) const {
    if (rules_.letters == Letters::AfterSpace) {
      const std::size_t begin = byte(i) == ' ' ? i + 1 : i;
      const std::size_t end = run(begin, kLetter);
      return end == begin ? i : end;
    }
    const bool prefix = i < end_ && !is(i, kLineEnd | kLetter | kNumber);
    if (rules_.letters == Letters::AfterSymbol) {
      const std::size_t begin = prefix ? i + 1 : i;
      const std::size_t end = run(begin, kLetter);
      return end == begin ? i : end;
    }
    for (const bool lower_needed : {true, false}) {
      for (const std::size_t begin : {prefix ? i + 1 : i, i}) {
        const std::size_t end = cased(begin, lower_needed);
        if (end == begin) continue;
        return rules_.contractions == Contractions::Suffix ? contraction(end, true) : end;
      }
    }
    return i;
  }

  std::size_t numbers(std::size_t i) const {
    if (rules_.digits_max == 0) {
      const std::size_t begin = byte(i) == ' ' ? i + 1 : i;
      const std::size_t end = run(begin, kNumber);
      return end == begin ? i : end;
    }
    std::size_t end = i;
    while (is(end, kNumber) && end < i + static_cast<std::size_t>(rules_.digits_max)) ++end;
    return end;
  }

  std::size_t symbols(std::size_t i) const {
    const std::size_t begin = byte(i) == ' ' ? i + 1 : i;
    std::size_t end = begin;
    while (is_symbol(end)) ++end;
    if (end == begin) return i;
    while (end < end_ && rules_.after_symbols.find(byte(end)) != std::string_view::npos) ++end;
    return end;
  }

  std::size_t spaces(std::size_t i) const {
    const std::size_t end = run(i, kSpace);
    if (rules_.line_ends) {
      for (std::size_t k = end; k > i; --k) {
        if (is(k - 1, kLineEnd)) return k;
      }
    }
    // The last space before a word belongs to the word.
    return end < end_ && end > i + 1 ? end - 1 : end;
  }

  std::size_t word_end(std::size_t i) const {
    std::size_t end = i;
    if (rules_.contractions == Contractions::First) end = contraction(i, true);
    if (rules_.contractions == Contractions::FirstLower) end = contraction(i, false);
    if (end == i) end = letters(i);
    if (end == i) end = numbers(i);
    if (end == i) end = symbols(i);
    if (end == i) end = spaces(i);
    CHECK(end > i);  // every character is a letter, a number, a space or a symbol
    return end;
  }

  std::string_view text_;
  Rules rules_;
  std::vector<Char> chars_;  // one more than there are characters
  std::vector<std::string_view> words_;
  std::size_t end_ = 0;  // of the section
};

}  // namespace

std::optional<PreTokenizer> pretokenizer(std::string_view name) {
  struct Named {
    std::string_view name;
    PreTokenizer kind;
  };
  constexpr std::array<Named, 20> kNames = {{
      {"default", PreTokenizer::Gpt2},
      {"gpt-2", PreTokenizer::Gpt2},
      {"phi-2", PreTokenizer::Gpt2},
      {"smollm", PreTokenizer::Smollm},
      {"starcoder", PreTokenizer::Smollm},
      {"refact", PreTokenizer::Smollm},
      {"command-r", PreTokenizer::Smollm},
      {"codeshell", PreTokenizer::Smollm},
      {"llama-bpe", PreTokenizer::Llama3},
      {"llama3", PreTokenizer::Llama3},
      {"llama-v3", PreTokenizer::Llama3},
      {"falcon3", PreTokenizer::Llama3},
      {"qwen2", PreTokenizer::Qwen2},
      {"stablelm2", PreTokenizer::Qwen2},
      {"deepseek-r1-qwen", PreTokenizer::Qwen2},
      {"megrez", PreTokenizer::Qwen2},
      {"gpt-4o", PreTokenizer::O200k},
      {"o200k", PreTokenizer::O200k},
      {"llama4", PreTokenizer::O200k},
      {"tekken", PreTokenizer::Tekken},
  }};
  for (const Named& named : kNames) {
    if (named.name == name) return named.kind;
  }
  return std::nullopt;
}

std::vector<std::string_view> split_words(std::string_view text, PreTokenizer kind) {
  return Splitter(text, rules_of(kind)).split();
}

}  // namespace tinderbox
