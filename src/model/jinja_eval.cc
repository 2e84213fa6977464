#include "model/jinja_eval.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox::jinja {
namespace {

enum class Flow : std::uint8_t { Next, Break, Continue };

class Evaluator {
 public:
  Evaluator(const Program& program, Runtime& rt) : program_(program), rt_(rt) {}

  std::string render(Scope& globals) { return capture(program_.body, globals); }

 private:
  Flow exec(const Block& block, Scope& scope);
  Flow exec(const Stmt& stmt, Scope& scope);
  Flow for_loop(const Stmt& stmt, Scope& scope);
  Flow if_chain(const Stmt& stmt, Scope& scope);
  void set(const Stmt& stmt, Scope& scope);
  std::string capture(const Block& block, Scope& scope);
  void print(std::string_view text);

  Value eval(const Expr& expr, Scope& scope);
  Value compare(const Expr& expr, Scope& scope);
  Value collection(const Expr& expr, Scope& scope);
  Value cond(const Expr& expr, Scope& scope);
  Value concat(const Expr& expr, Scope& scope);
  Value subscript(const Expr& expr, Scope& scope);
  Value filtered(const Expr& expr, Scope& scope, const Value* block_text);
  Args arguments(const Expr& expr, Scope& scope);
  Value call(const Expr& expr, Scope& scope, Macro* caller);
  Value call_macro(const Macro& macro, const Args& args, Macro* caller);

  void assign_all(Scope& scope, const std::vector<int>& targets, const Value& value);

  const Program& program_;
  Runtime& rt_;
  std::string* out_ = nullptr;
};

void Evaluator::print(std::string_view text) {
  rt_.charge(text.size());
  if (out_->size() + text.size() > kOutputBytesMax) {
    rt_.too_large(format("the rendered text is longer than {} MiB", kOutputBytesMax >> 20));
  }
  *out_ += text;
}

std::string Evaluator::capture(const Block& block, Scope& scope) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  exec(block, scope);
  out_ = outer;
  return text;
}

Flow Evaluator::exec(const Block& block, Scope& scope) {
  for (const auto& stmt : block) {
    const Flow flow = exec(*stmt, scope);
    if (flow != Flow::Next) return flow;
  }
  return Flow::Next;
}

Flow Evaluator::exec(const Stmt& stmt, Scope& scope) {
  const DepthGuard guard(rt_);
  rt_.step();
  rt_.line = stmt.line;
  switch (stmt.kind) {
    case StmtKind::Data:
      print(*as_text(stmt.text));
      return Flow::Next;
    case StmtKind::Print:
      print(to_text(rt_, eval(*stmt.value, scope)));
      return Flow::Next;
    case StmtKind::For:
      return for_loop(stmt, scope);
    case StmtKind::If:
      return if_chain(stmt, scope);
    case StmtKind::Set:
    case StmtKind::SetBlock:
      set(stmt, scope);
      return Flow::Next;
    case StmtKind::MacroBlock:
      rt_.assign(scope, stmt.targets[0], rt_.macro({stmt.macro.get(), &scope}));
      return Flow::Next;
    case StmtKind::CallBlock: {
      Macro* caller = rt_.macro({stmt.macro.get(), &scope});
      print(to_text(rt_, call(*stmt.value, scope, caller)));
      return Flow::Next;
    }
    case StmtKind::FilterBlock: {
      const Value text = rt_.text(capture(stmt.body, *rt_.scope(&scope)));
      print(to_text(rt_, filtered(*stmt.value, scope, &text)));
      return Flow::Next;
    }
    case StmtKind::Scoped:
      return exec(stmt.body, *rt_.scope(&scope));
    case StmtKind::Break:
      return Flow::Break;
    case StmtKind::Continue:
      return Flow::Continue;
  }
  CHECK(false);
}

Flow Evaluator::if_chain(const Stmt& stmt, Scope& scope) {
  for (const auto& [condition, body] : stmt.branches) {
    if (truthy(eval(*condition, scope))) return exec(body, scope);
  }
  return exec(stmt.otherwise, scope);
}

Flow Evaluator::for_loop(const Stmt& stmt, Scope& scope) {
  const List* items = iterate(rt_, eval(*stmt.value, scope));
  // A copy, because the body may append to the list it walks.
  List* chosen = rt_.list(items->items);
  if (stmt.condition) {
    chosen->items.clear();
    for (std::size_t i = 0; i < items->items.size(); ++i) {
      Scope& test_scope = *rt_.scope(&scope);
      assign_all(test_scope, stmt.targets, items->items[i]);
      if (truthy(eval(*stmt.condition, test_scope))) chosen->items.push_back(items->items[i]);
    }
  }
  if (chosen->items.empty()) return exec(stmt.otherwise, *rt_.scope(&scope));
  Loop& loop = *rt_.loop({chosen, 0});
  for (; loop.index < chosen->items.size(); ++loop.index) {
    rt_.step();
    Scope& body_scope = *rt_.scope(&scope);
    rt_.assign(body_scope, program_.loop, &loop);
    assign_all(body_scope, stmt.targets, chosen->items[loop.index]);
    if (exec(stmt.body, body_scope) == Flow::Break) break;
  }
  return Flow::Next;
}

void Evaluator::set(const Stmt& stmt, Scope& scope) {
  Value value;
  if (stmt.kind == StmtKind::Set) {
    value = eval(*stmt.value, scope);
  } else {
    value = rt_.text(capture(stmt.body, *rt_.scope(&scope)));
    if (stmt.value) value = filtered(*stmt.value, scope, &value);
  }
  if (stmt.attribute.empty()) return assign_all(scope, stmt.targets, value);
  const Value object = rt_.lookup(scope, stmt.targets[0]);
  const auto* dict = std::get_if<Dict*>(&object);
  if (!dict || !(*dict)->is_namespace) {
    rt_.fail(format("only a namespace's attributes can be set, not those of a value of type {}",
                    type_name(object)));
  }
  rt_.set(**dict, std::make_shared<const std::string>(stmt.attribute), std::move(value));
}

void Evaluator::assign_all(Scope& scope, const std::vector<int>& targets, const Value& value) {
  if (targets.size() == 1) return rt_.assign(scope, targets[0], value);
  const List* items = iterate(rt_, value);
  if (items->items.size() != targets.size()) {
    rt_.fail(
        format("cannot unpack {} values into {} variables", items->items.size(), targets.size()));
  }
  for (std::size_t i = 0; i < targets.size(); ++i) rt_.assign(scope, targets[i], items->items[i]);
}

Value Evaluator::eval(const Expr& expr, Scope& scope) {
  const DepthGuard guard(rt_);
  rt_.step();
  rt_.line = expr.line;
  switch (expr.kind) {
    case ExprKind::Literal:
      return expr.constant;
    case ExprKind::Name:
      return rt_.lookup(scope, expr.name);
    case ExprKind::List:
    case ExprKind::Tuple:
    case ExprKind::Dict:
      return collection(expr, scope);
    case ExprKind::Attr:
    case ExprKind::Item:
    case ExprKind::Slice:
      return subscript(expr, scope);
    case ExprKind::Call:
      return call(expr, scope, nullptr);
    case ExprKind::Filter:
    case ExprKind::Test:
      return filtered(expr, scope, nullptr);
    case ExprKind::Not:
      return !truthy(eval(*expr.items[0], scope));
    case ExprKind::Negate:
      return negate(rt_, eval(*expr.items[0], scope));
    case ExprKind::Plus:
      return binary(rt_, ExprKind::Add, std::int64_t{0}, eval(*expr.items[0], scope));
    case ExprKind::And:
    case ExprKind::Or: {
      Value left = eval(*expr.items[0], scope);
      return truthy(left) == (expr.kind == ExprKind::Or) ? left : eval(*expr.items[1], scope);
    }
    case ExprKind::Add:
    case ExprKind::Subtract:
    case ExprKind::Multiply:
    case ExprKind::Divide:
    case ExprKind::FloorDivide:
    case ExprKind::Modulo:
    case ExprKind::Power: {
      const Value left = eval(*expr.items[0], scope);
      const Value right = eval(*expr.items[1], scope);
      rt_.line = expr.line;
      return binary(rt_, expr.kind, left, right);
    }
    case ExprKind::Concat:
      return concat(expr, scope);
    case ExprKind::Spread:
      rt_.fail("* and ** stand before arguments only");
    case ExprKind::Compare:
      return compare(expr, scope);
    case ExprKind::Cond:
      return cond(expr, scope);
  }
  CHECK(false);
}

Value Evaluator::cond(const Expr& expr, Scope& scope) {
  if (truthy(eval(*expr.items[1], scope))) return eval(*expr.items[0], scope);
  return expr.items.size() > 2 ? eval(*expr.items[2], scope) : Value{Undefined{}};
}

Value Evaluator::concat(const Expr& expr, Scope& scope) {
  std::string text;
  for (const auto& part : expr.items) {
    const std::string piece = to_text(rt_, eval(*part, scope));
    rt_.charge(piece.size());
    text += piece;
  }
  return rt_.text(std::move(text));
}

Value Evaluator::collection(const Expr& expr, Scope& scope) {
  if (expr.kind == ExprKind::Dict) {
    Dict& dict = *rt_.dict();
    for (std::size_t i = 0; i + 1 < expr.items.size(); i += 2) {
      const Value key = eval(*expr.items[i], scope);
      if (!as_text(key)) rt_.unsupported(format("a dictionary key of type {}", type_name(key)));
      rt_.set(dict, std::get<Text>(key), eval(*expr.items[i + 1], scope));
    }
    return &dict;
  }
  List& list = *rt_.list({}, expr.kind == ExprKind::Tuple);
  for (const auto& part : expr.items) rt_.append(list, eval(*part, scope));
  return &list;
}

Value Evaluator::subscript(const Expr& expr, Scope& scope) {
  const Value object = eval(*expr.items[0], scope);
  const auto at = [&](std::size_t i) {
    return expr.items[i] ? eval(*expr.items[i], scope) : Value{None{}};
  };
  if (holds<Undefined>(object)) {
    const std::string& which = expr.items[0]->text;
    rt_.line = expr.line;
    rt_.fail(which.empty() ? "cannot look into an undefined value"
                           : format("'{}' is undefined, so nothing in it can be read", which));
  }
  if (expr.kind == ExprKind::Attr) return attribute(rt_, object, expr.text);
  if (expr.kind == ExprKind::Item) return item(rt_, object, at(1));
  const Value from = at(1), to = at(2), step = at(3);
  return slice(rt_, object, from, to, step);
}

Value Evaluator::compare(const Expr& expr, Scope& scope) {
  Value left = eval(*expr.items[0], scope);
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    const Value right = eval(*expr.items[i + 1], scope);
    rt_.line = expr.line;
    bool holds_true = false;
    switch (expr.ops[i]) {
      case CompareOp::Equal:
        holds_true = equal(rt_, left, right);
        break;
      case CompareOp::NotEqual:
        holds_true = !equal(rt_, left, right);
        break;
      case CompareOp::Less:
        holds_true = less(rt_, left, right);
        break;
      case CompareOp::LessEqual:
        holds_true = !less(rt_, right, left);
        break;
      case CompareOp::Greater:
        holds_true = less(rt_, right, left);
        break;
      case CompareOp::GreaterEqual:
        holds_true = !less(rt_, left, right);
        break;
      case CompareOp::In:
        holds_true = contains(rt_, right, left);
        break;
      case CompareOp::NotIn:
        holds_true = !contains(rt_, right, left);
        break;
    }
    if (!holds_true) return false;
    left = right;
  }
  return true;
}

Value Evaluator::filtered(const Expr& expr, Scope& scope, const Value* block_text) {
  Value input;
  if (expr.items[0]) {
    const bool chain = block_text && expr.items[0]->kind == ExprKind::Filter;
    input = chain ? filtered(*expr.items[0], scope, block_text) : eval(*expr.items[0], scope);
  } else {
    input = *block_text;
  }
  const Args args = arguments(expr, scope);
  rt_.line = expr.line;
  if (expr.kind == ExprKind::Test) return expr.test(rt_, input, args);
  return expr.filter(rt_, input, args);
}

Args Evaluator::arguments(const Expr& expr, Scope& scope) {
  Args args;
  for (std::size_t i = 1; i < expr.items.size(); ++i) {
    const Expr& given = *expr.items[i];
    if (given.kind != ExprKind::Spread) {
      args.positional.push_back(eval(given, scope));
      continue;
    }
    const Value several = eval(*given.items[0], scope);
    if (given.text == "*") {
      const std::vector<Value>& items = iterate(rt_, several)->items;
      rt_.charge(items.size() * sizeof(Value));
      args.positional.insert(args.positional.end(), items.begin(), items.end());
      continue;
    }
    const auto* dict = std::get_if<Dict*>(&several);
    if (!dict) rt_.fail(format("** takes a dictionary, not {}", type_name(several)));
    rt_.charge((*dict)->items.size() * sizeof(Value));
    for (const auto& [key, value] : (*dict)->items) args.named.emplace_back(*key, value);
  }
  for (const auto& [key, value] : expr.named) args.named.emplace_back(key, eval(*value, scope));
  return args;
}

Value Evaluator::call(const Expr& expr, Scope& scope, Macro* caller) {
  const Value callee = eval(*expr.items[0], scope);
  const Args args = arguments(expr, scope);
  rt_.line = expr.line;
  if (const auto* macro = std::get_if<Macro*>(&callee)) return call_macro(**macro, args, caller);
  if (const auto* method = std::get_if<Method*>(&callee)) return call_method(rt_, **method, args);
  if (const auto* function = std::get_if<Function>(&callee)) {
    return call_function(rt_, *function, args);
  }
  const std::string& which = expr.items[0]->text;
  rt_.fail(format("{} cannot be called, it is {}", which.empty() ? "this value" : "'" + which + "'",
                  type_name(callee)));
}

Value Evaluator::call_macro(const Macro& macro, const Args& args, Macro* caller) {
  const DepthGuard guard(rt_);
  const MacroNode& node = *macro.node;
  const std::size_t n = node.parameters.size();
  Scope& scope = *rt_.scope(macro.scope);
  if (args.positional.size() > n) {
    rt_.fail(format("the macro '{}' takes at most {} arguments, not {}", node.name, n,
                    args.positional.size()));
  }
  for (const auto& [key, value] : args.named) {
    const auto known = std::ranges::find(node.parameter_names, key);
    if (known == node.parameter_names.end()) {
      rt_.fail(format("the macro '{}' has no parameter '{}'", node.name, key));
    }
  }
  const std::size_t first_default = n - node.defaults.size();
  for (std::size_t i = 0; i < n; ++i) {
    const Value* given = argument(args, i, node.parameter_names[i]);
    Value value = given                ? *given
                  : i >= first_default ? eval(*node.defaults[i - first_default], scope)
                                       : Value{Undefined{}};
    rt_.assign(scope, node.parameters[i], std::move(value));
  }
  if (caller) rt_.assign(scope, node.caller, caller);
  return rt_.text(capture(node.body, scope));
}

}  // namespace

std::string run(const Program& program, Runtime& rt, Scope& globals) {
  return Evaluator(program, rt).render(globals);
}

}  // namespace tinderbox::jinja
