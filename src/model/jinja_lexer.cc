#include "model/jinja_lexer.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) { return is_name_start(c) || is_digit(c); }
bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

std::string normal_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normal_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    push(TokenKind::End, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw_invalid(format("chat template, line {}: {}", line_, what));
  }

  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }

  void advance(std::size_t n) {
    const auto piece = std::string_view(source_).substr(at_, n);
    line_ += static_cast<int>(std::ranges::count(piece, '\n'));
    at_ += piece.size();
  }
  void push(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void data();
  void emit_data(std::size_t end, bool at_print);
  void comment();
  bool raw();
  bool close(std::string_view end, bool is_block);
  void tag(bool is_block);
  void expression_token();
  void number();
  void string();
  void escape(std::string& out);

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_start_ = true;  // what came before the text at hand ended a line
  std::string open_;        // brackets open inside the tag, so that }} may close two dictionaries
  std::vector<Token> tokens_;
};

// Text up to the next tag, then the tag.
void Lexer::data() {
  std::size_t begin = source_.find('{', at_);
  while (begin != std::string::npos && begin + 1 < source_.size()) {
    const char c = source_[begin + 1];
    if (c == '{' || c == '%' || c == '#') break;
    begin = source_.find('{', begin + 1);
  }
  if (begin == std::string::npos || begin + 1 >= source_.size()) {
    push(TokenKind::Data, std::string(rest()));
    advance(source_.size());
    return;
  }
  const char kind = source_[begin + 1];
  emit_data(begin, kind == '{');
  if (kind == '#') {
    comment();
  } else if (kind == '{' || !raw()) {
    advance(peek(2) == '-' || peek(2) == '+' ? 3 : 2);
    tag(kind == '%');
  }
}

// Text from at_ to the tag at `end`, without the white space that the tag takes away.
void Lexer::emit_data(std::size_t end, bool at_print) {
  std::string_view text = std::string_view(source_).substr(at_, end - at_);
  const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
  if (sign == '-') {
    text = strip(text, {.left = false, .right = true});
  } else if (sign != '+' && !at_print) {
    const std::size_t newline = text.rfind('\n');
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    const bool blank = strip(text.substr(begin)).empty();
    if (blank && (begin > 0 || line_start_)) text = text.substr(0, begin);
  }
  if (!text.empty()) push(TokenKind::Data, std::string(text));
  advance(end - at_);
  line_start_ = false;
}

void Lexer::comment() {
  const std::size_t end = source_.find("#}", at_ + 2);
  if (end == std::string::npos) fail("the comment opened here is never closed; add #}");
  const char sign = end > at_ + 3 ? source_[end - 1] : '\0';
  advance(end - at_ - (sign == '-' || sign == '+' ? 1 : 0));
  CHECK(close("#}", true));
}

// {% raw %}...{% endraw %} as one piece of text; false if the tag at hand is another one.
bool Lexer::raw() {
  const auto match = [&](std::size_t at, std::string_view word) -> std::size_t {
    at += 2;
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
    while (at < source_.size() && is_blank(source_[at])) ++at;
    if (source_.compare(at, word.size(), word) != 0) return 0;
    at += word.size();
    while (at < source_.size() && is_blank(source_[at])) ++at;
    const std::size_t close_at =
        at +
        (at < source_.size() && std::string_view("-+").find(source_[at]) != std::string_view::npos);
    return source_.compare(close_at, 2, "%}") == 0 ? at : 0;
  };
  std::size_t begin = match(at_, "raw");
  if (begin == 0) return false;
  advance(begin - at_);
  close("%}", false);
  for (std::size_t end = at_; (end = source_.find("{%", end)) != std::string::npos; end += 2) {
    const std::size_t last = match(end, "endraw");
    if (last == 0) continue;
    emit_data(end, false);
    advance(last - at_);
    close("%}", true);
    return true;
  }
  fail("{% raw %} is never closed; add {% endraw %}");
}

// Consumes the end of a tag if it is next, with the white space after it that it takes away.
bool Lexer::close(std::string_view end, bool is_block) {
  const bool signed_end =
      (peek() == '-' || (peek() == '+' && end != "}}")) && rest().substr(1).starts_with(end);
  if (!signed_end && !rest().starts_with(end)) return false;
  const char sign = signed_end ? peek() : '\0';
  advance(end.size() + (signed_end ? 1 : 0));
  if (sign == '-') {
    const std::size_t before = at_;
    const std::string_view text = rest();
    advance(text.size() - strip(text, {.left = true, .right = false}).size());
    line_start_ = at_ > before && source_[at_ - 1] == '\n';
  } else {
    line_start_ = sign == '\0' && is_block && peek() == '\n';
    if (line_start_) advance(1);
  }
  return true;
}

void Lexer::tag(bool is_block) {
  const std::string_view end = is_block ? "%}" : "}}";
  push(is_block ? TokenKind::BlockBegin : TokenKind::PrintBegin, "");
  const int opened = line_;
  open_.clear();
  for (;;) {
    while (at_ < source_.size() && is_blank(peek())) advance(1);
    if (at_ >= source_.size()) {
      line_ = opened;
      fail(format("the tag opened here is never closed; add {}", end));
    }
    const int line = line_;
    if (open_.empty() && close(end, is_block)) {
      tokens_.push_back({is_block ? TokenKind::BlockEnd : TokenKind::PrintEnd, "", line});
      return;
    }
    expression_token();
  }
}

void Lexer::expression_token() {
  const char c = peek();
  if (is_name_start(c)) {
    std::size_t n = 1;
    while (is_name(peek(n))) ++n;
    push(TokenKind::Name, std::string(rest().substr(0, n)));
    return advance(n);
  }
  if (is_digit(c)) return number();
  if (c == '\'' || c == '"') return string();
  constexpr std::array kTwo = {"**", "//", "==", "!=", ">=", "<="};
  for (const std::string_view op : kTwo) {
    if (!rest().starts_with(op)) continue;
    push(TokenKind::Operator, std::string(op));
    return advance(2);
  }
  if (std::string_view("+-*/%~[](){}<>=.:|,").find(c) == std::string_view::npos) {
    fail(format("unexpected character {} in a tag", repr(rest().substr(0, char_bytes(rest(), 0)))));
  }
  if (c == '(' || c == '[' || c == '{') open_ += c == '(' ? ')' : c == '[' ? ']' : '}';
  if (c == ')' || c == ']' || c == '}') {
    if (open_.empty() || open_.back() != c) fail(format("'{}' closes nothing", c));
    open_.pop_back();
  }
  push(TokenKind::Operator, std::string(1, c));
  advance(1);
}

void Lexer::number() {
  std::string digits;
  std::size_t n = 0;
  const auto take_digits = [&] {
    for (; is_digit(peek(n)) || (peek(n) == '_' && is_digit(peek(n + 1))); ++n) {
      if (peek(n) != '_') digits += peek(n);
    }
  };
  take_digits();
  bool is_float = false;
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // x.0.1 is two indices
  if (!after_dot && peek(n) == '.' && is_digit(peek(n + 1))) {
    is_float = true;
    digits += '.';
    ++n;
    take_digits();
  }
  const std::size_t sign = peek(n + 1) == '+' || peek(n + 1) == '-' ? 1 : 0;
  if ((peek(n) == 'e' || peek(n) == 'E') && is_digit(peek(n + 1 + sign))) {
    is_float = true;
    digits += 'e';
    if (peek(n + 1) == '-') digits += '-';
    n += 1 + sign;
    take_digits();
  }
  push(is_float ? TokenKind::Float : TokenKind::Int, std::move(digits));
  advance(n);
}

void Lexer::string() {
  const char quote = peek();
  const int opened = line_;
  std::string out;
  advance(1);
  while (peek() != quote || at_ >= source_.size()) {
    if (at_ >= source_.size()) {
      line_ = opened;
      fail("the string opened here is never closed");
    }
    if (peek() == '\\') {
      escape(out);
    } else {
      out += peek();
      advance(1);
    }
  }
  tokens_.push_back({TokenKind::String, std::move(out), opened});
  advance(1);
}

// One escape sequence of a Python string; an unknown one stands for itself.
void Lexer::escape(std::string& out) {
  constexpr std::string_view kNames = "ntr\\'\"abfv", kMeanings = "\n\t\r\\'\"\a\b\f\v";
  const char c = peek(1);
  if (const std::size_t i = kNames.find(c); c != '\0' && i != std::string_view::npos) {
    out += kMeanings[i];
    return advance(2);
  }
  if (c == '\n') return advance(2);
  const std::size_t n_hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  const bool octal = c >= '0' && c <= '7';
  const std::size_t base = octal ? 8 : 16, first = octal ? 1 : 2, max = octal ? 3 : n_hex;
  std::size_t n = 0;
  std::uint32_t code = 0;
  for (; n < max; ++n) {
    const std::size_t digit =
        std::string_view("0123456789abcdef").find(lower(rest().substr(first + n, 1)));
    if (digit >= base || at_ + first + n >= source_.size()) break;
    code = code * static_cast<std::uint32_t>(base) + static_cast<std::uint32_t>(digit);
  }
  if (n == 0 && max == 0) {
    out += '\\';
    return advance(1);
  }
  if (!octal && n < max) fail(format("\\{} needs {} hexadecimal digits", c, max));
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    fail("the escape in a string is not a Unicode character");
  }
  append_utf8(out, code);
  advance(first + n);
}

}  // namespace

std::vector<Token> lex(std::string_view source) { return Lexer(source).run(); }

}  // namespace tinderbox::jinja
