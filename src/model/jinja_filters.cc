#include "model/jinja_filters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <list>

#include "base/text.h"
#include "model/jinja_eval.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

// What sort, unique and their like compare: the attribute, with letters' case set aside unless
// asked.
Value sort_key(Runtime& rt, const Value& value, const Value* attribute_path, bool case_sensitive) {
  Value key =
      attribute_path && !holds<None>(*attribute_path) ? path(rt, value, *attribute_path) : value;
  if (const std::string* text = as_text(key); text && !case_sensitive) key = rt.text(lower(*text));
  return key;
}

List* sorted(Runtime& rt, const Value& input, const Value* attribute_path, bool case_sensitive,
             bool reverse) {
  std::list<std::pair<Value, Value>>
      keyed;  // its sort is stable, and safe where NaN spoils the order
  for (const Value& value : iterate(rt, input)->items) {
    rt.charge(2 * sizeof(Value));
    keyed.emplace_back(sort_key(rt, value, attribute_path, case_sensitive), value);
  }
  keyed.sort([&](const auto& a, const auto& b) {
    if (equal(rt, a.first, b.first))
      return false;  // also for values without an order, such as none
    return reverse ? less(rt, b.first, a.first) : less(rt, a.first, b.first);
  });
  List* out = rt.list();
  for (auto& [key, value] : keyed) rt.append(*out, std::move(value));
  return out;
}

Value sort(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "sort", {"reverse", "case_sensitive", "attribute"});
  return sorted(rt, input, argument(args, 2, "attribute"), bool_argument(args, 1, "case_sensitive"),
                bool_argument(args, 0, "reverse"));
}

Value dictsort(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "dictsort", {"case_sensitive", "by", "reverse"});
  const auto* dict = std::get_if<Dict*>(&input);
  if (!dict) rt.fail(format("dictsort takes a dictionary, not {}", type_name(input)));
  const Value* by = argument(args, 1, "by");
  const bool by_value = by && as_text(*by) && *as_text(*by) == "value";
  List* items = rt.list();
  for (const auto& [key, value] : (*dict)->items) rt.append(*items, rt.list({key, value}, true));
  const Value column = std::int64_t{by_value ? 1 : 0};
  return sorted(rt, items, &column, bool_argument(args, 0, "case_sensitive"),
                bool_argument(args, 2, "reverse"));
}

Value unique(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "unique", {"case_sensitive", "attribute"});
  List *keys = rt.list(), *out = rt.list();
  for (const Value& value : iterate(rt, input)->items) {
    const Value key = sort_key(rt, value, argument(args, 1, "attribute"),
                               bool_argument(args, 0, "case_sensitive"));
    if (contains(rt, keys, key)) continue;
    rt.append(*keys, key);
    rt.append(*out, value);
  }
  return out;
}

// The arguments after the first n.
Args after(const Args& args, std::size_t n) {
  Args rest;
  for (std::size_t i = n; i < args.positional.size(); ++i)
    rest.positional.push_back(args.positional[i]);
  rest.named = args.named;
  return rest;
}

Value map(Runtime& rt, const Value& input, const Args& args) {
  List* out = rt.list();
  const Value* attribute_path = argument(args, args.positional.size(), "attribute");
  const DepthGuard guard(rt);
  if (attribute_path && args.positional.empty()) {
    const Value* fallback = argument(args, 1, "default");
    for (const Value& value : iterate(rt, input)->items) {
      Value found = path(rt, value, *attribute_path);
      if (holds<Undefined>(found) && fallback) found = *fallback;
      rt.append(*out, std::move(found));
    }
    return out;
  }
  const std::string& name = text_argument(rt, args, 0, "filter");
  const FilterFn filter = find_filter(name);
  if (!filter) rt.unsupported(format("the filter '{}' is outside the subset", name));
  const Args rest = after(args, 1);
  for (const Value& value : iterate(rt, input)->items) rt.append(*out, filter(rt, value, rest));
  return out;
}

// select, reject, selectattr, rejectattr.
Value choose(Runtime& rt, const Value& input, const Args& args, bool by_attribute, bool keep) {
  const std::size_t at = by_attribute ? 1 : 0;
  if (args.positional.size() < at) rt.fail("selectattr and rejectattr need an attribute's name");
  TestFn test = nullptr;
  if (args.positional.size() > at) {
    const std::string& name = text_argument(rt, args, at, "test");
    test = find_test(name);
    if (!test) rt.unsupported(format("the test '{}' is outside the subset", name));
  }
  const Args rest = after(args, at + 1);
  List* out = rt.list();
  for (const Value& value : iterate(rt, input)->items) {
    const Value subject = by_attribute ? path(rt, value, args.positional[0]) : value;
    if ((test ? test(rt, subject, rest) : truthy(subject)) == keep) rt.append(*out, value);
  }
  return out;
}

Value join(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "join", {"d", "attribute"});
  const Value* separator = argument(args, 0, "d");
  const Value* attribute_path = argument(args, 1, "attribute");
  const std::string between = separator ? to_text(rt, *separator) : "";
  std::string out;
  bool first = true;
  for (const Value& value : iterate(rt, input)->items) {
    const std::string piece =
        to_text(rt, attribute_path ? path(rt, value, *attribute_path) : value);
    rt.charge(piece.size() + between.size());
    if (!first) out += between;
    out += piece;
    first = false;
  }
  return rt.text(std::move(out));
}

Value replace(Runtime& rt, const Value& input, const Args& args) {
  Args texts = args;
  for (std::size_t i = 0; i < std::min<std::size_t>(2, texts.positional.size()); ++i) {
    texts.positional[i] = rt.text(to_text(rt, texts.positional[i]));
  }
  return call_method(rt, {rt.text(to_text(rt, input)), "replace"}, texts);
}

Value trim(Runtime& rt, const Value& input, const Args& args) {
  return call_method(rt, {rt.text(to_text(rt, input)), "strip"}, args);
}

Value indent(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "indent", {"width", "first", "blank"});
  const Value* width = argument(args, 0, "width");
  const std::int64_t blanks = width && as_text(*width) ? 0 : int_argument(rt, args, 0, "width", 4);
  if (blanks > 1000) rt.too_large("indent() takes at most 1000 blanks");
  const std::string pad =
      width && as_text(*width)
          ? *as_text(*width)
          : std::string(static_cast<std::size_t>(std::max<std::int64_t>(blanks, 0)), ' ');
  const std::string text = to_text(rt, input);
  const bool first = bool_argument(args, 1, "first"), blank = bool_argument(args, 2, "blank");
  std::string out = first && (blank || !text.starts_with('\n')) ? pad : "";
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    const bool next_is_blank = i + 1 >= text.size() || text[i + 1] == '\n';
    if (text[i] != '\n' || (next_is_blank && !blank)) continue;
    rt.charge(pad.size());
    out += pad;
  }
  return rt.text(std::move(out));
}

Value to_json_filter(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "tojson", {"indent", "ensure_ascii", "separators", "sort_keys"});
  JsonStyle style;
  const Value* indent_value = argument(args, 0, "indent");
  if (indent_value && as_int(*indent_value)) {
    style.indent = std::clamp<std::int64_t>(*as_int(*indent_value), 0, 64);
    style.item_separator = ",";
  }
  style.ensure_ascii = bool_argument(args, 1, "ensure_ascii");
  style.sort_keys = bool_argument(args, 3, "sort_keys");
  const Value* separators = argument(args, 2, "separators");
  if (separators && !holds<None>(*separators)) {
    const List* pair = iterate(rt, *separators);
    if (pair->items.size() != 2 || !as_text(pair->items[0]) || !as_text(pair->items[1])) {
      rt.fail("tojson's separators are two strings");
    }
    style.item_separator = *as_text(pair->items[0]);
    style.key_separator = *as_text(pair->items[1]);
  }
  return rt.text(to_json(rt, input, style));
}

Value default_value(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "default", {"default_value", "boolean"});
  const bool missing =
      holds<Undefined>(input) || (bool_argument(args, 1, "boolean") && !truthy(input));
  if (!missing) return input;
  const Value* fallback = argument(args, 0, "default_value");
  return fallback ? *fallback : rt.text(std::string());
}

Value to_int(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "int", {"default", "base"});
  if (const auto number = as_int(input)) return *number;
  if (const std::string* text = as_text(input)) {
    if (const auto number = parse_int(strip(*text))) return *number;
  }
  const std::string* text = as_text(input);
  const auto number = text ? parse_double(strip(*text)) : as_number(input);
  if (number && std::fabs(*number) < 9e18) return static_cast<std::int64_t>(*number);
  const Value* fallback = argument(args, 0, "default");
  return fallback ? *fallback : Value{std::int64_t{0}};
}

Value to_float(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "float", {"default"});
  const std::string* text = as_text(input);
  if (const auto number = text ? parse_double(strip(*text)) : as_number(input)) return *number;
  const Value* fallback = argument(args, 0, "default");
  return fallback ? *fallback : Value{0.0};
}

Value absolute(Runtime& rt, const Value& input, const Args&) {
  const auto number = as_number(input);
  if (!number) rt.fail(format("abs takes a number, not {}", type_name(input)));
  return *number < 0 ? negate(rt, input) : input;
}

Value round_number(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "round", {"precision", "method"});
  const auto number = as_number(input);
  const std::int64_t digits = int_argument(rt, args, 0, "precision", 0);
  if (!number || digits < 0 || digits > 15) rt.fail("round takes a number and 0 to 15 digits");
  const Value* method = argument(args, 1, "method");
  const std::string how = method ? to_text(rt, *method) : "common";
  const double scale = std::pow(10.0, static_cast<double>(digits));
  if (how == "ceil") return std::ceil(*number * scale) / scale;
  if (how == "floor") return std::floor(*number * scale) / scale;
  return std::nearbyint(*number * scale) / scale;  // halves to even, as Python's round
}

Value end_item(Runtime& rt, const Value& input, bool last) {
  const std::vector<Value>& items = iterate(rt, input)->items;
  if (items.empty()) return Undefined{};
  return last ? items.back() : items.front();
}

Value extreme(Runtime& rt, const Value& input, const Args& args, bool want_max) {
  check_arguments(rt, args, want_max ? "max" : "min", {"case_sensitive", "attribute"});
  const List* items = sorted(rt, input, argument(args, 1, "attribute"),
                             bool_argument(args, 0, "case_sensitive"), want_max);
  return items->items.empty() ? Value{Undefined{}} : items->items[0];
}

Value sum(Runtime& rt, const Value& input, const Args& args) {
  check_arguments(rt, args, "sum", {"attribute", "start"});
  const Value *attribute_path = argument(args, 0, "attribute"), *start = argument(args, 1, "start");
  Value total = start ? *start : Value{std::int64_t{0}};
  for (const Value& value : iterate(rt, input)->items) {
    total =
        binary(rt, ExprKind::Add, total, attribute_path ? path(rt, value, *attribute_path) : value);
  }
  return total;
}

Value reverse(Runtime& rt, const Value& input, const Args&) {
  return slice(rt, as_text(input) ? input : Value{iterate(rt, input)}, None{}, None{},
               std::int64_t{-1});
}

Value items(Runtime& rt, const Value& input, const Args& args) {
  if (holds<Undefined>(input)) return rt.list();
  if (method_name(input, "items").empty()) {
    rt.fail(format("items takes a dictionary, not {}", type_name(input)));
  }
  return call_method(rt, {input, "items"}, args);
}

Value cased(Runtime& rt, const Value& input, std::string (*change)(std::string_view)) {
  return rt.text(change(to_text(rt, input)));
}

using F = std::pair<std::string_view, FilterFn>;
constexpr std::array kFilters = {
    F{"abs", absolute},
    F{"capitalize",
      [](Runtime& rt, const Value& v, const Args&) { return cased(rt, v, capitalize); }},
    F{"count", [](Runtime& rt, const Value& v, const Args&) -> Value { return length(rt, v); }},
    F{"d", default_value},
    F{"default", default_value},
    F{"dictsort", dictsort},
    F{"first", [](Runtime& rt, const Value& v, const Args&) { return end_item(rt, v, false); }},
    F{"float", to_float},
    F{"indent", indent},
    F{"int", to_int},
    F{"items", items},
    F{"join", join},
    F{"last", [](Runtime& rt, const Value& v, const Args&) { return end_item(rt, v, true); }},
    F{"length", [](Runtime& rt, const Value& v, const Args&) -> Value { return length(rt, v); }},
    F{"list",
      [](Runtime& rt, const Value& v, const Args&) -> Value {
        return rt.list(iterate(rt, v)->items);
      }},
    F{"lower", [](Runtime& rt, const Value& v, const Args&) { return cased(rt, v, lower); }},
    F{"map", map},
    F{"max", [](Runtime& rt, const Value& v, const Args& a) { return extreme(rt, v, a, true); }},
    F{"min", [](Runtime& rt, const Value& v, const Args& a) { return extreme(rt, v, a, false); }},
    F{"reject",
      [](Runtime& rt, const Value& v, const Args& a) { return choose(rt, v, a, false, false); }},
    F{"rejectattr",
      [](Runtime& rt, const Value& v, const Args& a) { return choose(rt, v, a, true, false); }},
    F{"replace", replace},
    F{"reverse", reverse},
    F{"round", round_number},
    F{"safe", [](Runtime&, const Value& v, const Args&) { return v; }},
    F{"select",
      [](Runtime& rt, const Value& v, const Args& a) { return choose(rt, v, a, false, true); }},
    F{"selectattr",
      [](Runtime& rt, const Value& v, const Args& a) { return choose(rt, v, a, true, true); }},
    F{"sort", sort},
    F{"string", [](Runtime& rt, const Value& v, const Args&) { return rt.text(to_text(rt, v)); }},
    F{"sum", sum},
    F{"title", [](Runtime& rt, const Value& v,
                  const Args&) { return rt.text(title(to_text(rt, v), TitleRule::Filter)); }},
    F{"tojson", to_json_filter},
    F{"trim", trim},
    F{"unique", unique},
    F{"upper", [](Runtime& rt, const Value& v, const Args&) { return cased(rt, v, upper); }},
};

}  // namespace

FilterFn find_filter(std::string_view name) {
  const auto found = std::ranges::find(kFilters, name, &F::first);
  return found == kFilters.end() ? nullptr : found->second;
}

}  // namespace tinderbox::jinja
