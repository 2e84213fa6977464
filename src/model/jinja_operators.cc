#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/text.h"
#include "model/jinja_eval.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

std::string_view symbol(ExprKind kind) {
  switch (kind) {
    case ExprKind::Add:
      return "+";
    case ExprKind::Subtract:
      return "-";
    case ExprKind::Multiply:
      return "*";
    case ExprKind::Divide:
      return "/";
    case ExprKind::FloorDivide:
      return "//";
    case ExprKind::Modulo:
      return "%";
    default:
      return "**";
  }
}

// Python's floor division and modulo: the remainder has the divisor's sign.
std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? q - 1 : q;
}

Value int_power(Runtime& rt, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  std::int64_t result = 1;
  for (bool overflow = false;;) {
    if (exponent % 2 == 1) overflow = __builtin_mul_overflow(result, base, &result);
    exponent /= 2;
    if (exponent > 0) overflow = overflow || __builtin_mul_overflow(base, base, &base);
    if (overflow) rt.fail("an integer does not fit 64 bits");
    if (exponent == 0) break;
  }
  return result;
}

Value int_arithmetic(Runtime& rt, ExprKind kind, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool overflow = false;
  switch (kind) {
    case ExprKind::Add:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case ExprKind::Subtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case ExprKind::Multiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case ExprKind::Power:
      return int_power(rt, a, b);
    default:
      if (b == 0) rt.fail("division by zero");
      if (kind == ExprKind::Divide) return static_cast<double>(a) / static_cast<double>(b);
      overflow = b == -1 && a == std::numeric_limits<std::int64_t>::min();
      if (overflow) break;
      out = kind == ExprKind::FloorDivide ? floor_div(a, b) : a - floor_div(a, b) * b;
  }
  if (overflow) rt.fail("an integer does not fit 64 bits");
  return out;
}

Value float_arithmetic(Runtime& rt, ExprKind kind, double a, double b) {
  switch (kind) {
    case ExprKind::Add:
      return a + b;
    case ExprKind::Subtract:
      return a - b;
    case ExprKind::Multiply:
      return a * b;
    case ExprKind::Power:
      return std::pow(a, b);
    default:
      break;
  }
  if (b == 0) rt.fail("division by zero");
  if (kind == ExprKind::Divide) return a / b;
  if (kind == ExprKind::FloorDivide) return std::floor(a / b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value repeat(Runtime& rt, const Value& value, std::int64_t n) {
  const auto times = static_cast<std::size_t>(std::max<std::int64_t>(n, 0));
  const std::string* text = as_text(value);
  const std::size_t size =
      text ? text->size() : std::get<List*>(value)->items.size() * sizeof(Value);
  if (size > 0 && times > kWorkBytesMax / size) rt.too_large("a repetition is too long");
  rt.charge(times * size);
  if (text) {
    std::string out;
    for (std::size_t i = 0; i < times && size > 0; ++i) out += *text;
    return rt.text(std::move(out));
  }
  const List& list = *std::get<List*>(value);
  List* out = rt.list({}, list.is_tuple);
  for (std::size_t i = 0; i < times && size > 0; ++i) {
    out->items.insert(out->items.end(), list.items.begin(), list.items.end());
  }
  return out;
}

// A slice bound as Python clamps it.
std::int64_t bound(Runtime& rt, const Value& value, std::int64_t fallback, std::int64_t low,
                   std::int64_t high, std::int64_t n) {
  if (holds<None>(value)) return fallback;
  const auto at = as_int(value);
  if (!at) rt.fail(format("a slice's bound must be an int, not {}", type_name(value)));
  return std::clamp(*at < 0 ? *at + n : *at, low, high);
}

}  // namespace

Value binary(Runtime& rt, ExprKind kind, const Value& a, const Value& b) {
  if (const auto x = as_int(a), y = as_int(b); x && y) return int_arithmetic(rt, kind, *x, *y);
  if (const auto x = as_number(a), y = as_number(b); x && y) {
    return float_arithmetic(rt, kind, *x, *y);
  }
  if (kind == ExprKind::Add) {
    if (const std::string *x = as_text(a), *y = as_text(b); x && y) {
      rt.charge(x->size() + y->size());
      return rt.text(*x + *y);
    }
    const auto *x = std::get_if<List*>(&a), *y = std::get_if<List*>(&b);
    if (x && y && (*x)->is_tuple == (*y)->is_tuple) {
      rt.charge(((*x)->items.size() + (*y)->items.size()) * sizeof(Value));
      std::vector<Value> items = (*x)->items;
      items.insert(items.end(), (*y)->items.begin(), (*y)->items.end());
      return rt.list(std::move(items), (*x)->is_tuple);
    }
  }
  if (kind == ExprKind::Multiply) {
    if (as_int(b) && (as_text(a) || holds<List*>(a))) return repeat(rt, a, *as_int(b));
    if (as_int(a) && (as_text(b) || holds<List*>(b))) return repeat(rt, b, *as_int(a));
  }
  rt.fail(format("'{}' does not work between {} and {}", symbol(kind), type_name(a), type_name(b)));
}

Value negate(Runtime& rt, const Value& value) {
  if (const auto number = as_int(value)) {
    return int_arithmetic(rt, ExprKind::Subtract, 0, *number);
  }
  if (const auto number = as_number(value)) return -*number;
  rt.fail(format("a value of type {} has no negative", type_name(value)));
}

bool contains(Runtime& rt, const Value& container, const Value& item) {
  if (const std::string* text = as_text(container)) {
    const std::string* part = as_text(item);
    if (!part) rt.fail(format("'in' a string needs a string, not {}", type_name(item)));
    rt.step(1 + text->size() / 256 * (part->size() + 1));
    return text->find(*part) != std::string::npos;
  }
  if (const auto* dict = std::get_if<Dict*>(&container); dict && !(*dict)->is_namespace) {
    return as_text(item) && rt.find(**dict, *as_text(item));
  }
  const List* items = iterate(rt, container);
  return std::ranges::any_of(items->items, [&](const Value& v) { return equal(rt, v, item); });
}

Value attribute(Runtime& rt, const Value& value, std::string_view name) {
  if (holds<Undefined>(value)) rt.fail("cannot look into an undefined value");
  if (const auto* loop = std::get_if<Loop*>(&value)) {
    const auto at = static_cast<std::int64_t>((*loop)->index);
    const auto n = static_cast<std::int64_t>((*loop)->items->items.size());
    const std::vector<Value>& items = (*loop)->items->items;
    if (name == "index") return at + 1;
    if (name == "index0") return at;
    if (name == "revindex") return n - at;
    if (name == "revindex0") return n - at - 1;
    if (name == "first") return at == 0;
    if (name == "last") return at == n - 1;
    if (name == "length") return n;
    if (name == "depth") return std::int64_t{1};  // more only in recursive loops
    if (name == "depth0") return std::int64_t{0};
    if (name == "previtem") return at > 0 ? items[(*loop)->index - 1] : Value{Undefined{}};
    if (name == "nextitem") return at + 1 < n ? items[(*loop)->index + 1] : Value{Undefined{}};
    if (name != "cycle") rt.unsupported(format("loop.{} is outside the subset", name));
  }
  const std::string_view method = method_name(value, name);
  if (!method.empty()) return rt.method({value, method});
  if (const auto* dict = std::get_if<Dict*>(&value)) {
    if (const Value* found = rt.find(**dict, name)) return *found;
  }
  return Undefined{};
}

Value item(Runtime& rt, const Value& value, const Value& key) {
  if (holds<Undefined>(value)) rt.fail("cannot look into an undefined value");
  const std::string* name = as_text(key);
  if (const auto* dict = std::get_if<Dict*>(&value); dict && name) {
    if (const Value* found = rt.find(**dict, *name)) return *found;
  }
  if (name)
    return holds<Dict*>(value) && std::get<Dict*>(value)->is_namespace
               ? Value{Undefined{}}
               : attribute(rt, value, *name);
  auto index = as_int(key);
  if (!index) return Undefined{};
  if (const auto* list = std::get_if<List*>(&value)) {
    const auto n = static_cast<std::int64_t>((*list)->items.size());
    if (*index < 0) *index += n;
    if (*index < 0 || *index >= n) return Undefined{};
    return (*list)->items[static_cast<std::size_t>(*index)];
  }
  if (const std::string* text = as_text(value)) {
    if (*index < 0) *index += length(rt, value);
    if (*index < 0 || *index >= static_cast<std::int64_t>(text->size())) return Undefined{};
    rt.step(static_cast<std::size_t>(*index) / 64);
    const std::size_t at = char_offset(*text, static_cast<std::size_t>(*index));
    if (at >= text->size()) return Undefined{};
    return rt.text(text->substr(at, char_bytes(*text, at)));
  }
  return Undefined{};
}

Value slice(Runtime& rt, const Value& value, const Value& from, const Value& to, const Value& by) {
  const std::string* text = as_text(value);
  if (!text && !holds<List*>(value)) {
    rt.fail(format("a value of type {} cannot be sliced", type_name(value)));
  }
  const std::int64_t n = length(rt, value);
  const std::int64_t step = holds<None>(by) ? 1 : as_int(by).value_or(0);
  if (step == 0) rt.fail("a slice's step must be an int other than 0");
  const std::int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
  const std::int64_t first = bound(rt, from, step < 0 ? high : low, low, high, n);
  const std::int64_t last = bound(rt, to, step < 0 ? low : high, low, high, n);
  if (text && step == 1) {
    if (first >= last) return rt.text(std::string());
    const std::size_t begin = char_offset(*text, static_cast<std::size_t>(first));
    const std::string_view rest = std::string_view(*text).substr(begin);
    return rt.text(rest.substr(0, char_offset(rest, static_cast<std::size_t>(last - first))));
  }
  const std::vector<Value>& items = iterate(rt, value)->items;
  List* out = rt.list({}, !text && std::get<List*>(value)->is_tuple);
  for (std::int64_t i = first; step > 0 ? i < last : i > last;) {
    rt.append(*out, items[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (!text) return out;
  std::string joined;
  for (const Value& one : out->items) joined += *as_text(one);
  return rt.text(std::move(joined));
}

Value path(Runtime& rt, const Value& value, const Value& dotted) {
  const std::string* names = as_text(dotted);
  if (!names) return item(rt, value, dotted);
  Value at = value;
  for (const std::string_view part : split_on(*names, ".", -1, false)) {
    const auto index = parse_int(part);
    at = item(rt, at, index ? Value{*index} : rt.text(part));
  }
  return at;
}

}  // namespace tinderbox::jinja
