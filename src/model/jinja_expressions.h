// The expression half of the parser: a cursor over the tokens and Jinja's expression grammar.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/jinja_ast.h"
#include "model/jinja_lexer.h"

namespace tinderbox::jinja {

// The token as messages show it.
std::string describe(const Token& token);

class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(std::size_t ahead = 0) const;
  Token take();
  bool is(TokenKind kind, std::string_view text = {}) const;
  bool accept(TokenKind kind, std::string_view text = {});
  // Throws Error::Invalid saying what was expected and what stands there.
  Token expect(TokenKind kind, std::string_view text, std::string_view what);
  [[noreturn]] void fail(std::string_view what) const;
  [[noreturn]] void unsupported(std::string_view what) const;

  int intern(const std::string& name);
  std::vector<std::string> names() const;

  ExprPtr expression();
  // Without the `a if b else c` form, as the iterable of a for.
  ExprPtr without_condition() { return logical_or(); }
  // expression, or a tuple without parentheses.
  ExprPtr tuple_or_expression();
  // `name(arguments) | name ...` after an optional first filter's bar; `input` may be nullptr.
  ExprPtr filters(ExprPtr input);
  ExprPtr one_filter(ExprPtr input);
  // primary and its . [ ] ( ) | is
  ExprPtr unary(bool with_filters);

  // Bounds recursion; `depth` guards are held by callers that recurse.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  ExprPtr node(ExprKind kind, ExprPtr a = {}, ExprPtr b = {}, ExprPtr c = {}) const;
  void adopt(Expr& parent, ExprPtr child) const;
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr compare();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr primary();
  ExprPtr number();
  ExprPtr parenthesis();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr value);
  ExprPtr subscript(ExprPtr value);
  void arguments(Expr& call);
  ExprPtr test(ExprPtr input);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  std::map<std::string, int> names_;
};

}  // namespace tinderbox::jinja
