#include "http/json_body.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/route_table.h"

namespace tinderbox {
namespace {

using nlohmann::json;

constexpr int kDepthMax = 64;

[[noreturn]] void refuse(std::string message, std::string_view param, std::string_view code) {
  throw RequestError(400, std::move(message), std::string(param), std::string(code));
}

// Refuses nesting that only an attack has, before anything is allocated for it.
void check_depth(std::string_view body) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) {
        refuse(format("the body nests deeper than {} levels at byte {}; send a flat request", kDepthMax, i + 1), {},
               "invalid_json");
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

const json* find(const json& object, std::string_view key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

}  // namespace

json parse_json_object(std::string_view body) {
  check_depth(body);
  try {
    json document = json::parse(body.begin(), body.end());
    if (!document.is_object()) {
      refuse(format("body: expected a JSON object, got {}; send a JSON object instead", document.type_name()), "body",
             "invalid_type");
    }
    return document;
  } catch (const json::parse_error& e) {
    refuse(format("the body is not valid JSON at byte {}; send one JSON object in UTF-8", e.byte), {}, "invalid_json");
  } catch (const json::exception&) {  // a number such as 1e400
    refuse("the body has a number that is out of range; send numbers that fit a double", {}, "invalid_json");
  }
}

std::string json_string(const json& object, std::string_view key) {
  const json* value = find(object, key);
  if (value == nullptr) refuse(format("{} is missing; send a string", key), key, "missing_required_parameter");
  if (!value->is_string())
    refuse(format("{}: expected a string, got {}", key, value->type_name()), key, "invalid_type");
  return value->get<std::string>();
}

bool json_bool(const json& object, std::string_view key, bool fallback) {
  const json* value = find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    refuse(format("{}: expected true or false, got {}", key, value->type_name()), key, "invalid_type");
  }
  return value->get<bool>();
}

std::optional<double> json_number(const json& object, std::string_view key, double low, double high) {
  const json* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number())
    refuse(format("{}: expected a number, got {}", key, value->type_name()), key, "invalid_type");
  const double x = value->get<double>();
  if (!(x >= low && x <= high)) {
    refuse(format("{}: {} is out of range; send a number from {} to {}", key, x, low, high), key, "invalid_value");
  }
  return x;
}

}  // namespace tinderbox
