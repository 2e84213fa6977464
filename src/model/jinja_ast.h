// A parsed template: trees of expressions and statements. Immutable after parsing, so that any
// number of threads may render it. Depth is bounded by the parser, so that walking and destroying
// it cannot overflow the stack.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja_value.h"

namespace tinderbox::jinja {

using FilterFn = Value (*)(Runtime& rt, const Value& input, const Args& args);
using TestFn = bool (*)(Runtime& rt, const Value& input, const Args& args);

enum class ExprKind : std::uint8_t {
  Literal,  // constant
  Name,     // name, text
  List,
  Tuple,
  Dict,    // items: key, value, key, value...
  Attr,    // items[0].text
  Item,    // items[0][items[1]]
  Slice,   // items[0][items[1]:items[2]:items[3]], nullptr where left out
  Call,    // items[0](items[1]..., named...)
  Filter,  // items[0] | filter(items[1]..., named...); items[0] is nullptr in a filter block
  Test,    // items[0] is test(items[1]..., named...)
  Not,
  Negate,
  Plus,
  And,
  Or,
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
  Concat,   // items joined as text
  Compare,  // items[0] ops[0] items[1] ops[1] items[2]...
  Spread,   // *items[0] or **items[0] (text tells which), as an argument of Call, Filter or Test
  Cond,     // items[0] if items[1] else items[2] (nullptr: undefined)
};
enum class CompareOp : std::uint8_t {
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  In,
  NotIn
};

struct Expr {
  ExprKind kind = ExprKind::Literal;
  int line = 0;
  int depth = 1;  // of the tree below
  int name = -1;
  Value constant;
  std::string text;
  std::vector<std::unique_ptr<Expr>> items;
  std::vector<std::pair<std::string, std::unique_ptr<Expr>>> named;
  std::vector<CompareOp> ops;
  FilterFn filter = nullptr;
  TestFn test = nullptr;
};
using ExprPtr = std::unique_ptr<Expr>;

enum class StmtKind : std::uint8_t {
  Data,         // text
  Print,        // value
  For,          // targets, value, condition (may be nullptr), body, otherwise
  If,           // branches, otherwise
  Set,          // targets = value; or targets[0] . attribute = value
  SetBlock,     // targets[0] = body, through the filters in value (may be nullptr)
  MacroBlock,   // macro
  CallBlock,    // value is the call, macro the caller
  FilterBlock,  // body through the filters in value
  Scoped,       // body ({% generation %})
  Break,
  Continue,
};

struct Stmt;
using Block = std::vector<std::unique_ptr<Stmt>>;

struct MacroNode {
  std::string name;
  std::vector<int> parameters;
  std::vector<std::string> parameter_names;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Block body;
  int caller = -1;  // interned "caller"
};

struct Stmt {
  StmtKind kind = StmtKind::Data;
  int line = 0;
  Value text;
  std::vector<int> targets;
  std::string attribute;
  ExprPtr value, condition;
  std::vector<std::pair<ExprPtr, Block>> branches;
  Block body, otherwise;
  std::unique_ptr<MacroNode> macro;
};

struct Program {
  Block body;
  std::vector<std::string> names;  // interned variables
  int loop = 0, caller = 0;        // the names "loop" and "caller"
};

}  // namespace tinderbox::jinja
