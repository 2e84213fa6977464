// A request's JSON body and its fields, checked. All throw RequestError (400) naming what is wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace tinderbox {

// One object, not nested deeper than an attack needs it.
nlohmann::json parse_json_object(std::string_view body);
// A field that must be there.
std::string json_string(const nlohmann::json& object, std::string_view key);
bool json_bool(const nlohmann::json& object, std::string_view key, bool fallback);
// nullopt: absent or null.
std::optional<double> json_number(const nlohmann::json& object, std::string_view key, double low, double high);

}  // namespace tinderbox
