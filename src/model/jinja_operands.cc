// Operands of expressions: literals, names, brackets, what is looked up in them or called, filters
// and tests.
#include <algorithm>

#include "base/text.h"
#include "model/jinja_expressions.h"
#include "model/jinja_filters.h"

namespace tinderbox::jinja {

ExprPtr ExpressionParser::primary() {
  const Token& token = peek();
  if (token.kind == TokenKind::Int || token.kind == TokenKind::Float) return number();
  if (token.kind == TokenKind::String) {
    ExprPtr literal = node(ExprKind::Literal);
    std::string text;
    while (is(TokenKind::String)) text += take().text;
    literal->constant = std::make_shared<const std::string>(std::move(text));
    return literal;
  }
  if (token.kind == TokenKind::Name) {
    ExprPtr out = node(ExprKind::Literal);
    const std::string name = take().text;
    if (name == "true" || name == "True") {
      out->constant = true;
    } else if (name == "false" || name == "False") {
      out->constant = false;
    } else if (name == "none" || name == "None") {
      out->constant = None{};
    } else {
      out->kind = ExprKind::Name;
      out->name = intern(name);
      out->text = name;
    }
    return out;
  }
  if (is(TokenKind::Operator, "(")) return parenthesis();
  if (is(TokenKind::Operator, "[")) return list();
  if (is(TokenKind::Operator, "{")) return dict();
  fail(format("expected a value, found {}", describe(token)));
}

ExprPtr ExpressionParser::number() {
  ExprPtr literal = node(ExprKind::Literal);
  if (is(TokenKind::Int)) {
    const auto value = parse_int(peek().text);
    if (!value) fail(format("the number {} does not fit 64 bits", describe(peek())));
    literal->constant = *value;
  } else {
    const auto value = parse_double(peek().text);
    if (!value) fail(format("the number {} is out of range", describe(peek())));
    literal->constant = *value;
  }
  take();
  return literal;
}

ExprPtr ExpressionParser::parenthesis() {
  take();
  if (accept(TokenKind::Operator, ")")) return node(ExprKind::Tuple);
  ExprPtr value = expression();
  if (is(TokenKind::Operator, ",")) {
    value = node(ExprKind::Tuple, std::move(value));
    while (accept(TokenKind::Operator, ",") && !is(TokenKind::Operator, ")")) {
      adopt(*value, expression());
    }
  }
  expect(TokenKind::Operator, ")", "')'");
  return value;
}

ExprPtr ExpressionParser::list() {
  ExprPtr out = node(ExprKind::List);
  take();
  while (!is(TokenKind::Operator, "]")) {
    adopt(*out, expression());
    if (!accept(TokenKind::Operator, ",")) break;
  }
  expect(TokenKind::Operator, "]", "',' or ']'");
  return out;
}

ExprPtr ExpressionParser::dict() {
  ExprPtr out = node(ExprKind::Dict);
  take();
  while (!is(TokenKind::Operator, "}")) {
    adopt(*out, expression());
    expect(TokenKind::Operator, ":", "':'");
    adopt(*out, expression());
    if (!accept(TokenKind::Operator, ",")) break;
  }
  expect(TokenKind::Operator, "}", "',' or '}'");
  return out;
}

ExprPtr ExpressionParser::postfix(ExprPtr value) {
  for (;;) {
    if (accept(TokenKind::Operator, ".")) {
      if (is(TokenKind::Int)) {  // x.0 is x[0]
        value = node(ExprKind::Item, std::move(value), number());
        continue;
      }
      const Token name = expect(TokenKind::Name, {}, "an attribute's name");
      value = node(ExprKind::Attr, std::move(value));
      value->text = name.text;
    } else if (is(TokenKind::Operator, "[")) {
      value = subscript(std::move(value));
    } else if (is(TokenKind::Operator, "(")) {
      value = node(ExprKind::Call, std::move(value));
      arguments(*value);
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr value) {
  take();
  ExprPtr out = node(ExprKind::Slice, std::move(value));
  bool slice = false;
  for (int part = 0; part < 3; ++part) {
    const bool left_out = is(TokenKind::Operator, ":") || is(TokenKind::Operator, "]");
    if (left_out && !slice && !is(TokenKind::Operator, ":")) fail("expected an index");
    adopt(*out, left_out ? nullptr : expression());
    if (part == 2 || !accept(TokenKind::Operator, ":")) break;
    slice = true;
  }
  if (is(TokenKind::Operator, ",")) unsupported("an index of several parts is outside the subset");
  expect(TokenKind::Operator, "]", "']'");
  if (!slice) out->kind = ExprKind::Item;
  out->items.resize(slice ? 4 : 2);
  return out;
}

void ExpressionParser::arguments(Expr& call) {
  expect(TokenKind::Operator, "(", "'('");
  while (!is(TokenKind::Operator, ")")) {
    if (is(TokenKind::Operator, "*") || is(TokenKind::Operator, "**")) {
      const std::string stars = take().text;
      ExprPtr spread = node(ExprKind::Spread, expression());
      spread->text = stars;
      adopt(call, std::move(spread));
      if (!accept(TokenKind::Operator, ",")) break;
      continue;
    }
    const bool is_named = peek().kind == TokenKind::Name && peek(1).kind == TokenKind::Operator &&
                          peek(1).text == "=";
    if (is_named) {
      std::string name = take().text;
      take();
      ExprPtr value = expression();
      call.depth = std::max(call.depth, value->depth + 1);
      call.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call.named.empty()) fail("a positional argument may not follow a named one");
      adopt(call, expression());
    }
    if (!accept(TokenKind::Operator, ",")) break;
  }
  expect(TokenKind::Operator, ")", "',' or ')'");
}

ExprPtr ExpressionParser::one_filter(ExprPtr input) {
  const std::string name = expect(TokenKind::Name, {}, "a filter's name").text;
  auto out = std::make_unique<Expr>();
  out->kind = ExprKind::Filter;
  out->line = peek().line;
  adopt(*out, std::move(input));
  out->text = name;
  out->filter = find_filter(name);
  if (!out->filter) unsupported(format("the filter '{}' is outside the subset", name));
  if (is(TokenKind::Operator, "(")) arguments(*out);
  return out;
}

ExprPtr ExpressionParser::filters(ExprPtr input) {
  do {
    input = one_filter(std::move(input));
  } while (accept(TokenKind::Operator, "|"));
  return input;
}

ExprPtr ExpressionParser::test(ExprPtr input) {
  const bool negated = accept(TokenKind::Name, "not");
  const std::string name = expect(TokenKind::Name, {}, "a test's name").text;
  ExprPtr out = node(ExprKind::Test, std::move(input));
  out->text = name;
  out->test = find_test(name);
  if (!out->test) unsupported(format("the test '{}' is outside the subset", name));
  const Token& next = peek();
  const bool value_follows =
      next.kind == TokenKind::String || next.kind == TokenKind::Int ||
      next.kind == TokenKind::Float || is(TokenKind::Operator, "[") ||
      is(TokenKind::Operator, "{") ||
      (next.kind == TokenKind::Name && next.text != "else" && next.text != "or" &&
       next.text != "and" && next.text != "is" && next.text != "if");
  if (is(TokenKind::Operator, "(")) {
    arguments(*out);
  } else if (value_follows) {
    adopt(*out, postfix(primary()));
  }
  return negated ? node(ExprKind::Not, std::move(out)) : std::move(out);
}

}  // namespace tinderbox::jinja
