#include "model/json_pattern.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include <utf8proc.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using Part = Grammar::Part;
using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

// Code points, as ranges that may overlap.
using Set = std::vector<std::pair<char32_t, char32_t>>;

constexpr char32_t kLast = 0x10FFFF;
constexpr int kDepthMax = 64;
constexpr int kTimesMax = 1000;

const Set kDigits = {{'0', '9'}};
const Set kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Set kSpace = {{9, 13}, {' ', ' '}, {0xA0, 0xA0}, {0x2028, 0x2029}, {0xFEFF, 0xFEFF}};
const Set kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

Set others(Set set) {
  std::ranges::sort(set);
  Set out;
  char32_t next = 0;
  for (const auto& [low, high] : set) {
    if (low > next) out.emplace_back(next, low - 1);
    next = std::max<char32_t>(next, high + 1);
  }
  if (next <= kLast) out.emplace_back(next, kLast);
  return out;
}

std::string utf8_of(char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto n = static_cast<std::size_t>(
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data()));
  return {bytes.begin(), bytes.begin() + n};
}

// A character of the set as it stands in a JSON string: as itself, or escaped where it must be.
class Characters {
 public:
  Characters(Grammar& grammar, Rule rule) : g_(grammar), rule_(rule) {}

  void add(const Set& set) {
    for (const auto& [low, high] : set) {
      for (char32_t c = low; c <= std::min<char32_t>(high, 0x7F); ++c)
        ascii(static_cast<unsigned char>(c));
      wide(std::max<char32_t>(low, 0x80), high);
    }
    if (any_) g_.add(rule_, {plain_});
  }

 private:
  void ascii(unsigned char c) {
    constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kNames = "\"\\bfnrt";
    if (const std::size_t i = kEscaped.find(static_cast<char>(c)); i != kEscaped.npos) {
      g_.add(rule_, Grammar::literal(std::string("\\") + kNames[i]));
    } else if (c >= 0x20 && c < 0x7F) {
      plain_.bytes[c >> 6] |= std::uint64_t{1} << (c & 63);
      any_ = true;
    }
  }
  // Ranges whose UTF-8 is a range byte by byte (Cox, "Regular Expression Matching in the Wild",
  // 2010).
  void wide(char32_t low, char32_t high) {
    if (low > high) return;
    for (const char32_t last :
         {char32_t{0x7FF}, char32_t{0xD7FF}, char32_t{0xDFFF}, char32_t{0xFFFF}}) {
      if (low > last || high <= last) continue;
      wide(low, last);
      return wide(last + 1, high);
    }
    if (low >= 0xD800 && low <= 0xDFFF) return;  // surrogates are no characters
    for (const int bits : {6, 12, 18}) {
      const char32_t tail = (char32_t{1} << bits) - 1;
      if ((low & ~tail) == (high & ~tail)) break;
      if ((low & tail) != 0) {
        wide(low, low | tail);
        return wide((low | tail) + 1, high);
      }
      if ((high & tail) != tail) {
        wide(low, (high & ~tail) - 1);
        return wide(high & ~tail, high);
      }
    }
    const std::string from = utf8_of(low), to = utf8_of(high);
    Sequence bytes;
    for (std::size_t i = 0; i < from.size(); ++i) {
      bytes.push_back(
          Grammar::range(static_cast<unsigned char>(from[i]), static_cast<unsigned char>(to[i])));
    }
    g_.add(rule_, bytes);
  }

  Grammar& g_;
  Rule rule_;
  Part plain_{};
  bool any_ = false;
};

// What a part of the expression is: a sequence (of an atom: one rule), and whether it may be
// nothing.
struct Piece {
  Sequence sequence;
  bool empty = true;
};

class Parser {
 public:
  Parser(Grammar& grammar, std::string_view pattern, const std::string& where)
      : g_(grammar), rest_(pattern), pattern_(pattern), where_(where) {}

  Rule whole() {
    const Rule any = g_.add(), character = of_set(others({}));
    g_.add(any, {});
    g_.add(any, {Grammar::ref(character), Grammar::ref(any)});
    const Rule rule = g_.add();
    do {
      Sequence all;
      if (!skip('^')) all.push_back(Grammar::ref(any));
      const Piece body = sequence(0);
      all.insert(all.end(), body.sequence.begin(), body.sequence.end());
      if (!skip('$')) all.push_back(Grammar::ref(any));
      g_.add(rule, all);
    } while (skip('|'));
    if (!rest_.empty()) wrong("there is nothing that this closes or follows");
    return rule;
  }

 private:
  [[noreturn]] void wrong(std::string_view why) const {
    throw_invalid(format("{}: pattern: {}, at character {} of '{}'", where_, why,
                         pattern_.size() - rest_.size() + 1, to_valid_utf8(pattern_)));
  }
  [[noreturn]] void unsupported(std::string_view what) const {
    throw_unsupported(
        format("{}: pattern: {} cannot be enforced here; leave it out", where_, what));
  }
  bool skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  Rule of_set(const Set& set) {
    const Rule rule = g_.add();
    Characters(g_, rule).add(set);
    return rule;
  }

  Piece sequence(int depth) {
    if (depth > kDepthMax)
      throw_too_large(format("{}: pattern: groups nest deeper than {} levels", where_, kDepthMax));
    Piece out;
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')' && rest_[0] != '$') {
      if (rest_[0] == '^') unsupported("'^' inside");
      const Piece one = repeated(atom(depth));
      out.sequence.insert(out.sequence.end(), one.sequence.begin(), one.sequence.end());
      out.empty = out.empty && one.empty;
    }
    return out;
  }

  Piece group(int depth) {
    if (skip('?')) {
      const bool named =
          rest_.starts_with('<') && !rest_.starts_with("<=") && !rest_.starts_with("<!");
      if (named) {
        const std::size_t end = rest_.find('>');
        if (end == rest_.npos) wrong("a name without its '>'");
        rest_.remove_prefix(end + 1);
      } else if (!skip(':')) {
        unsupported("lookaround");
      }
    }
    Piece out{.sequence = {}, .empty = false};
    const Rule rule = g_.add();
    do {
      const Piece one = sequence(depth + 1);
      g_.add(rule, one.sequence);
      out.empty = out.empty || one.empty;
    } while (skip('|'));
    if (rest_.starts_with('$')) unsupported("'$' inside");
    if (!skip(')')) wrong("a group without its ')'");
    out.sequence = {Grammar::ref(rule)};
    return out;
  }

  Piece atom(int depth) {
    if (skip('(')) return group(depth);
    Set set;
    if (skip('[')) {
      set = bracket();
    } else if (skip('.')) {
      set = others(kLineEnds);
    } else if (skip('\\')) {
      set = escape(false);
    } else {
      if (std::string_view("*+?{").find(rest_[0]) != std::string_view::npos)
        wrong("nothing that this repeats");
      const char32_t c = character();
      set = {{c, c}};
    }
    return {.sequence = {Grammar::ref(of_set(set))}, .empty = false};
  }

  char32_t character() {
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t n =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(rest_.data()),
                         static_cast<utf8proc_ssize_t>(rest_.size()), &c);
    if (n <= 0) wrong("no character");
    rest_.remove_prefix(static_cast<std::size_t>(n));
    return static_cast<char32_t>(c);
  }

  char32_t hex(std::size_t n) {
    char32_t c = 0;
    for (std::size_t i = 0; i < n; ++i) {
      constexpr std::string_view kHex = "0123456789abcdef";
      const auto digit = rest_.empty() ? kHex.npos : kHex.find(static_cast<char>(rest_[0] | 0x20));
      if (digit == std::string_view::npos) wrong(format("not {} hexadecimal digits", n));
      c = c * 16 + static_cast<char32_t>(digit);
      rest_.remove_prefix(1);
    }
    return c;
  }

  // After a backslash.
  Set escape(bool in_brackets) {
    if (rest_.empty()) wrong("a backslash at the end");
    const char c = rest_[0];
    rest_.remove_prefix(1);
    const auto one = [](char32_t code) { return Set{{code, code}}; };
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return others(kDigits);
      case 'w':
        return kWord;
      case 'W':
        return others(kWord);
      case 's':
        return kSpace;
      case 'S':
        return others(kSpace);
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return one(hex(2));
      case 'u':
        return one(hex(4));
      case 'b':
        if (in_brackets) return one('\b');
        unsupported("\\b");
      default:
        break;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter) unsupported(format("\\{}", c));
    return one(static_cast<unsigned char>(c));
  }

  Set bracket() {
    const bool negated = skip('^');
    Set out;
    while (!skip(']')) {
      if (rest_.empty()) wrong("a '[' without its ']'");
      const Set low = skip('\\') ? escape(true) : Set(1, std::pair(character_pair()));
      const bool single = low.size() == 1 && low[0].first == low[0].second;
      if (single && rest_.size() > 1 && rest_[0] == '-' && rest_[1] != ']') {
        rest_.remove_prefix(1);
        const Set high = skip('\\') ? escape(true) : Set(1, std::pair(character_pair()));
        if (high.size() != 1 || high[0].first != high[0].second || high[0].first < low[0].first) {
          wrong("a range that does not go up");
        }
        out.emplace_back(low[0].first, high[0].first);
      } else {
        out.insert(out.end(), low.begin(), low.end());
      }
    }
    return negated ? others(std::move(out)) : out;
  }
  std::pair<char32_t, char32_t> character_pair() {
    const char32_t c = character();
    return {c, c};
  }

  int count() {
    int n = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      n = std::min(n * 10 + (rest_[digits] - '0'), kTimesMax + 1);
    }
    if (digits == 0) wrong("not a number of times");
    if (n > kTimesMax)
      throw_too_large(format("{}: pattern: more than {} times", where_, kTimesMax));
    rest_.remove_prefix(digits);
    return n;
  }

  Piece repeated(Piece piece) {
    int low = 1, high = 1;  // high below 0: any number of times
    if (skip('*')) {
      low = 0, high = -1;
    } else if (skip('+')) {
      high = -1;
    } else if (skip('?')) {
      low = 0;
    } else if (skip('{')) {
      low = high = count();
      if (skip(',')) high = rest_.starts_with('}') ? -1 : count();
      if (!skip('}')) wrong("a '{' without its '}'");
      if (high >= 0 && high < low) wrong("fewer times at most than at least");
    } else {
      return piece;
    }
    skip('?');  // how much is tried first makes no difference to what matches
    if (piece.empty) unsupported("repeating what may be nothing");
    const Part once = piece.sequence.front();
    Rule more = g_.add();  // from the end: so many may still come
    g_.add(more, {});
    if (high < 0) g_.add(more, {once, Grammar::ref(more)});
    for (int i = low; i < high; ++i) {
      const Rule one_more = g_.add();
      g_.add(one_more, {});
      g_.add(one_more, {once, Grammar::ref(more)});
      more = one_more;
    }
    Piece out{.sequence = Sequence(static_cast<std::size_t>(low), once), .empty = low == 0};
    out.sequence.push_back(Grammar::ref(more));
    return out;
  }

  Grammar& g_;
  std::string_view rest_;
  const std::string pattern_;
  const std::string& where_;
};

}  // namespace

Rule add_json_pattern(Grammar& grammar, std::string_view pattern, const std::string& where) {
  return Parser(grammar, pattern, where).whole();
}

}  // namespace tinderbox
