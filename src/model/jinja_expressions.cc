#include "model/jinja_expressions.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "model/jinja_parser.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

// Trees deeper than this are refused: left-leaning chains (a + b + c ...) are walked by recursion.
constexpr int kExprDepthMax = 150;

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::Data:
      return "text";
    case TokenKind::PrintBegin:
      return "{{";
    case TokenKind::PrintEnd:
      return "}}";
    case TokenKind::BlockBegin:
      return "{%";
    case TokenKind::BlockEnd:
      return "%}";
    case TokenKind::End:
      return "the end of the template";
    case TokenKind::String:
      return "a string";
    case TokenKind::Name:
    case TokenKind::Int:
    case TokenKind::Float:
    case TokenKind::Operator:
      break;
  }
  return repr(std::string_view(token.text).substr(0, char_offset(token.text, 40)));
}

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  if (parser.nesting_ >= kNestingMax) {
    throw_too_large(format("chat template, line {}: nested more than {} levels deep",
                           parser.peek().line, kNestingMax));
  }
  ++parser_.nesting_;
}

const Token& ExpressionParser::peek(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token ExpressionParser::take() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::is(TokenKind kind, std::string_view text) const {
  return peek().kind == kind && (text.empty() || peek().text == text);
}

bool ExpressionParser::accept(TokenKind kind, std::string_view text) {
  if (!is(kind, text)) return false;
  take();
  return true;
}

Token ExpressionParser::expect(TokenKind kind, std::string_view text, std::string_view what) {
  if (!is(kind, text)) fail(format("expected {}, found {}", what, describe(peek())));
  return take();
}

void ExpressionParser::fail(std::string_view what) const {
  throw_invalid(format("chat template, line {}: {}", peek().line, what));
}

void ExpressionParser::unsupported(std::string_view what) const {
  throw_unsupported(format("chat template, line {}: {}", peek().line, what));
}

int ExpressionParser::intern(const std::string& name) {
  return names_.try_emplace(name, static_cast<int>(names_.size())).first->second;
}

std::vector<std::string> ExpressionParser::names() const {
  std::vector<std::string> out(names_.size());
  for (const auto& [name, id] : names_) out[static_cast<std::size_t>(id)] = name;
  return out;
}

void ExpressionParser::adopt(Expr& parent, ExprPtr child) const {
  if (child) parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kExprDepthMax) {
    throw_too_large(format("chat template, line {}: an expression is more than {} operators deep",
                           peek().line, kExprDepthMax));
  }
  parent.items.push_back(std::move(child));
}

ExprPtr ExpressionParser::node(ExprKind kind, ExprPtr a, ExprPtr b, ExprPtr c) const {
  auto out = std::make_unique<Expr>();
  out->kind = kind;
  out->line = a ? a->line : peek().line;
  if (a) adopt(*out, std::move(a));
  if (b) adopt(*out, std::move(b));
  if (c) adopt(*out, std::move(c));
  return out;
}

ExprPtr ExpressionParser::expression() {
  const Nesting nesting(*this);
  ExprPtr value = logical_or();
  while (accept(TokenKind::Name, "if")) {
    ExprPtr condition = logical_or();
    ExprPtr otherwise = accept(TokenKind::Name, "else") ? expression() : nullptr;
    value = node(ExprKind::Cond, std::move(value), std::move(condition), std::move(otherwise));
  }
  return value;
}

ExprPtr ExpressionParser::tuple_or_expression() {
  ExprPtr first = expression();
  if (!is(TokenKind::Operator, ",")) return first;
  ExprPtr tuple = node(ExprKind::Tuple, std::move(first));
  while (accept(TokenKind::Operator, ",") && !is(TokenKind::BlockEnd) && !is(TokenKind::PrintEnd)) {
    adopt(*tuple, expression());
  }
  return tuple;
}

ExprPtr ExpressionParser::logical_or() {
  ExprPtr left = logical_and();
  while (accept(TokenKind::Name, "or")) left = node(ExprKind::Or, std::move(left), logical_and());
  return left;
}

ExprPtr ExpressionParser::logical_and() {
  ExprPtr left = logical_not();
  while (accept(TokenKind::Name, "and")) left = node(ExprKind::And, std::move(left), logical_not());
  return left;
}

ExprPtr ExpressionParser::logical_not() {
  if (!accept(TokenKind::Name, "not")) return compare();
  const Nesting nesting(*this);
  return node(ExprKind::Not, logical_not());
}

ExprPtr ExpressionParser::compare() {
  constexpr std::array<std::pair<std::string_view, CompareOp>, 6> kOps = {
      {{"==", CompareOp::Equal},
       {"!=", CompareOp::NotEqual},
       {"<", CompareOp::Less},
       {"<=", CompareOp::LessEqual},
       {">", CompareOp::Greater},
       {">=", CompareOp::GreaterEqual}}};
  ExprPtr first = sum();
  ExprPtr chain;
  for (;;) {
    const auto found = std::ranges::find_if(
        kOps, [&](const auto& op) { return is(TokenKind::Operator, op.first); });
    CompareOp op{};
    if (found != kOps.end()) {
      op = found->second;
      take();
    } else if (accept(TokenKind::Name, "in")) {
      op = CompareOp::In;
    } else if (is(TokenKind::Name, "not") && peek(1).kind == TokenKind::Name &&
               peek(1).text == "in") {
      take();
      take();
      op = CompareOp::NotIn;
    } else {
      return chain ? std::move(chain) : std::move(first);
    }
    if (!chain) chain = node(ExprKind::Compare, std::move(first));
    chain->ops.push_back(op);
    adopt(*chain, sum());
  }
}

ExprPtr ExpressionParser::sum() {
  ExprPtr left = concat();
  while (is(TokenKind::Operator, "+") || is(TokenKind::Operator, "-")) {
    const ExprKind kind = take().text == "+" ? ExprKind::Add : ExprKind::Subtract;
    left = node(kind, std::move(left), concat());
  }
  return left;
}

ExprPtr ExpressionParser::concat() {
  ExprPtr first = product();
  if (!is(TokenKind::Operator, "~")) return first;
  ExprPtr all = node(ExprKind::Concat, std::move(first));
  while (accept(TokenKind::Operator, "~")) adopt(*all, product());
  return all;
}

ExprPtr ExpressionParser::product() {
  ExprPtr left = power();
  for (;;) {
    ExprKind kind{};
    if (accept(TokenKind::Operator, "*")) {
      kind = ExprKind::Multiply;
    } else if (accept(TokenKind::Operator, "/")) {
      kind = ExprKind::Divide;
    } else if (accept(TokenKind::Operator, "//")) {
      kind = ExprKind::FloorDivide;
    } else if (accept(TokenKind::Operator, "%")) {
      kind = ExprKind::Modulo;
    } else {
      return left;
    }
    left = node(kind, std::move(left), power());
  }
}

ExprPtr ExpressionParser::power() {
  ExprPtr left = unary(true);
  while (accept(TokenKind::Operator, "**")) {
    left = node(ExprKind::Power, std::move(left), unary(true));
  }
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  const Nesting nesting(*this);
  ExprPtr value;
  if (accept(TokenKind::Operator, "-")) {
    value = node(ExprKind::Negate, unary(false));
  } else if (accept(TokenKind::Operator, "+")) {
    value = node(ExprKind::Plus, unary(false));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  if (!with_filters) return value;
  for (;;) {
    if (accept(TokenKind::Operator, "|")) {
      value = one_filter(std::move(value));
    } else if (accept(TokenKind::Name, "is")) {
      value = test(std::move(value));
    } else if (is(TokenKind::Operator, "(")) {
      value = postfix(std::move(value));
    } else {
      return value;
    }
  }
}

}  // namespace tinderbox::jinja
