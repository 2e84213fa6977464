#include "http/box_keys.h"

#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "http/json_body.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json key_object(const ApiKey& row) {
  return {{"id", row.id},
          {"name", to_valid_utf8(row.name)},
          {"priority", row.priority},
          {"requests_per_min", or_null(row.requests_per_min)},
          {"tokens_per_min", or_null(row.tokens_per_min)},
          {"created_unix", row.created_unix},
          {"last_used_unix", or_null(row.last_used_unix)},
          {"requests", row.requests},
          {"prompt_tokens", row.prompt_tokens},
          {"generated_tokens", row.generated_tokens},
          {"manager", row.manager}};
}

[[noreturn]] void refuse(std::string_view param, std::string_view what) {
  throw RequestError(400, format("{}: {}", param, what), std::string(param), "invalid_value");
}

std::optional<std::int64_t> integer(const Json& body, const char* name) {
  const auto at = body.find(name);
  if (at == body.end() || at->is_null()) return std::nullopt;
  const bool fits = at->is_number_integer() && (!at->is_number_unsigned() || at->get<std::uint64_t>() <= INT64_MAX);
  if (!fits) refuse(name, "must be an integer, or left out");
  return at->get<std::int64_t>();
}

std::optional<bool> boolean(const Json& body, const char* name) {
  const auto at = body.find(name);
  if (at == body.end() || at->is_null()) return std::nullopt;
  if (!at->is_boolean()) refuse(name, "must be true or false, or left out");
  return at->get<bool>();
}

// What a body asks for, without the key itself. first: there are no keys yet.
ApiKey asked_key(const std::string& text, bool first) {
  const Json body = parse_json_object(text);
  const auto name = body.find("name");
  if (name == body.end() || !name->is_string()) refuse("name", "is missing; say whose key it is");
  ApiKey row;
  row.name = name->get<std::string>();
  const std::int64_t priority = integer(body, "priority").value_or(0);
  row.priority = static_cast<std::int32_t>(std::clamp<std::int64_t>(priority, INT32_MIN, INT32_MAX));
  row.requests_per_min = integer(body, "requests_per_min");
  row.tokens_per_min = integer(body, "tokens_per_min");
  row.manager = boolean(body, "manager").value_or(first);
  try {
    check_api_key(row);
  } catch (const Error& e) {
    const std::string_view what = e.what();
    throw RequestError(400, std::string(what), std::string(what.substr(0, what.find(':'))), "invalid_value");
  }
  return row;
}

// Whether a change is on disk: written by the store's thread, read by the server's.
struct Outcome {
  Posted<std::optional<std::string>> error;  // "": done
};

// An answer that waits for a change of the keys to be kept.
class ChangeStream final : public ResponseStream {
 public:
  ChangeStream(std::shared_ptr<Outcome> outcome, KeyBook& keys, std::string body)
      : outcome_(std::move(outcome)), keys_(keys), body_(std::move(body)) {}
  State poll(HttpResponse& response) override {
    const std::optional<std::string> error = outcome_->error.get();
    if (!error) return State::Waiting;
    keys_.refresh();
    if (error->empty()) {
      response.headers.push_back({"cache-control", "no-store"});
      response.body = body_;
    } else {
      HttpResponse refusal = error_response(500, format("the keys are as they were: {}", *error), {}, "not_kept");
      response.status = refusal.status;
      response.body = std::move(refusal.body);
    }
    return State::Finished;
  }

 private:
  std::shared_ptr<Outcome> outcome_;
  KeyBook& keys_;
  std::string body_;
};

HttpResponse when_kept(KeyBook& keys, Wake wake, std::string body, const std::function<void(KeyBook::Done)>& change) {
  auto outcome = std::make_shared<Outcome>();
  change([outcome, wake = std::move(wake)](const std::string& error) {
    outcome->error.post(error);
    if (wake) wake();
  });
  HttpResponse response;
  response.stream = std::make_unique<ChangeStream>(std::move(outcome), keys, std::move(body));
  return response;
}

HttpResponse list(const KeyBook& keys) {
  Json out = {{"keys", Json::array()}, {"required", keys.required()}};
  for (const KeyBook::Entry& entry : keys.entries()) out["keys"].push_back(key_object(entry.row));
  HttpResponse response;
  response.body = out.dump();
  return response;
}

}  // namespace

void add_key_routes(RouteTable& routes, KeyBook& keys, BoxKeysOptions options) {
  CHECK(options.entropy != nullptr && options.now_unix != nullptr);
  routes.add(
      {.method = "GET", .path = "/box/keys", .answer = [&keys](const Call&) { return list(keys); }, .manages = true});
  routes.add({.method = "POST",
              .path = "/box/keys",
              .answer =
                  [&keys, options](const Call& call) {
                    const ApiKey asked = asked_key(call.request.body, keys.entries().empty());
                    const std::string secret = new_api_key(options.entropy);
                    ApiKey row = api_key_of(secret, asked.name);
                    row.priority = asked.priority;
                    row.requests_per_min = asked.requests_per_min;
                    row.tokens_per_min = asked.tokens_per_min;
                    row.manager = asked.manager;
                    row.created_unix = options.now_unix();
                    Json body = key_object(row);
                    body["key"] = secret;
                    return when_kept(keys, call.wake, body.dump(),
                                     [&](KeyBook::Done done) { keys.add(row, std::move(done)); });
                  },
              .manages = true});
  routes.add({.method = "DELETE",
              .path = "/box/keys/*",
              .answer =
                  [&keys](const Call& call) {
                    const KeyBook::Entry* entry = keys.by_id(call.rest);
                    if (entry == nullptr) {
                      throw RequestError(404, format("there is no key '{}'; GET /box/keys lists them", call.rest),
                                         "id", "key_not_found");
                    }
                    if (entry->fixed) {
                      throw RequestError(400,
                                         format("the key '{}' was given when the server was started; start it "
                                                "without that one",
                                                call.rest),
                                         "id", "key_is_fixed");
                    }
                    const Json body = {{"id", call.rest}, {"deleted", true}};
                    return when_kept(keys, call.wake, body.dump(),
                                     [&](KeyBook::Done done) { keys.remove(call.rest, std::move(done)); });
                  },
              .manages = true});
}

}  // namespace tinderbox
