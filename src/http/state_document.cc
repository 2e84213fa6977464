#include "http/state_document.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

// A JSON object whose fields may be missing or null; messages name the path to it.
class Fields {
 public:
  Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) wrong(path_.empty() ? "the document" : path_, "an object", object);
  }
  void read(const char* key, double& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_number()) wrong(path_ + key, "a number", *value);
    out = value->get<double>();
  }
  void read(const char* key, std::string& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string()) wrong(path_ + key, "a string", *value);
    out = value->get<std::string>();
  }
  void read(const char* key, bool& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) wrong(path_ + key, "true or false", *value);
    out = value->get<bool>();
  }
  template <typename T>
  void read(const char* key, std::vector<T>& out) const {
    each(key, [&](const Json& item, const std::string& path) {
      const bool right = std::is_same_v<T, double> ? item.is_number() : item.is_string();
      if (!right) wrong(path, std::is_same_v<T, double> ? "a number" : "a string", item);
      out.push_back(item.get<T>());
    });
  }
  // An object of numbers; nulls are left out.
  void read(const char* key, BoxState::Named& out) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    const Fields inner(*value, path_ + key + ".");
    for (const auto& [name, item] : value->items()) {
      double number = kNotKnown;
      inner.read(name.c_str(), number);
      if (!item.is_null()) out.emplace_back(name, number);
    }
  }
  template <typename F>
  void each(const char* key, const F& f) const {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_array()) wrong(path_ + key, "an array", *value);
    for (std::size_t i = 0; i < value->size(); ++i) f((*value)[i], format("{}{}[{}]", path_, key, i));
  }
  std::optional<Fields> inner(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return std::nullopt;
    return Fields(*value, path_ + key + ".");
  }

 private:
  const Json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  [[noreturn]] static void wrong(const std::string& path, const char* expected, const Json& got) {
    throw_invalid(format("state of the box: {}: expected {}; got {}", path, expected, got.type_name()));
  }

  const Json& object_;
  std::string path_;
};

BoxState::Model model_of(const Fields& f) {
  BoxState::Model m;
  f.read("id", m.id);
  f.read("weights", m.weights);
  f.read("state", m.state);
  f.read("weightless", m.weightless);
  f.read("pinned", m.pinned);
  f.read("context_max", m.context_max);
  f.read("memory_bytes", m.memory_bytes);
  f.read("running", m.running);
  f.read("waiting", m.waiting);
  return m;
}

BoxState::Traffic traffic_of(const Fields& f) {
  BoxState::Traffic t;
  f.read("running", t.running);
  f.read("waiting", t.waiting);
  f.read("kv_ratio", t.kv_ratio);
  f.read("prompt_tokens_total", t.prompt_tokens_total);
  f.read("generated_tokens_total", t.generated_tokens_total);
  f.read("prompt_tokens_per_s", t.prompt_tokens_per_s);
  f.read("generated_tokens_per_s", t.generated_tokens_per_s);
  f.read("requests_total", t.requests_total);
  f.read("refused_total", t.refused_total);
  f.read("preemptions_total", t.preemptions_total);
  f.read("lateness_s_total", t.lateness_s_total);
  return t;
}

BoxState::Memory memory_of(const Fields& f) {
  BoxState::Memory m;
  f.read("total_bytes", m.total_bytes);
  f.read("safe_bytes", m.safe_bytes);
  f.read("weights_bytes", m.weights_bytes);
  f.read("kv_bytes", m.kv_bytes);
  f.read("kv_used_bytes", m.kv_used_bytes);
  f.read("runtime_bytes", m.runtime_bytes);
  f.read("page_cache_bytes", m.page_cache_bytes);
  f.read("free_bytes", m.free_bytes);
  return m;
}

BoxState::Sensors sensors_of(const Fields& f) {
  BoxState::Sensors s;
  f.read("gpu_c", s.gpu_c);
  f.read("gpu_w_shown", s.gpu_w_shown);
  f.read("sm_clock_hz", s.sm_clock_hz);
  f.read("gpu_utilisation", s.gpu_utilisation);
  f.read("fan_ratio", s.fan_ratio);
  f.read("wall_w", s.wall_w);
  f.read("energy_j_total", s.energy_j_total);
  f.read("zones_c", s.zones_c);
  f.read("rails_w", s.rails_w);
  f.read("nodes_c", s.nodes_c);
  f.read("limit", s.limit);
  f.read("not_available", s.not_available);
  return s;
}

BoxState::Request request_of(const Fields& f) {
  BoxState::Request r;
  f.read("id", r.id);
  f.read("model", r.model);
  f.read("key", r.key);
  f.read("state", r.state);
  f.read("age_s", r.age_s);
  f.read("prompt_tokens", r.prompt_tokens);
  f.read("generated_tokens", r.generated_tokens);
  return r;
}

}  // namespace

BoxState parse_box_state(std::string_view text) {
  const Json document = Json::parse(text, nullptr, false);
  if (document.is_discarded()) throw_invalid("state of the box: this is not JSON; is it a Tinderbox that answered?");
  const Fields top(document, "");
  BoxState s;
  top.read("at_unix", s.at_unix);
  top.read("version", s.version);
  top.read("uptime_s", s.uptime_s);
  if (const auto box = top.inner("box")) {
    box->read("machine_name", s.machine_name);
    box->read("nodes", s.nodes);
    box->read("ambient_c", s.ambient_c);
    box->read("down", s.down);
    box->read("modelled", s.modelled);
    box->read("measured", s.measured);
  }
  top.each("models", [&](const Json& item, const std::string& at) { s.models.push_back(model_of({item, at + "."})); });
  if (const auto traffic = top.inner("traffic")) s.traffic = traffic_of(*traffic);
  if (const auto memory = top.inner("memory")) s.memory = memory_of(*memory);
  if (const auto sensors = top.inner("sensors")) s.sensors = sensors_of(*sensors);
  if (const auto computer = top.inner("computer")) {
    computer->read("cpu_ratio", s.computer.cpu_ratio);
    computer->read("rss_bytes", s.computer.rss_bytes);
    computer->read("memory_total_bytes", s.computer.memory_total_bytes);
    computer->read("memory_available_bytes", s.computer.memory_available_bytes);
  }
  top.each("faults", [&](const Json& item, const std::string& at) {
    const Fields f(item, at + ".");
    BoxState::Fault& fault = s.faults.emplace_back();
    f.read("name", fault.name);
    f.read("from_unix", fault.from_unix);
    f.read("until_unix", fault.until_unix);
  });
  top.each("requests",
           [&](const Json& item, const std::string& at) { s.requests.push_back(request_of({item, at + "."})); });
  return s;
}

}  // namespace tinderbox
