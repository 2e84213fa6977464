#include "model/json_schema.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "model/json_formats.h"
#include "model/json_numbers.h"
#include "model/json_pattern.h"
#include "model/json_rules.h"

namespace tinderbox {
namespace {

using namespace sequences;
using Json = nlohmann::ordered_json;
using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

constexpr int kDepthMax = 64;
constexpr std::int64_t kCountMax = 1000;  // items of a list, characters of a string, integers of a range

// A schema's own rules, beside those that every JSON document is made of.
class Builder : public JsonRules {
 public:
  explicit Builder(Grammar& grammar, Json document) : JsonRules(grammar), document_(std::move(document)) {}

  Rule schema(const Json& schema, const std::string& where, int depth = 0);

 private:
  Rule object_of(const Json& schema, const std::string& where, int depth);
  Rule array_of(const Json& schema, const std::string& where, int depth);
  Rule string_of(const Json& schema, const std::string& where);
  Rule number_of(bool integers, const Json& schema, const std::string& where);
  Rule typed(const std::string& type, const Json& schema, const std::string& where, int depth);
  Rule referred(const Json& reference, const std::string& where, int depth);
  Rule combined(const Json& schema, const char* key, const std::string& where, int depth);
  Rule chosen(const Json& schema, const std::string& where);
  const Json& target_of(const Json& reference, const std::string& where) const;
  Json both(Json a, const Json& b, const std::string& where) const;

  const Json document_;
  std::map<std::string, Rule> referred_;
};

[[noreturn]] void unsupported(const std::string& where, std::string_view what) {
  throw_unsupported(format("{}: '{}' cannot be enforced here; leave it out", where, what));
}

// Throws for keywords that say more than we enforce.
void require_known(const Json& schema, const std::string& where) {
  static const std::set<std::string_view> kKnown = {"type",      "properties",  "required",    "additionalProperties",
                                                    "items",     "prefixItems", "minItems",    "maxItems",
                                                    "enum",      "const",       "anyOf",       "oneOf",
                                                    "allOf",     "$ref",        "$defs",       "definitions",
                                                    "minLength", "maxLength",   "format",      "pattern",
                                                    "minimum",   "maximum",     "exclusiveMinimum", "exclusiveMaximum",
                                                      "title",       "description", "default",
                                                    "examples",  "$schema",     "$id",         "deprecated",
                                                    "readOnly",  "writeOnly",   "$comment",    "strict",
                                                    "nullable"};
  for (const auto& [key, value] : schema.items()) {
    if (!kKnown.contains(key)) unsupported(where, to_valid_utf8(key));
  }
}

// Says nothing about what is allowed.
bool is_note(std::string_view key) {
  static const std::set<std::string_view> kNotes = {"title",   "description", "default",    "examples",  "$schema",
                                                    "$id",     "deprecated",  "readOnly",   "writeOnly", "$comment",
                                                    "strict",  "$defs",       "definitions"};
  return kNotes.contains(key);
}

// type: a name, a list of names, or null for any.
bool is_typed(const Json& value, const Json& type) {
  if (type.is_array()) return std::ranges::any_of(type, [&](const Json& one) { return is_typed(value, one); });
  if (!type.is_string()) return true;
  const std::string name = type.get<std::string>();
  if (name == "number") return value.is_number();
  if (name == "integer") return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
  return name == value.type_name();
}

std::int64_t count(const Json& schema, const char* key, std::int64_t otherwise, const std::string& where) {
  if (!schema.contains(key)) return otherwise;
  const Json& value = schema[key];
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > kCountMax) {
    throw_invalid(format("{}: {} must be an integer from 0 to {}", where, key, kCountMax));
  }
  return value.get<std::int64_t>();
}

Rule Builder::object_of(const Json& schema, const std::string& where, int depth) {
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
    const Rule value = this->schema(more, where + "/additionalProperties", depth + 1);
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
    const Rule value = this->schema(it->second, where + "/properties/" + to_valid_utf8(it->first), depth + 1);
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

Rule Builder::array_of(const Json& schema, const std::string& where, int depth) {
  std::vector<Rule> first;
  const Json prefix = schema.value("prefixItems", Json::array());
  if (!prefix.is_array()) throw_invalid(format("{}: prefixItems must be an array", where));
  for (const Json& one : prefix) first.push_back(this->schema(one, where + "/prefixItems", depth + 1));
  const Json items = schema.value("items", Json(true));
  const bool closed = items.is_boolean() && !items.get<bool>();
  const Rule more = closed ? -1 : this->schema(items, where + "/items", depth + 1);
  const std::int64_t n_min = count(schema, "minItems", 0, where);
  std::int64_t n_max = count(schema, "maxItems", -1, where);
  if (closed) n_max = n_max < 0 ? std::ssize(first) : std::min<std::int64_t>(n_max, std::ssize(first));
  if (n_max >= 0 && n_max < n_min) throw_invalid(format("{}: minItems is above maxItems", where));
  return list(first, more, n_min, n_max);
}

Rule Builder::string_of(const Json& schema, const std::string& where) {
  if (schema.contains("format")) {
    for (const char* key : {"minLength", "maxLength", "pattern"}) {
      if (schema.contains(key)) unsupported(where, format("{} beside format", key));
    }
    const std::string name = schema["format"].is_string() ? schema["format"].get<std::string>() : "";
    if (const auto form = json_format(g_, name)) return one_of({text("\"") + *form + text("\"")});
    unsupported(where, "format " + to_valid_utf8(name));
  }
  if (schema.contains("pattern")) {
    if (!schema["pattern"].is_string()) throw_invalid(format("{}: pattern must be a text", where));
    if (schema.contains("minLength") || schema.contains("maxLength")) unsupported(where, "a length beside a pattern");
    const Rule body = add_json_pattern(g_, schema["pattern"].get<std::string>(), where);
    return one_of({text("\"") + ref(body) + text("\"")});
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

// The tighter of two bounds on one side.
void tighten(std::optional<std::pair<double, bool>>& bound, double x, bool open, bool is_low) {
  if (!bound || (is_low ? x > bound->first : x < bound->first)) bound = {x, open};
  else if (x == bound->first) bound->second |= open;
}

Rule Builder::number_of(bool integers, const Json& schema, const std::string& where) {
  std::optional<std::pair<double, bool>> low, high;  // and whether it is itself left out
  for (const auto& [key, bound, open] :
       {std::tuple{"minimum", &low, false}, std::tuple{"maximum", &high, false},
        std::tuple{"exclusiveMinimum", &low, true}, std::tuple{"exclusiveMaximum", &high, true}}) {
    if (!schema.contains(key)) continue;
    const Json& value = schema[key];
    constexpr double kMost = 1e15;  // exact in JSON's doubles
    if (!value.is_number() || std::abs(value.get<double>()) > kMost) {
      throw_invalid(format("{}: {} must be a number up to 1e15", where, key));
    }
    tighten(*bound, value.get<double>(), open, bound == &low);
  }
  if (!low && !high) return integers ? integer() : number();
  const auto empty = [&] { throw_invalid(format("{}: no number is within these bounds", where)); };
  if (!integers) {
    if (low && high && (low->first > high->first || (low->first == high->first && (low->second || high->second)))) {
      empty();
    }
    std::optional<NumberBound> from, to;
    if (low) from = number_bound(low->first, low->second);
    if (high) to = number_bound(high->first, high->second);
    return add_json_numbers(g_, from, to);
  }
  std::optional<std::int64_t> from, to;  // an integer has a next one
  if (low) from = static_cast<std::int64_t>(low->second ? std::floor(low->first) + 1 : std::ceil(low->first));
  if (high) to = static_cast<std::int64_t>(high->second ? std::ceil(high->first) - 1 : std::floor(high->first));
  if (from && to && *from > *to) empty();
  return add_json_integers(g_, from, to);
}

Rule Builder::typed(const std::string& type, const Json& schema, const std::string& where,
                    int depth) {
  if (type == "object") return object_of(schema, where, depth);
  if (type == "array") return array_of(schema, where, depth);
  if (type == "string") return string_of(schema, where);
  if (type == "integer" || type == "number") return number_of(type == "integer", schema, where);
  if (type == "boolean") return one_of({text("true"), text("false")});
  if (type == "null") return one_of({text("null")});
  throw_invalid(format("{}: there is no type '{}'", where, to_valid_utf8(type)));
}

const Json& Builder::target_of(const Json& reference, const std::string& where) const {
  const std::string path = reference.is_string() ? reference.get<std::string>() : "";
  if (!path.starts_with('#'))
    throw_unsupported(format("{}: $ref '{}' is not into this schema", where, to_valid_utf8(path)));
  try {
    return document_.at(Json::json_pointer(path.substr(1)));
  } catch (const Json::exception&) {
    throw_invalid(format("{}: $ref '{}' leads nowhere", where, to_valid_utf8(path)));
  }
}

Rule Builder::referred(const Json& reference, const std::string& where, int depth) {
  const Json& target = target_of(reference, where);
  const std::string path = reference.get<std::string>();
  if (const auto it = referred_.find(path); it != referred_.end()) return it->second;
  const Rule rule = g_.add();
  referred_[path] = rule;
  g_.add(rule, ref(schema(target, path, depth + 1)));
  return rule;
}

// One schema that says what both say. Throws for what only a product of grammars could hold.
Json Builder::both(Json a, const Json& b, const std::string& where) const {
  if (b.is_boolean() && b.get<bool>()) return a;
  if (!b.is_object()) throw_invalid(format("{}: a schema is an object", where));
  for (const auto& [key, value] : b.items()) {
    if (is_note(key)) continue;
    if (!a.contains(key)) {
      a[key] = value;
    } else if (key == "properties" && value.is_object() && a[key].is_object()) {
      for (const auto& [name, of] : value.items()) {
        Json& mine = a[key][name];
        mine = mine.is_null() ? of : both(mine, of, where + "/properties/" + to_valid_utf8(name));
      }
    } else if (key == "required" && value.is_array() && a[key].is_array()) {
      for (const Json& name : value) {
        if (std::ranges::find(a[key], name) == a[key].end()) a[key].push_back(name);
      }
    } else if (a[key] != value) {
      unsupported(where, format("two of {}", to_valid_utf8(key)));
    }
  }
  return a;
}

// What stands beside anyOf, allOf or a $ref holds, too.
Rule Builder::combined(const Json& schema, const char* key, const std::string& where, int depth) {
  Json beside = Json::object();
  for (const auto& [name, value] : schema.items()) {
    if (name != key && !is_note(name)) beside[name] = value;
  }
  const bool alone = beside.empty();
  const auto resolved = [&](const Json& one) -> const Json& {
    const Json* at = &one;
    for (int i = 0; at->is_object() && at->contains("$ref"); ++i) {
      if (i > kDepthMax) throw_too_large(format("{}: $ref after $ref", where));
      if (at->size() > 1) unsupported(where, "$ref with more beside it, inside " + std::string(key));
      at = &target_of((*at)["$ref"], where);
    }
    return *at;
  };
  const std::string here = where + "/" + key;
  if (std::string_view(key) == "$ref") {
    return alone ? referred(schema[key], where, depth)
                 : this->schema(both(beside, resolved({{key, schema[key]}}), where), here, depth + 1);
  }
  const Json& list = schema[key];
  if (!list.is_array() || list.empty()) throw_invalid(format("{}: {} must be a list", where, key));
  if (std::string_view(key) == "allOf") {
    if (alone && list.size() == 1) return this->schema(list[0], here, depth + 1);
    for (const Json& one : list) beside = both(std::move(beside), resolved(one), here);
    return this->schema(beside, here, depth + 1);
  }
  const Rule rule = g_.add();
  for (const Json& one : list) {
    g_.add(rule, ref(alone ? this->schema(one, here, depth + 1)
                           : this->schema(both(beside, resolved(one), here), here, depth + 1)));
  }
  return rule;
}

// One of the values that are listed, of those that are of the type.
Rule Builder::chosen(const Json& schema, const std::string& where) {
  const char* key = schema.contains("const") ? "const" : "enum";
  for (const auto& [name, value] : schema.items()) {
    if (name == key || name == "type" || is_note(name)) continue;
    unsupported(where, format("{} beside {}", to_valid_utf8(name), key));
  }
  const Json values = std::string_view(key) == "const" ? Json::array({schema[key]}) : schema[key];
  if (!values.is_array() || values.empty()) throw_invalid(format("{}: enum must be a list", where));
  std::vector<Sequence> all;
  for (const Json& value : values) {
    if (is_typed(value, schema.value("type", Json()))) all.push_back(text(value.dump()));
  }
  if (all.empty()) throw_invalid(format("{}: no value of {} is of its type", where, key));
  return one_of(all);
}

Rule Builder::schema(const Json& schema, const std::string& where, int depth) {
  if (depth > kDepthMax) throw_too_large(format("{}: the schema nests deeper than {} levels", where, kDepthMax));
  if (schema.is_boolean() && schema.get<bool>()) return any_value();
  if (!schema.is_object()) throw_invalid(format("{}: a schema is an object", where));
  require_known(schema, where);
  for (const char* key : {"$ref", "allOf", "anyOf", "oneOf"}) {
    if (schema.contains(key)) return combined(schema, key, where, depth);
  }
  if (schema.contains("const") || schema.contains("enum")) return chosen(schema, where);
  if (!schema.contains("type")) {
    if (schema.contains("properties")) return object_of(schema, where, depth);
    if (schema.contains("items") || schema.contains("prefixItems")) return array_of(schema, where, depth);
    return any_value();
  }
  const Json& type = schema["type"];
  if (type.is_string()) return typed(type.get<std::string>(), schema, where, depth);
  if (!type.is_array() || type.empty()) throw_invalid(format("{}: type must be a name or a list of names", where));
  const Rule rule = g_.add();
  for (const Json& one : type) {
    if (!one.is_string()) throw_invalid(format("{}: type must be a name or a list of names", where));
    g_.add(rule, ref(typed(one.get<std::string>(), schema, where, depth)));
  }
  return rule;
}

}  // namespace

Rule add_json_value(Grammar& grammar) { return JsonRules(grammar).any_value(); }
Rule add_json_object(Grammar& grammar) { return JsonRules(grammar).any_object(); }

Rule add_json_schema(Grammar& grammar, std::string_view schema_json) {
  Json document;
  try {
    document = Json::parse(schema_json);
    return Builder(grammar, document).schema(document, "#");
  } catch (const Json::exception& e) {
    throw_invalid(format("the schema is not as it should be: {}", to_valid_utf8(e.what())));
  }
}

}  // namespace tinderbox
