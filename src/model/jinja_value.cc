#include "model/jinja_value.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string where(int line) { return format("chat template, line {}: ", line); }

}  // namespace

void Runtime::fail(const std::string& what) const { throw_invalid(where(line) + what); }
void Runtime::unsupported(const std::string& what) const { throw_unsupported(where(line) + what); }
void Runtime::too_large(const std::string& what) const { throw_too_large(where(line) + what); }

void Runtime::step(std::size_t n) {
  if (n > static_cast<std::size_t>(steps_left_)) {
    too_large(format("rendering takes more than {} steps", kStepsMax));
  }
  steps_left_ -= static_cast<std::int64_t>(n);
}

void Runtime::charge(std::size_t bytes) {
  if (bytes > bytes_left_) {
    too_large(format("rendering makes more than {} MiB of text and lists", kWorkBytesMax >> 20));
  }
  bytes_left_ -= bytes;
}

Value Runtime::text(std::string bytes) {
  charge(bytes.size() + sizeof(std::string));
  return std::make_shared<const std::string>(std::move(bytes));
}

List* Runtime::list(std::vector<Value> items, bool is_tuple) {
  charge(sizeof(List) + items.size() * sizeof(Value));
  return &lists_.emplace_back(List{std::move(items), is_tuple});
}

List* Runtime::texts(const std::vector<std::string_view>& parts) {
  charge(parts.size() * sizeof(Value));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(text(part));
  return list(std::move(items));
}

Dict* Runtime::dict() {
  charge(sizeof(Dict));
  return &dicts_.emplace_back();
}

Scope* Runtime::scope(Scope* parent) {
  charge(sizeof(Scope));
  return &scopes_.emplace_back(Scope{parent, {}});
}

Loop* Runtime::loop(Loop value) {
  charge(sizeof(Loop));
  return &loops_.emplace_back(value);
}

Macro* Runtime::macro(Macro value) {
  charge(sizeof(Macro));
  return &macros_.emplace_back(value);
}

Method* Runtime::method(Method value) {
  charge(sizeof(Method));
  return &methods_.emplace_back(std::move(value));
}

void Runtime::append(List& list, Value item) {
  charge(sizeof(Value));
  list.items.push_back(std::move(item));
}

void Runtime::set(Dict& dict, const Text& key, Value item) {
  step(1 + dict.items.size() / 8);
  for (auto& [name, value] : dict.items) {
    if (*name != *key) continue;
    value = std::move(item);
    return;
  }
  charge(sizeof(std::pair<Text, Value>));
  dict.items.emplace_back(key, std::move(item));
}

const Value* Runtime::find(const Dict& dict, std::string_view key) {
  step(1 + dict.items.size() / 8);
  for (const auto& [name, value] : dict.items) {
    if (*name == key) return &value;
  }
  return nullptr;
}

void Runtime::assign(Scope& scope, int name, Value value) {
  step(1 + scope.variables.size() / 16);
  for (auto& [known, slot] : scope.variables) {
    if (known != name) continue;
    slot = std::move(value);
    return;
  }
  charge(sizeof(std::pair<int, Value>));
  scope.variables.emplace_back(name, std::move(value));
}

Value Runtime::lookup(const Scope& scope, int name) {
  for (const Scope* at = &scope; at; at = at->parent) {
    step(1 + at->variables.size() / 16);
    for (const auto& [known, value] : at->variables) {
      if (known == name) return value;
    }
  }
  return Undefined{};
}

const std::string* as_text(const Value& value) {
  const Text* text = std::get_if<Text>(&value);
  return text ? text->get() : nullptr;
}

std::optional<std::int64_t> as_int(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
  return std::nullopt;
}

std::optional<double> as_number(const Value& value) {
  if (const double* number = std::get_if<double>(&value)) return *number;
  if (const auto number = as_int(value)) return static_cast<double>(*number);
  return std::nullopt;
}

std::string_view type_name(const Value& value) {
  return std::visit(
      Overloaded{[](Undefined) { return "undefined"; }, [](None) { return "none"; },
                 [](bool) { return "bool"; }, [](std::int64_t) { return "int"; },
                 [](double) { return "float"; }, [](const Text&) { return "string"; },
                 [](const List*) { return "list"; }, [](const Dict*) { return "dict"; },
                 [](const Loop*) { return "loop"; }, [](const Macro*) { return "macro"; },
                 [](const Method*) { return "method"; }, [](Function) { return "function"; }},
      value);
}

bool truthy(const Value& value) {
  return std::visit(
      Overloaded{
          [](Undefined) { return false; }, [](None) { return false; }, [](bool b) { return b; },
          [](std::int64_t n) { return n != 0; }, [](double x) { return x != 0; },
          [](const Text& t) { return !t->empty(); }, [](List* l) { return !l->items.empty(); },
          [](Dict* d) { return d->is_namespace || !d->items.empty(); }, [](Loop*) { return true; },
          [](Macro*) { return true; }, [](Method*) { return true; }, [](Function) { return true; }},
      value);
}

bool equal(Runtime& rt, const Value& a, const Value& b) {
  const DepthGuard guard(rt);
  rt.step();
  if (const auto x = as_int(a), y = as_int(b); x && y) return *x == *y;
  if (const auto x = as_number(a), y = as_number(b); x && y) return *x == *y;
  if (a.index() != b.index()) return false;
  if (const std::string* x = as_text(a)) {
    rt.step(x->size() / 256);
    return *x == *as_text(b);
  }
  if (const auto* x = std::get_if<List*>(&a)) {
    const List &left = **x, &right = *std::get<List*>(b);
    if (left.items.size() != right.items.size() || left.is_tuple != right.is_tuple) return false;
    for (std::size_t i = 0; i < left.items.size(); ++i) {
      if (!equal(rt, left.items[i], right.items[i])) return false;
    }
    return true;
  }
  if (const auto* x = std::get_if<Dict*>(&a)) {
    const Dict &left = **x, &right = *std::get<Dict*>(b);
    if (left.is_namespace || right.is_namespace) return &left == &right;
    if (left.items.size() != right.items.size()) return false;
    for (const auto& [key, value] : left.items) {
      const Value* other = rt.find(right, *key);
      if (!other || !equal(rt, value, *other)) return false;
    }
    return true;
  }
  if (holds<Undefined>(a) || holds<None>(a)) return true;
  if (const auto* x = std::get_if<Function>(&a)) return *x == std::get<Function>(b);
  if (const auto* x = std::get_if<Macro*>(&a)) return *x == std::get<Macro*>(b);
  return false;
}

bool less(Runtime& rt, const Value& a, const Value& b) {
  const DepthGuard guard(rt);
  rt.step();
  if (const auto x = as_int(a), y = as_int(b); x && y) return *x < *y;
  if (const auto x = as_number(a), y = as_number(b); x && y) return *x < *y;
  if (const std::string *x = as_text(a), *y = as_text(b); x && y) {
    rt.step(std::min(x->size(), y->size()) / 256);
    return *x < *y;  // UTF-8 sorts by code point
  }
  const auto *x = std::get_if<List*>(&a), *y = std::get_if<List*>(&b);
  if (x && y && (*x)->is_tuple == (*y)->is_tuple) {
    const std::vector<Value>&left = (*x)->items, &right = (*y)->items;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (!equal(rt, left[i], right[i])) return less(rt, left[i], right[i]);
    }
    return left.size() < right.size();
  }
  rt.fail(format("cannot order {} and {}", type_name(a), type_name(b)));
}

List* iterate(Runtime& rt, const Value& value) {
  if (const auto* list = std::get_if<List*>(&value)) return *list;
  if (holds<Undefined>(value)) return rt.list();
  if (const std::string* text = as_text(value)) {
    rt.charge(text->size() * (sizeof(Value) + sizeof(std::string)));
    return rt.texts(chars(*text));
  }
  if (const auto* dict = std::get_if<Dict*>(&value); dict && !(*dict)->is_namespace) {
    List* keys = rt.list();
    for (const auto& [key, unused] : (*dict)->items) rt.append(*keys, key);
    return keys;
  }
  rt.fail(format("a value of type {} cannot be looped over", type_name(value)));
}

std::int64_t length(Runtime& rt, const Value& value) {
  if (const std::string* text = as_text(value)) {
    rt.step(text->size() / 64);
    return static_cast<std::int64_t>(n_chars(*text));
  }
  if (const auto* list = std::get_if<List*>(&value)) {
    return static_cast<std::int64_t>((*list)->items.size());
  }
  if (const auto* dict = std::get_if<Dict*>(&value); dict && !(*dict)->is_namespace) {
    return static_cast<std::int64_t>((*dict)->items.size());
  }
  if (holds<Undefined>(value)) return 0;
  rt.fail(format("a value of type {} has no length", type_name(value)));
}

const Value* argument(const Args& args, std::size_t index, std::string_view name) {
  if (index < args.positional.size()) return &args.positional[index];
  for (const auto& [key, value] : args.named) {
    if (key == name) return &value;
  }
  return nullptr;
}

void check_arguments(Runtime& rt, const Args& args, std::string_view callee,
                     std::initializer_list<std::string_view> names) {
  if (args.positional.size() > names.size()) {
    rt.fail(format("{} takes at most {} arguments, not {}", callee, names.size(),
                   args.positional.size()));
  }
  for (const auto& [key, value] : args.named) {
    if (std::ranges::find(names, key) == names.end()) {
      rt.fail(format("{} has no argument named '{}'", callee, key));
    }
  }
}

const std::string& text_argument(Runtime& rt, const Args& args, std::size_t index,
                                 std::string_view name) {
  const Value* value = argument(args, index, name);
  if (!value || !as_text(*value)) {
    rt.fail(format("argument '{}' must be a string, not {}", name,
                   value ? type_name(*value) : "missing"));
  }
  return *as_text(*value);
}

std::int64_t int_argument(Runtime& rt, const Args& args, std::size_t index, std::string_view name,
                          std::int64_t fallback) {
  const Value* value = argument(args, index, name);
  if (!value || holds<None>(*value)) return fallback;
  const auto number = as_int(*value);
  if (!number) rt.fail(format("argument '{}' must be an int, not {}", name, type_name(*value)));
  return *number;
}

bool bool_argument(const Args& args, std::size_t index, std::string_view name) {
  const Value* value = argument(args, index, name);
  return value && truthy(*value);
}

}  // namespace tinderbox::jinja
