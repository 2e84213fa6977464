#include "model/config_fields.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace tinderbox::config {
namespace {

using nlohmann::json;

double number_of(const json& value) {
  return value.is_number() ? value.get<double>() : std::nan("");
}

bool whole(double x, int low, int high) { return x >= low && x <= high && x == std::floor(x); }

}  // namespace

const json* Fields::find(std::string_view key) const {
  const auto it = object_->find(key);
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

void Fields::fail(std::string_view key, std::string_view expected) const {
  const json* value = find(key);
  std::string found = "is missing";
  if (value != nullptr && value->is_primitive())
    found = "is " + value->dump(-1, ' ', true).substr(0, 60);
  if (value != nullptr && !value->is_primitive()) found = format("is an {}", value->type_name());
  throw_invalid(format("{}: '{}' {}, expected {}", where_, key, found, expected));
}

std::optional<double> Fields::number(std::string_view key, double low, double high) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double x = number_of(*value);
  if (!(x >= low && x <= high)) fail(key, format("a number from {} to {}", low, high));
  return x;
}

std::optional<int> Fields::integer(std::string_view key, int low, int high) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double x = number_of(*value);
  if (!whole(x, low, high)) fail(key, format("a whole number from {} to {}", low, high));
  return static_cast<int>(x);
}

int Fields::required(std::string_view key, int low, int high) const {
  const auto value = integer(key, low, high);
  if (!value) fail(key, format("a whole number from {} to {}", low, high));
  return *value;
}

std::optional<bool> Fields::boolean(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Fields::string(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(key, "a text");
  return value->get<std::string>();
}

std::optional<Fields> Fields::object(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail(key, "an object");
  return Fields(*value, format("{}: {}", where_, key));
}

const json* Fields::list(std::string_view key, std::size_t n_least, std::size_t n_most) const {
  const json* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array() || value->size() < n_least || value->size() > n_most) {
    fail(key, n_least == n_most ? format("a list of {} items", n_most)
                                : format("a list of {} to {} items", n_least, n_most));
  }
  return value;
}

std::optional<std::vector<std::string>> Fields::texts(std::string_view key, std::size_t n) const {
  const json* value = list(key, n, n);
  if (value == nullptr) return std::nullopt;
  std::vector<std::string> result;
  for (const json& item : *value) {
    if (!item.is_string()) fail(key, format("{} texts", n));
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::optional<std::vector<int>> Fields::integers(std::string_view key, std::size_t n, int low,
                                                 int high) const {
  const json* value = list(key, n, n);
  if (value == nullptr) return std::nullopt;
  std::vector<int> result;
  for (const json& item : *value) {
    const double x = number_of(item);
    if (!whole(x, low, high)) fail(key, format("{} whole numbers from {} to {}", n, low, high));
    result.push_back(static_cast<int>(x));
  }
  return result;
}

std::optional<std::vector<Fields>> Fields::objects(std::string_view key, std::size_t n) const {
  const json* value = list(key, n, n);
  if (value == nullptr) return std::nullopt;
  std::vector<Fields> result;
  for (const json& item : *value) {
    if (!item.is_object()) fail(key, format("{} objects", n));
    result.emplace_back(item, format("{}: {}", where_, key));
  }
  return result;
}

std::optional<std::vector<int>> Fields::indices(std::string_view key, std::size_t n_max,
                                                int end) const {
  const json* value = list(key, 0, n_max);
  if (value == nullptr) return std::nullopt;
  return integers(key, value->size(), 0, end - 1);
}

std::vector<double> Fields::numbers(std::string_view key, std::size_t n, double low,
                                    double high) const {
  const json* value = find(key);
  const std::string expected = format("{} numbers from {} to {}", n, low, high);
  if (value == nullptr || !value->is_array() || value->size() != n) fail(key, expected);
  std::vector<double> result;
  for (const json& item : *value) {
    const double x = number_of(item);
    if (!(x >= low && x <= high)) fail(key, expected);
    result.push_back(x);
  }
  return result;
}

void unsupported(const Fields& f, std::string_view family, std::string_view missing) {
  throw_unsupported(format("{}: family '{}' needs {}, which this version has no ops for", f.where(),
                           family, missing));
}

}  // namespace tinderbox::config
