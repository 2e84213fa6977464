// Splits a template into tokens as Jinja's lexer does with the settings chat templates are written
// for: trim_blocks and lstrip_blocks on, one trailing newline dropped, \r\n and \r read as \n.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox::jinja {

enum class TokenKind : std::uint8_t {
  Data,  // text outside tags
  PrintBegin,
  PrintEnd,
  BlockBegin,
  BlockEnd,
  Name,
  String,
  Int,
  Float,
  Operator,
  End
};

struct Token {
  TokenKind kind = TokenKind::End;
  std::string text;  // String: unescaped
  int line = 1;
};

// Throws Error::Invalid naming the line; the result ends with End.
std::vector<Token> lex(std::string_view source);

}  // namespace tinderbox::jinja
