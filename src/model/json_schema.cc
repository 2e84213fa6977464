#include "model/json_schema.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "model/json_formats.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;
using Part = Grammar::Part;
using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

constexpr int kDepthMax = 64;
constexpr std::int64_t kCountMax = 1000;  // items of a list, characters of a string, integers of a range

Sequence operator+(Sequence a, const Sequence& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Sequence text(std::string_view t) { return Grammar::literal(t); }
Sequence ref(Rule rule) { return {Grammar::ref(rule)}; }

// What every JSON document is made of; made when first asked for.
class Builder {
 public:
  explicit Builder(Grammar& grammar) : g_(grammar) {}

  Rule any_value();
  Rule any_object();
  Rule schema(const Json& schema, const Json& document, const std::string& where, int depth = 0);

 private:
  Rule once(Rule& rule, auto fill) {
    if (rule < 0) {
      rule = g_.add();
      fill(rule);
    }
    return rule;
  }
  // Nothing, or a blank.
  Rule blank() {
    return once(blank_, [&](Rule r) {
      g_.add(r, {});
      g_.add(r, text(" "));
    });
  }
  Rule character();
  Rule string() {
    return once(string_, [&](Rule r) {
      const Rule rest = g_.add();
      g_.add(rest, text("\""));
      g_.add(rest, ref(character()) + ref(rest));
      g_.add(r, text("\"") + ref(rest));
    });
  }
  Rule digits();
  Rule integer();
  Rule number();
  Rule one_of(const std::vector<Sequence>& alternatives) {
    const Rule rule = g_.add();
    for (const Sequence& s : alternatives) g_.add(rule, s);
    return rule;
  }
  // '[' items ']': item after item, at least n_min, at most n_max (below 0: any number).
  Rule list(const std::vector<Rule>& first, Rule more, std::int64_t n_min, std::int64_t n_max);
  Rule object_of(const Json& schema, const Json& document, const std::string& where, int depth);
  Rule array_of(const Json& schema, const Json& document, const std::string& where, int depth);
  Rule string_of(const Json& schema, const std::string& where);
  Rule integer_of(const Json& schema, const std::string& where);
  Rule typed(const std::string& type, const Json& schema, const Json& document, const std::string& where, int depth);
  Rule referred(const Json& reference, const Json& document, const std::string& where, int depth);

  Grammar& g_;
  Rule blank_ = -1, character_ = -1, string_ = -1, digits_ = -1, integer_ = -1, number_ = -1, value_ = -1, object_ = -1;
  std::map<std::string, Rule> referred_;
};

// Of a string: UTF-8 but for controls, '"' and '\', or an escape.
Rule Builder::character() {
  return once(character_, [&](Rule r) {
    Part plain = Grammar::range(0x20, 0x7E);
    for (const unsigned c : {0x22U, 0x5CU}) plain.bytes[c >> 6] &= ~(std::uint64_t{1} << (c & 63));  // '"' and '\\'
    const Part tail = Grammar::range(0x80, 0xBF);
    g_.add(r, {plain});
    g_.add(r, {Grammar::range(0xC2, 0xDF), tail});
    g_.add(r, {Grammar::range(0xE0, 0xE0), Grammar::range(0xA0, 0xBF), tail});
    g_.add(r, {Grammar::range(0xE1, 0xEC), tail, tail});
    g_.add(r, {Grammar::range(0xED, 0xED), Grammar::range(0x80, 0x9F), tail});
    g_.add(r, {Grammar::range(0xEE, 0xEF), tail, tail});
    g_.add(r, {Grammar::range(0xF0, 0xF0), Grammar::range(0x90, 0xBF), tail, tail});
    g_.add(r, {Grammar::range(0xF1, 0xF3), tail, tail, tail});
    g_.add(r, {Grammar::range(0xF4, 0xF4), Grammar::range(0x80, 0x8F), tail, tail});
    g_.add(r, text("\\") + Sequence{Grammar::any_of("\"\\/bfnrt")});
    // No surrogates: half of a pair is no text.
    const Part hex = Grammar::any_of("0123456789abcdefABCDEF");
    g_.add(r, text("\\u") + Sequence{Grammar::any_of("0123456789abcefABCEF"), hex, hex, hex});
  });
}

Rule Builder::digits() {
  return once(digits_, [&](Rule r) {
    const Part digit = Grammar::range('0', '9');
    g_.add(r, {digit});
    g_.add(r, Sequence{digit} + ref(r));
  });
}

Rule Builder::integer() {
  return once(integer_, [&](Rule r) {
    const Rule plain =
        one_of({text("0"), {Grammar::range('1', '9')}, Sequence{Grammar::range('1', '9')} + ref(digits())});
    g_.add(r, ref(plain));
    g_.add(r, text("-") + ref(plain));
  });
}

Rule Builder::number() {
  return once(number_, [&](Rule r) {
    const Rule sign = one_of({{}, text("-"), text("+")});
    const Rule fraction = one_of({{}, text(".") + ref(digits())});
    const Rule exponent = one_of(
        {{},
         Sequence{Grammar::any_of("eE")} + ref(sign) + Sequence{Grammar::range('0', '9')},
         Sequence{Grammar::any_of("eE")} + ref(sign) + Sequence{Grammar::range('1', '2'), Grammar::range('0', '9')}});
    g_.add(r, ref(integer()) + ref(fraction) + ref(exponent));
  });
}

Rule Builder::any_value() {
  if (value_ >= 0) return value_;
  value_ = g_.add();
  for (const char* word : {"null", "true", "false"}) g_.add(value_, text(word));
  g_.add(value_, ref(number()));
  g_.add(value_, ref(string()));
  g_.add(value_, ref(any_object()));
  g_.add(value_, ref(list({}, value_, 0, -1)));
  return value_;
}

Rule Builder::any_object() {
  if (object_ >= 0) return object_;
  object_ = g_.add();
  const Rule value = any_value();
  const Rule member = one_of({ref(string()) + text(":") + ref(blank()) + ref(value)});
  const Rule rest = g_.add();
  g_.add(rest, text("}"));
  g_.add(rest, text(",") + ref(blank()) + ref(member) + ref(rest));
  g_.add(object_, text("{}"));
  g_.add(object_, text("{") + ref(member) + ref(rest));
  return object_;
}

Rule Builder::list(const std::vector<Rule>& first, Rule more, std::int64_t n_min, std::int64_t n_max) {
  const auto n_first = std::ssize(first);
  n_min = std::max<std::int64_t>(n_min, 0);
  // after[i]: i items are there. From the end, where it goes round or stops.
  const std::int64_t last = n_max >= 0 ? n_max : std::max<std::int64_t>({n_min, n_first, 1});
  Rule after = g_.add();
  g_.add(after, text("]"));
  if (n_max < 0) g_.add(after, text(",") + ref(blank()) + ref(more) + ref(after));
  for (std::int64_t i = last - 1; i >= 0; --i) {
    const Rule item = i < n_first ? first[static_cast<std::size_t>(i)] : more;
    const Rule here = g_.add();
    if (i >= n_min) g_.add(here, text("]"));
    if (item >= 0) g_.add(here, (i == 0 ? Sequence{} : text(",") + ref(blank())) + ref(item) + ref(after));
    after = here;
  }
  return one_of({text("[") + ref(after)});
}

[[noreturn]] void unsupported(const std::string& where, std::string_view what) {
  throw_unsupported(format("{}: '{}' cannot be enforced here; leave it out", where, what));
}

// Throws for keywords that say more than we enforce.
void require_known(const Json& schema, const std::string& where) {
  static const std::set<std::string_view> kKnown = {"type",      "properties",  "required",    "additionalProperties",
                                                    "items",     "prefixItems", "minItems",    "maxItems",
                                                    "enum",      "const",       "anyOf",       "oneOf",
                                                    "allOf",     "$ref",        "$defs",       "definitions",
                                                    "minLength", "maxLength",   "format",      "minimum",
                                                    "maximum",   "title",       "description", "default",
                                                    "examples",  "$schema",     "$id",         "deprecated",
                                                    "readOnly",  "writeOnly",   "$comment",    "strict",
                                                    "nullable"};
  for (const auto& [key, value] : schema.items()) {
    if (!kKnown.contains(key)) unsupported(where, to_valid_utf8(key));
  }
}

std::int64_t count(const Json& schema, const char* key, std::int64_t otherwise, const std::string& where) {
  if (!schema.contains(key)) return otherwise;
  const Json& value = schema[key];
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > kCountMax) {
    throw_invalid(format("{}: {} must be an integer from 0 to {}", where, key, kCountMax));
  }
  return value.get<std::int64_t>();
}

Rule Builder::object_of(const Json& schema, const Json& document, const std::string& where, int depth) {
  const Json properties = schema.value("properties", Json::object());
  if (!properties.is_object()) throw_invalid(format("{}: properties must be an object", where));
  std::set<std::string> required;
  for (const Json& name : schema.value("required", Json::array())) {
    if (!name.is_string() || !properties.contains(name.get<std::string>())) {
      throw_invalid(format("{}: required names '{}', which is no property", where, to_valid_utf8(name.dump())));
    }
    required.insert(name.get<std::string>());
  }
  if (properties.empty()) {
    const Json more = schema.value("additionalProperties", Json(true));
    if (more.is_boolean()) return more.get<bool>() ? any_object() : one_of({text("{}")});
    const Rule value = this->schema(more, document, where + "/additionalProperties", depth + 1);
    const Rule member = one_of({ref(string()) + text(":") + ref(blank()) + ref(value)});
    const Rule rest = g_.add();
    g_.add(rest, text("}"));
    g_.add(rest, text(",") + ref(blank()) + ref(member) + ref(rest));
    return one_of({text("{}"), text("{") + ref(member) + ref(rest)});
  }
  // From the last property to the first: what may come if some came before, and if none did.
  Rule some = one_of({text("}")}), none = some;
  std::vector<std::pair<std::string, Json>> members;
  for (const auto& [name, of] : properties.items()) members.emplace_back(name, of);
  for (auto it = members.rbegin(); it != members.rend(); ++it) {
    const Rule value = this->schema(it->second, document, where + "/properties/" + to_valid_utf8(it->first), depth + 1);
    const Sequence member = text(Json(it->first).dump()) + text(":") + ref(blank()) + ref(value) + ref(some);
    const Rule with = g_.add(), first = g_.add();
    g_.add(with, text(",") + ref(blank()) + member);
    g_.add(first, member);
    if (!required.contains(it->first)) {
      g_.add(with, ref(some));
      g_.add(first, ref(none));
    }
    some = with;
    none = first;
  }
  return one_of({text("{") + ref(none)});
}

Rule Builder::array_of(const Json& schema, const Json& document, const std::string& where, int depth) {
  std::vector<Rule> first;
  const Json prefix = schema.value("prefixItems", Json::array());
  if (!prefix.is_array()) throw_invalid(format("{}: prefixItems must be an array", where));
  for (const Json& one : prefix) first.push_back(this->schema(one, document, where + "/prefixItems", depth + 1));
  const Json items = schema.value("items", Json(true));
  const bool closed = items.is_boolean() && !items.get<bool>();
  const Rule more = closed ? -1 : this->schema(items, document, where + "/items", depth + 1);
  const std::int64_t n_min = count(schema, "minItems", 0, where);
  std::int64_t n_max = count(schema, "maxItems", -1, where);
  if (closed) n_max = n_max < 0 ? std::ssize(first) : std::min<std::int64_t>(n_max, std::ssize(first));
  if (n_max >= 0 && n_max < n_min) throw_invalid(format("{}: minItems is above maxItems", where));
  return list(first, more, n_min, n_max);
}

Rule Builder::string_of(const Json& schema, const std::string& where) {
  if (schema.contains("format")) {
    const std::string name = schema["format"].is_string() ? schema["format"].get<std::string>() : "";
    if (const auto form = json_format(g_, name)) return one_of({text("\"") + *form + text("\"")});
    unsupported(where, "format " + to_valid_utf8(name));
  }
  const std::int64_t n_min = count(schema, "minLength", 0, where), n_max = count(schema, "maxLength", -1, where);
  if (n_min == 0 && n_max < 0) return string();
  if (n_max >= 0 && n_max < n_min) throw_invalid(format("{}: minLength is above maxLength", where));
  Rule rest = g_.add();
  g_.add(rest, text("\""));
  if (n_max < 0) g_.add(rest, ref(character()) + ref(rest));
  for (std::int64_t i = (n_max >= 0 ? n_max : n_min) - 1; i >= 0; --i) {
    const Rule here = g_.add();
    if (i >= n_min) g_.add(here, text("\""));
    g_.add(here, ref(character()) + ref(rest));
    rest = here;
  }
  return one_of({text("\"") + ref(rest)});
}

Rule Builder::integer_of(const Json& schema, const std::string& where) {
  const bool low = schema.contains("minimum"), high = schema.contains("maximum");
  if (!low && !high) return integer();
  for (const char* key : {"minimum", "maximum"}) {
    if (schema.contains(key) && !schema[key].is_number_integer()) {
      throw_invalid(format("{}: {} of integers must be an integer", where, key));
    }
  }
  const std::int64_t from = low ? schema["minimum"].get<std::int64_t>() : 0;
  if (low && high) {
    const auto to = schema["maximum"].get<std::int64_t>();
    if (to < from) throw_invalid(format("{}: minimum is above maximum", where));
    if (static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from) <= static_cast<std::uint64_t>(kCountMax)) {
      const Rule rule = g_.add();
      for (std::int64_t n = from; n <= to; ++n) g_.add(rule, text(format("{}", n)));
      return rule;
    }
  }
  const Rule positive = one_of({{Grammar::range('1', '9')}, Sequence{Grammar::range('1', '9')} + ref(digits())});
  if (low && !high && from == 1) return positive;
  if (low && !high && from == 0) return one_of({text("0"), ref(positive)});
  unsupported(where, "minimum and maximum of this width");
}

Rule Builder::typed(const std::string& type, const Json& schema, const Json& document, const std::string& where,
                    int depth) {
  if (type == "object") return object_of(schema, document, where, depth);
  if (type == "array") return array_of(schema, document, where, depth);
  if (type == "string") return string_of(schema, where);
  if (type == "integer") return integer_of(schema, where);
  if (type == "number") {
    for (const char* key : {"minimum", "maximum"}) {
      if (schema.contains(key)) unsupported(where, std::string(key) + " of a number");
    }
    return number();
  }
  if (type == "boolean") return one_of({text("true"), text("false")});
  if (type == "null") return one_of({text("null")});
  throw_invalid(format("{}: there is no type '{}'", where, to_valid_utf8(type)));
}

Rule Builder::referred(const Json& reference, const Json& document, const std::string& where, int depth) {
  const std::string path = reference.is_string() ? reference.get<std::string>() : "";
  if (const auto it = referred_.find(path); it != referred_.end()) return it->second;
  if (!path.starts_with('#'))
    throw_unsupported(format("{}: $ref '{}' is not into this schema", where, to_valid_utf8(path)));
  const Json* target = nullptr;
  try {
    target = &document.at(Json::json_pointer(path.substr(1)));
  } catch (const Json::exception&) {
    throw_invalid(format("{}: $ref '{}' leads nowhere", where, to_valid_utf8(path)));
  }
  const Rule rule = g_.add();
  referred_[path] = rule;
  g_.add(rule, ref(schema(*target, document, path, depth + 1)));
  return rule;
}

Rule Builder::schema(const Json& schema, const Json& document, const std::string& where, int depth) {
  if (depth > kDepthMax) throw_too_large(format("{}: the schema nests deeper than {} levels", where, kDepthMax));
  if (schema.is_boolean() && schema.get<bool>()) return any_value();
  if (!schema.is_object()) throw_invalid(format("{}: a schema is an object", where));
  require_known(schema, where);
  if (schema.contains("$ref")) return referred(schema["$ref"], document, where, depth);
  if (schema.contains("const")) return one_of({text(schema["const"].dump())});
  if (schema.contains("enum")) {
    if (!schema["enum"].is_array() || schema["enum"].empty()) throw_invalid(format("{}: enum must be a list", where));
    std::vector<Sequence> all;
    for (const Json& value : schema["enum"]) all.push_back(text(value.dump()));
    return one_of(all);
  }
  for (const char* key : {"anyOf", "oneOf", "allOf"}) {
    if (!schema.contains(key)) continue;
    const Json& list = schema[key];
    if (!list.is_array() || list.empty()) throw_invalid(format("{}: {} must be a list", where, key));
    if (std::string_view(key) == "allOf" && list.size() > 1) unsupported(where, "allOf of several");
    const Rule rule = g_.add();
    for (const Json& one : list) g_.add(rule, ref(this->schema(one, document, where + "/" + key, depth + 1)));
    return rule;
  }
  if (!schema.contains("type")) {
    if (schema.contains("properties")) return object_of(schema, document, where, depth);
    if (schema.contains("items") || schema.contains("prefixItems")) return array_of(schema, document, where, depth);
    return any_value();
  }
  const Json& type = schema["type"];
  if (type.is_string()) return typed(type.get<std::string>(), schema, document, where, depth);
  if (!type.is_array() || type.empty()) throw_invalid(format("{}: type must be a name or a list of names", where));
  const Rule rule = g_.add();
  for (const Json& one : type) {
    if (!one.is_string()) throw_invalid(format("{}: type must be a name or a list of names", where));
    g_.add(rule, ref(typed(one.get<std::string>(), schema, document, where, depth)));
  }
  return rule;
}

}  // namespace

Rule add_json_value(Grammar& grammar) { return Builder(grammar).any_value(); }
Rule add_json_object(Grammar& grammar) { return Builder(grammar).any_object(); }

Rule add_json_schema(Grammar& grammar, std::string_view schema_json) {
  Json document;
  try {
    document = Json::parse(schema_json);
    return Builder(grammar).schema(document, document, "#");
  } catch (const Json::exception& e) {
    throw_invalid(format("the schema is not as it should be: {}", to_valid_utf8(e.what())));
  }
}

}  // namespace tinderbox
