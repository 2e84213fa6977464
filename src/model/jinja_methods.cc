// Methods of strings, dictionaries, lists and loop, and the global functions.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "model/jinja_eval.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

constexpr std::array<std::string_view, 26> kTextMethods = {
    "strip",    "lstrip",  "rstrip",  "split",        "rsplit",       "splitlines", "startswith",
    "endswith", "upper",   "lower",   "title",        "capitalize",   "replace",    "find",
    "rfind",    "count",   "join",    "removeprefix", "removesuffix", "isdigit",    "isspace",
    "isalpha",  "isupper", "islower", "index",        "isalnum"};
constexpr std::array<std::string_view, 4> kDictMethods = {"items", "keys", "values", "get"};
constexpr std::array<std::string_view, 3> kListMethods = {"append", "count", "index"};
constexpr std::array<std::string_view, 1> kLoopMethods = {"cycle"};

template <std::size_t N>
std::string_view known(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  return found == names.end() ? std::string_view{} : *found;
}

Value bool_value(bool b) { return b; }

// text.strip family; the argument may be None.
Value stripped(Runtime& rt, std::string_view text, const Args& args, StripSides sides) {
  check_arguments(rt, args, "strip", {"chars"});
  const Value* set = argument(args, 0, "chars");
  if (!set || holds<None>(*set)) return rt.text(strip(text, sides));
  const std::string& chars = text_argument(rt, args, 0, "chars");
  rt.step(text.size() / 256 * (chars.size() + 1));
  return rt.text(strip(text, sides, chars));
}

Value split(Runtime& rt, const std::string& text, const Args& args, bool from_right) {
  check_arguments(rt, args, "split", {"sep", "maxsplit"});
  const std::int64_t max = int_argument(rt, args, 1, "maxsplit", -1);
  const Value* separator = argument(args, 0, "sep");
  rt.charge(text.size());
  if (!separator || holds<None>(*separator)) return rt.texts(split_space(text, max, from_right));
  const std::string& cut = text_argument(rt, args, 0, "sep");
  if (cut.empty()) rt.fail("split() needs a separator that is not empty");
  rt.step(text.size() / 256 * (cut.size() + 1));
  rt.charge(text.size() / cut.size() * sizeof(std::string_view));
  return rt.texts(split_on(text, cut, max, from_right));
}

// startswith, endswith: a string or a tuple of strings.
bool has_affix(Runtime& rt, std::string_view text, const Args& args, bool at_start) {
  check_arguments(rt, args, at_start ? "startswith" : "endswith", {"prefix"});
  const auto matches = [&](const Value& affix) {
    const std::string* part = as_text(affix);
    if (!part) rt.fail(format("startswith and endswith take strings, not {}", type_name(affix)));
    rt.step(1 + part->size() / 256);
    return at_start ? text.starts_with(*part) : text.ends_with(*part);
  };
  const Value* affix = argument(args, 0, "prefix");
  if (!affix) rt.fail("startswith and endswith need a string");
  const auto* several = std::get_if<List*>(affix);
  return several ? std::ranges::any_of((*several)->items, matches) : matches(*affix);
}

std::int64_t find(Runtime& rt, std::string_view text, const Args& args, bool from_right) {
  const std::string& part = text_argument(rt, args, 0, "sub");
  if (args.positional.size() > 1) rt.unsupported("find() with bounds is outside the subset");
  rt.step(1 + text.size() / 256 * (part.size() + 1));
  const std::size_t at = from_right ? text.rfind(part) : text.find(part);
  return at == std::string_view::npos ? -1 : static_cast<std::int64_t>(n_chars(text.substr(0, at)));
}

Value text_replace(Runtime& rt, const std::string& text, const Args& args) {
  check_arguments(rt, args, "replace", {"old", "new", "count"});
  const std::string& from = text_argument(rt, args, 0, "old");
  const std::string& to = text_argument(rt, args, 1, "new");
  const std::int64_t max = int_argument(rt, args, 2, "count", -1);
  rt.step(1 + text.size() / 256 * (from.size() + 1));
  std::size_t hits = from.empty() ? text.size() + 1 : 0;
  for (std::size_t at = 0; !from.empty() && (at = text.find(from, at)) != std::string::npos;) {
    ++hits;
    at += from.size();
  }
  // The size of the result, before it is made.
  if (hits > 0 && to.size() > kWorkBytesMax / hits) rt.too_large("a replacement grows too long");
  rt.charge(text.size() + hits * to.size());
  return rt.text(replace(text, from, to, max));
}

Value join(Runtime& rt, const std::string& separator, const Value& parts) {
  const List* items = iterate(rt, parts);
  std::string out;
  for (std::size_t i = 0; i < items->items.size(); ++i) {
    const std::string* part = as_text(items->items[i]);
    if (!part) rt.fail(format("join() takes strings, not {}", type_name(items->items[i])));
    rt.charge(part->size() + separator.size());
    if (i > 0) out += separator;
    out += *part;
  }
  return rt.text(std::move(out));
}

// isdigit and its like, on ASCII; other scripts' letters count as letters.
bool all_are(std::string_view text, std::string_view what) {
  const auto other = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto letter = [&](char c) {
    return other(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (what == "isspace") return !text.empty() && strip(text).empty();
  if (what == "isupper") return upper(text) == text && lower(text) != text;
  if (what == "islower") return lower(text) == text && upper(text) != text;
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return what == "isdigit" ? digit(c) : what == "isalpha" ? letter(c) : letter(c) || digit(c);
  });
}

Value call_text(Runtime& rt, const std::string& text, std::string_view name, const Args& args) {
  rt.step(1 + text.size() / 256);
  if (name == "strip") return stripped(rt, text, args, {});
  if (name == "lstrip") return stripped(rt, text, args, {.left = true, .right = false});
  if (name == "rstrip") return stripped(rt, text, args, {.left = false, .right = true});
  if (name == "split") return split(rt, text, args, false);
  if (name == "rsplit") return split(rt, text, args, true);
  if (name == "startswith") return bool_value(has_affix(rt, text, args, true));
  if (name == "endswith") return bool_value(has_affix(rt, text, args, false));
  if (name == "replace") return text_replace(rt, text, args);
  if (name == "find") return find(rt, text, args, false);
  if (name == "rfind") return find(rt, text, args, true);
  if (name == "index") {
    const std::int64_t at = find(rt, text, args, false);
    if (at < 0) rt.fail("index() did not find the string");
    return at;
  }
  if (name == "join") {
    if (args.positional.size() != 1) rt.fail("join() takes one list");
    return join(rt, text, args.positional[0]);
  }
  if (name == "count") {
    const std::string& part = text_argument(rt, args, 0, "sub");
    if (part.empty()) return static_cast<std::int64_t>(n_chars(text)) + 1;
    rt.step(text.size() / 256 * (part.size() + 1));
    std::int64_t n = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size())
      ++n;
    return n;
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string& part = text_argument(rt, args, 0, "affix");
    std::string_view rest = text;
    if (name == "removeprefix" && rest.starts_with(part)) rest.remove_prefix(part.size());
    if (name == "removesuffix" && rest.ends_with(part)) rest.remove_suffix(part.size());
    return rt.text(rest);
  }
  check_arguments(rt, args, name, {});
  if (name == "splitlines") {
    rt.charge(text.size() * sizeof(std::string_view));
    return rt.texts(split_lines(text));
  }
  if (name == "upper") return rt.text(upper(text));
  if (name == "lower") return rt.text(lower(text));
  if (name == "title") return rt.text(title(text, TitleRule::Method));
  if (name == "capitalize") return rt.text(capitalize(text));
  return bool_value(all_are(text, name));
}

Value call_dict(Runtime& rt, Dict& dict, std::string_view name, const Args& args) {
  if (name == "get") {
    check_arguments(rt, args, "get", {"key", "default"});
    const Value* key = argument(args, 0, "key");
    const Value* fallback = argument(args, 1, "default");
    if (key && as_text(*key)) {
      if (const Value* found = rt.find(dict, *as_text(*key))) return *found;
    }
    return fallback ? *fallback : Value{None{}};
  }
  check_arguments(rt, args, name, {});
  List* out = rt.list();
  for (const auto& [key, value] : dict.items) {
    if (name == "keys") rt.append(*out, key);
    if (name == "values") rt.append(*out, value);
    if (name == "items") rt.append(*out, rt.list({key, value}, true));
  }
  return out;
}

Value call_list(Runtime& rt, List& list, std::string_view name, const Args& args) {
  if (args.positional.size() != 1 || !args.named.empty()) {
    rt.fail(format("{}() takes one value", name));
  }
  if (name == "append") {
    rt.append(list, args.positional[0]);
    return None{};
  }
  std::int64_t n = 0;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (!equal(rt, list.items[i], args.positional[0])) continue;
    if (name == "index") return static_cast<std::int64_t>(i);
    ++n;
  }
  if (name == "index") rt.fail("index() did not find the value");
  return n;
}

Value range(Runtime& rt, const Args& args) {
  check_arguments(rt, args, "range", {"start", "stop", "step"});
  const std::size_t n = args.positional.size();
  const std::int64_t first = int_argument(rt, args, 0, "start", 0);
  const std::int64_t start = n < 2 ? 0 : first;
  const std::int64_t stop = n < 2 ? first : int_argument(rt, args, 1, "stop", 0);
  const std::int64_t step = int_argument(rt, args, 2, "step", 1);
  if (step == 0) rt.fail("range() needs a step other than 0");
  List* out = rt.list();
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(out->items.size()) >= kRangeMax) {
      rt.too_large(format("range() is longer than {}", kRangeMax));
    }
    rt.append(*out, i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return out;
}

}  // namespace

std::string_view method_name(const Value& self, std::string_view name) {
  if (as_text(self)) return known(kTextMethods, name);
  if (holds<List*>(self)) return known(kListMethods, name);
  if (holds<Loop*>(self)) return known(kLoopMethods, name);
  const auto* dict = std::get_if<Dict*>(&self);
  return dict && !(*dict)->is_namespace ? known(kDictMethods, name) : std::string_view{};
}

Value call_method(Runtime& rt, const Method& method, const Args& args) {
  if (const std::string* text = as_text(method.self)) {
    return call_text(rt, *text, method.name, args);
  }
  if (const auto* list = std::get_if<List*>(&method.self)) {
    return call_list(rt, **list, method.name, args);
  }
  if (const auto* loop = std::get_if<Loop*>(&method.self)) {
    if (args.positional.empty()) rt.fail("loop.cycle() needs values");
    return args.positional[(*loop)->index % args.positional.size()];
  }
  return call_dict(rt, *std::get<Dict*>(method.self), method.name, args);
}

Value call_function(Runtime& rt, Function function, const Args& args) {
  switch (function) {
    case Function::Range:
      return range(rt, args);
    case Function::Namespace:
    case Function::Dict: {
      Dict* out = rt.dict();
      out->is_namespace = function == Function::Namespace;
      if (!args.positional.empty()) {
        const auto* from = std::get_if<Dict*>(&args.positional[0]);
        if (!from) rt.fail("namespace() and dict() take a dictionary and named values");
        for (const auto& [key, value] : (*from)->items) rt.set(*out, key, value);
      }
      for (const auto& [key, value] : args.named) {
        rt.set(*out, std::make_shared<const std::string>(key), value);
      }
      return out;
    }
    case Function::RaiseException: {
      check_arguments(rt, args, "raise_exception", {"message"});
      throw_invalid(format("the chat template refuses these messages: {}",
                           args.positional.empty() ? "" : to_text(rt, args.positional[0])));
    }
    case Function::StrftimeNow: {
      check_arguments(rt, args, "strftime_now", {"format"});
      if (!rt.now_unix()) rt.unsupported("strftime_now() needs a date, and none was given");
      const std::string& pattern = text_argument(rt, args, 0, "format");
      const auto out = format_utc(pattern, *rt.now_unix());
      if (!out) rt.unsupported(format("strftime_now({}) has an unknown directive", repr(pattern)));
      return rt.text(*out);
    }
  }
  CHECK(false);
}

}  // namespace tinderbox::jinja
