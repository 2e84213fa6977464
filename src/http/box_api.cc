#include "http/box_api.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "http/box_state.h"
#include "http/json_body.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

// The states of the box from now on, as server-sent events.
class StateEvents final : public ResponseStream {
 public:
  StateEvents(Broadcast& state, Wake wake) : state_(state), follower_(state.follow(wake ? std::move(wake) : [] {})) {}
  ~StateEvents() override { state_.leave(follower_); }

  State poll(HttpResponse& response) override {
    if (!open_) {
      open_ = true;
      response.content_type = "text/event-stream";
      response.headers.push_back({"cache-control", "no-cache"});
      response.headers.push_back({"x-accel-buffering", "no"});
    }
    const Broadcast::Text latest = state_.latest();
    if (latest && latest != shown_) {
      shown_ = latest;
      response.body += "event: state\ndata: " + *latest + "\n\n";
    }
    return State::Open;
  }

 private:
  Broadcast& state_;
  std::uint64_t follower_;
  Broadcast::Text shown_;
  bool open_ = false;
};

HttpResponse json_response(const Json& document) {
  HttpResponse response;
  response.body = document.dump();
  return response;
}

Reply error_reply(int status, std::string_view message, std::string_view code) {
  return {.status = status, .body = error_response(status, message, {}, code).body};
}

Json fault_entry(const Fault& fault) {
  return {{"name", fault.name}, {"signature", fault.what}, {"ends", fault.ends}, {"source", fault.sources}};
}

// The options of each verb that a stranger may set: they read and write no files.
struct Verb {
  std::string_view name;
  std::vector<std::string_view> options, flags;
};
const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      {"predict",
       {"machine", "model", "weights", "stack", "kv", "nodes", "parallel", "link", "speculation", "draft-tokens",
        "accepted", "prompt", "gen", "depth", "concurrency", "ambient", "altitude", "clock-cap"},
       {"sustained"}},
      {"fit",
       {"machine", "model", "weights", "stack", "kv", "nodes", "parallel", "link", "context", "concurrency", "share"},
       {}},
      {"compare",
       {"model", "weights", "stack", "kv", "machines", "prompt", "gen", "concurrency", "electricity", "currency",
        "hours-per-day"},
       {}},
      {"soak",
       {"machine", "model",   "weights",  "stack",       "kv",           "nodes",   "parallel",
        "link",    "prompt",  "gen",      "concurrency", "watts",        "minutes", "load-minutes",
        "every",   "ambient", "altitude", "clock-cap",   "stack-height", "fault"},
       {}}};
  return all;
}

// Names, numbers with units, lists of them: nothing that could be a path or another option.
std::string harmless(const std::string& key, const std::string& value) {
  constexpr std::size_t kBytesMax = 200;
  const bool fine =
      !value.empty() && value.size() <= kBytesMax && value[0] != '-' && std::ranges::all_of(value, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("._:,+@~ -").find(c) != std::string_view::npos || c == '%';
      });
  if (!fine || value.find("..") != std::string::npos) {
    throw RequestError(400,
                       format("{}: '{}' is no name or number; files cannot be named here", key, to_valid_utf8(value)),
                       key, "invalid_value");
  }
  return value;
}

std::string value_text(const std::string& key, const nlohmann::json& value) {
  if (value.is_string()) return harmless(key, value.get<std::string>());
  if (value.is_number()) return value.dump();
  if (value.is_array() && !value.empty() && value.size() <= 32) {
    std::string list;
    for (const auto& one : value) list += (list.empty() ? "" : ",") + value_text(key, one);
    return list;
  }
  throw RequestError(400, format("{}: expected a name, a number or a list of them", key), key, "invalid_type");
}

}  // namespace

std::vector<std::string> verb_arguments(std::string_view verb, std::string_view body) {
  const auto found = std::ranges::find(verbs(), verb, &Verb::name);
  if (found == verbs().end()) {
    throw RequestError(404, format("there is no question '{}'; ask predict, fit, compare or soak", verb), {},
                       "not_found");
  }
  const nlohmann::json asked = parse_json_object(body);
  std::vector<std::string> out;
  for (const auto& [name, value] : asked.items()) {
    std::string key = name;
    std::ranges::replace(key, '_', '-');
    if (value.is_null()) continue;
    if (std::ranges::find(found->flags, key) != found->flags.end()) {
      if (!value.is_boolean())
        throw RequestError(400, format("{}: expected true or false", name), name, "invalid_type");
      if (value.get<bool>()) out.push_back("--" + key);
      continue;
    }
    if (std::ranges::find(found->options, key) == found->options.end()) {
      throw RequestError(400, format("{}: {} has no such option here", to_valid_utf8(name), verb), to_valid_utf8(name),
                         "unknown_parameter");
    }
    out.push_back("--" + key + "=" + value_text(key, value));
  }
  return out;
}

BoxApi::BoxApi(ServingBox& box, BodyExecutor* body, const Roster& roster, Broadcast& state, BoxApiOptions options)
    : box_(box), body_(body), roster_(roster), state_(state), options_(std::move(options)) {}

void BoxApi::add_to(RouteTable& routes) {
  routes.add({.method = "GET", .path = "/box/state", .answer = [this](const Call&) {
                const Broadcast::Text latest = state_.latest();
                if (!latest) throw RequestError(503, "the box has only just begun; ask again", {}, "not_ready");
                HttpResponse response;
                response.body = *latest;
                response.headers.push_back({"cache-control", "no-store"});
                return response;
              }});
  routes.add({.method = "GET", .path = "/box/events", .answer = [this](const Call& call) {
                HttpResponse response;
                response.stream = std::make_unique<StateEvents>(state_, call.wake);
                return response;
              }});
  routes.add({.method = "GET", .path = "/box/catalogue", .answer = [this](const Call&) {
                HttpResponse response;
                response.body = options_.catalogue;
                return response;
              }});
  add_models(routes);
  add_faults(routes);
  if (!options_.ask) return;
  routes.add(
      {.method = "POST", .path = "/box/what-if/*", .answer = [this](const Call& call) { return what_if(call); }});
}

void BoxApi::add_models(RouteTable& routes) {
  routes.add({.method = "GET", .path = "/box/models", .answer = [this](const Call&) {
                const Broadcast::Text latest = state_.latest();
                const Json state = latest ? Json::parse(*latest) : Json::object();
                return json_response({{"models", state.contains("models") ? state["models"] : Json::array()}});
              }});
  for (const char* what : {"load", "unload", "pin"}) {
    routes.add({.method = "POST",
                .path = format("/box/models/{}", what),
                .answer = [this, what](const Call& call) { return change_model(call, what); },
                .manages = true});
  }
}

HttpResponse BoxApi::change_model(const Call& call, std::string_view what) {
  const nlohmann::json asked = parse_json_object(call.request.body);
  const std::string name = json_string(asked, "model");
  const ModelDoor& door = roster_.at(name);
  const auto i = static_cast<std::size_t>(&door - roster_.doors().data());
  const bool pinned = what == "pin" && json_bool(asked, "pinned", true);
  return Deferred::begin(call.wake, [&](Deferred::Give give) {
    box_.post([this, i, what = std::string(what), pinned, id = door.info.id, give = std::move(give)] {
      ModelPool& pool = box_.pool();
      if (what == "load") box_.want(i);
      if (what == "unload") {
        if (pool.model(i).pinned) {
          return give(error_reply(409, format("{} is pinned; unpin it first", id), "pinned"));
        }
        pool.drop(i, box_.now());
      }
      if (what == "pin" && !pool.pin(i, pinned, box_.now())) {
        return give(error_reply(
            409, format("{} cannot be pinned: with it, the pinned models leave no room for another", id), "no_room"));
      }
      give({.body = Json({{"id", id},
                          {"state", pool_state_name(pool.state(i))},
                          {"pinned", pool.model(i).pinned},
                          {"memory_bytes", pool.model(i).bytes}})
                        .dump()});
    });
  });
}

void BoxApi::add_faults(RouteTable& routes) {
  routes.add({.method = "GET", .path = "/box/faults", .answer = [this](const Call&) {
                Json all = Json::array();
                for (const Fault& fault : options_.faults) all.push_back(fault_entry(fault));
                const Broadcast::Text latest = state_.latest();
                const Json state = latest ? Json::parse(*latest) : Json::object();
                return json_response({{"faults", std::move(all)},
                                      {"active", state.contains("faults") ? state["faults"] : Json::array()}});
              }});
  routes.add({.method = "POST",
              .path = "/box/faults",
              .answer = [this](const Call& call) { return inject(call); },
              .manages = true});
  routes.add(
      {.method = "DELETE",
       .path = "/box/faults/*",
       .answer =
           [this](const Call& call) {
             return Deferred::begin(call.wake, [&](Deferred::Give give) {
               box_.post([this, name = call.rest, give = std::move(give)] {
                 if (body_ != nullptr && body_->clear(name, box_.now())) {
                   return give({.body = Json({{"name", name}, {"cleared", true}}).dump()});
                 }
                 give(error_reply(404, format("no fault '{}' is active or to come", to_valid_utf8(name)), "not_found"));
               });
             });
           },
       .manages = true});
}

HttpResponse BoxApi::inject(const Call& call) {
  const nlohmann::json asked = parse_json_object(call.request.body);
  const std::string name = json_string(asked, "name");
  const auto found = std::ranges::find(options_.faults, name, &Fault::name);
  if (found == options_.faults.end()) {
    std::string known;
    for (const Fault& fault : options_.faults) known += (known.empty() ? "" : ", ") + fault.name;
    throw RequestError(404,
                       known.empty()
                           ? "this box has no modelled body, so it has no faults; serve it with --as dgx-spark"
                           : format("there is no fault '{}'; there are {}", to_valid_utf8(name), known),
                       "name", "not_found");
  }
  constexpr double kLongest = 7 * 86'400.0;
  const std::optional<double> length = json_number(asked, "length_s", 1e-3, kLongest);
  const Duration lasts = length ? to_duration(Seconds(*length)) : found->lasts;
  return Deferred::begin(call.wake, [&](Deferred::Give give) {
    box_.post([this, fault = *found, lasts, give = std::move(give)] {
      const TimePoint begin = box_.now();
      const TimePoint end = lasts == Duration(0) ? TimePoint::max() : begin + lasts;
      try {
        body_->inject({.begin = begin, .end = end, .fault = fault});
      } catch (const Error& error) {
        return give(error_reply(409, error.what(), "not_possible"));
      }
      Json reply = fault_entry(fault);
      reply["length_s"] = end == TimePoint::max() ? Json() : Json(to_seconds(lasts).value());
      give({.body = reply.dump()});
    });
  });
}

HttpResponse BoxApi::what_if(const Call& call) {
  std::vector<std::string> arguments = verb_arguments(call.rest, call.request.body);
  return Deferred::begin(call.wake,
                         [&](Deferred::Give give) { options_.ask(call.rest, std::move(arguments), std::move(give)); });
}

}  // namespace tinderbox
