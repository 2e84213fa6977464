// Runs a parsed template: statements write text, expressions give values. Scopes follow jinja2: a
// loop's body, a macro and a captured block have their own; an if has none.
#pragma once

#include <string>

#include "model/jinja_ast.h"

namespace tinderbox::jinja {

// Renders with `globals` as the outermost scope. Throws Error::Invalid on raise_exception(), on
// type errors and on undefined values where a value is needed; Error::TooLarge over the budget of
// `rt`.
std::string run(const Program& program, Runtime& rt, Scope& globals);

// Operators, attributes and calls of built-in functions and methods.
Value binary(Runtime& rt, ExprKind kind, const Value& a, const Value& b);
Value negate(Runtime& rt, const Value& value);
bool contains(Runtime& rt, const Value& container, const Value& item);
// value.name: methods first, then keys. value[key]: keys first, then methods. Undefined if there is
// neither; Error::Invalid on an undefined value.
Value attribute(Runtime& rt, const Value& value, std::string_view name);
Value item(Runtime& rt, const Value& value, const Value& key);
Value slice(Runtime& rt, const Value& value, const Value& from, const Value& to, const Value& step);
// obj["a.b"] as the filters' attribute= reads it; an int is an index.
Value path(Runtime& rt, const Value& value, const Value& dotted);

// The static name of a method of this value's type, or empty.
std::string_view method_name(const Value& self, std::string_view name);
Value call_method(Runtime& rt, const Method& method, const Args& args);
Value call_function(Runtime& rt, Function function, const Args& args);

}  // namespace tinderbox::jinja
