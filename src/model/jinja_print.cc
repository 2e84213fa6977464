// Values as text: what {{ value }} prints, and JSON.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/jinja_text.h"
#include "model/jinja_value.h"

namespace tinderbox::jinja {
namespace {

// What repr(value) prints: as inside a printed list.
void append_repr(Runtime& rt, std::string& out, const Value& value) {
  const DepthGuard guard(rt);
  rt.step();
  const std::size_t before = out.size();
  if (const std::string* text = as_text(value)) {
    out += repr(*text);
  } else if (const auto* list = std::get_if<List*>(&value)) {
    out += (*list)->is_tuple ? '(' : '[';
    for (std::size_t i = 0; i < (*list)->items.size(); ++i) {
      if (i > 0) out += ", ";
      append_repr(rt, out, (*list)->items[i]);
    }
    if ((*list)->is_tuple && (*list)->items.size() == 1) out += ',';
    out += (*list)->is_tuple ? ')' : ']';
  } else if (const auto* dict = std::get_if<Dict*>(&value)) {
    out += '{';
    for (std::size_t i = 0; i < (*dict)->items.size(); ++i) {
      if (i > 0) out += ", ";
      out += repr(*(*dict)->items[i].first) + ": ";
      append_repr(rt, out, (*dict)->items[i].second);
    }
    out += '}';
  } else if (holds<Undefined>(value)) {
    out += "Undefined";
  } else {
    out += to_text(rt, value);
  }
  rt.charge(out.size() - before);
}

struct JsonWriter {
  Runtime& rt;
  const JsonStyle& style;
  std::string out;

  void newline(std::int64_t level) {
    if (!style.indent) return;
    const std::int64_t blanks = *style.indent * level;
    rt.charge(static_cast<std::size_t>(blanks) + 1);
    out += '\n';
    out.append(static_cast<std::size_t>(blanks), ' ');
  }

  void list(const List& items, std::int64_t level) {
    if (items.items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (std::size_t i = 0; i < items.items.size(); ++i) {
      if (i > 0) out += style.item_separator;
      newline(level + 1);
      value(items.items[i], level + 1);
    }
    newline(level);
    out += ']';
  }

  void dict(const Dict& dict, std::int64_t level) {
    if (dict.items.empty()) {
      out += "{}";
      return;
    }
    std::vector<const std::pair<Text, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style.sort_keys) {
      std::ranges::sort(items, [](auto* a, auto* b) { return *a->first < *b->first; });
    }
    out += '{';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += style.item_separator;
      newline(level + 1);
      out += json_quote(*items[i]->first, style.ensure_ascii) + style.key_separator;
      value(items[i]->second, level + 1);
    }
    newline(level);
    out += '}';
  }

  void value(const Value& v, std::int64_t level) {
    const DepthGuard guard(rt);
    rt.step();
    const std::size_t before = out.size();
    if (const std::string* text = as_text(v)) {
      out += json_quote(*text, style.ensure_ascii);
    } else if (const auto* items = std::get_if<List*>(&v)) {
      list(**items, level);
    } else if (const auto* entries = std::get_if<Dict*>(&v)) {
      dict(**entries, level);
    } else if (const bool* flag = std::get_if<bool>(&v)) {
      out += *flag ? "true" : "false";
    } else if (holds<None>(v)) {
      out += "null";
    } else if (const auto* number = std::get_if<double>(&v); number && !std::isfinite(*number)) {
      out += std::isnan(*number) ? "NaN" : *number < 0 ? "-Infinity" : "Infinity";
    } else if (as_number(v)) {
      out += to_text(rt, v);
    } else {
      rt.fail(format("tojson cannot write a value of type {}", type_name(v)));
    }
    rt.charge(out.size() - before);
  }
};

}  // namespace

std::string to_text(Runtime& rt, const Value& value) {
  if (const std::string* text = as_text(value)) return *text;
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "True" : "False";
  if (const auto* number = std::get_if<std::int64_t>(&value)) return format("{}", *number);
  if (const auto* number = std::get_if<double>(&value)) return repr(*number);
  if (holds<Undefined>(value)) return "";
  if (holds<None>(value)) return "None";
  if (holds<List*>(value) || holds<Dict*>(value)) {
    std::string out;
    append_repr(rt, out, value);
    return out;
  }
  rt.fail(format("cannot print a {}", type_name(value)));
}

std::string to_json(Runtime& rt, const Value& value, const JsonStyle& style) {
  JsonWriter writer{rt, style, {}};
  writer.value(value, 0);
  return std::move(writer.out);
}

}  // namespace tinderbox::jinja
