#include "http/ollama.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "http/ollama_stream.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kForever = 9'223'372'036.0;  // s: as Ollama writes of a model that stays

std::string tagged(const std::string& id) { return id.find(':') == std::string::npos ? id + ":latest" : id; }

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// "8.0B", "135.0M"; "" if unknown.
std::string parameter_size(std::int64_t n) {
  if (n <= 0) return "";
  const auto count = static_cast<double>(n);
  return n >= 1'000'000'000 ? format("{:.1f}B", count / 1e9) : format("{:.1f}M", count / 1e6);
}

Json details(const ServedModel& model) {
  return {{"parent_model", ""},
          {"format", model.weightless ? "" : "gguf"},
          {"family", model.family},
          {"families", model.family.empty() ? Json::array() : Json::array({model.family})},
          {"parameter_size", parameter_size(model.parameters)},
          {"quantization_level", upper(model.weights)}};
}

Json entry(const ServedModel& model) {
  return {{"name", tagged(model.id)},
          {"model", tagged(model.id)},
          {"modified_at", rfc3339(static_cast<double>(model.created_unix))},
          {"size", model.bytes},
          {"digest", model.digest},
          {"details", details(model)}};
}

HttpResponse json_response(const Json& body) {
  HttpResponse response;
  response.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

HttpResponse not_possible(const Call& call) {
  throw RequestError(501, format("{} is not possible here: the models of this server are those named when it was "
                                 "started; fetch one with `tinderbox pull`",
                                 call.request.path));
}

}  // namespace

OllamaApi::OllamaApi(const Roster& roster, OllamaOptions options) : roster_(roster), options_(std::move(options)) {
  CHECK(options_.now_unix != nullptr && options_.now != nullptr);
}

void OllamaApi::add_to(RouteTable& routes) {
  routes_ = &routes;
  const auto add = [&](const char* method, const char* path, RouteTable::Answer answer) {
    routes.add({.method = method, .path = path, .answer = std::move(answer), .errors = RouteTable::Errors::Ollama});
  };
  add("GET", "/api/version", [this](const Call&) { return json_response({{"version", options_.version}}); });
  add("GET", "/api/tags", [this](const Call&) {
    Json list = Json::array();
    for (const ModelDoor& door : roster_.doors()) list.push_back(entry(door.info));
    return json_response({{"models", std::move(list)}});
  });
  add("GET", "/api/ps", [this](const Call& call) { return running(call); });
  add("POST", "/api/show", [this](const Call& call) { return show(call); });
  add("POST", "/api/generate", [this](const Call& call) { return answer(OllamaEndpoint::Generate, call); });
  add("POST", "/api/chat", [this](const Call& call) { return answer(OllamaEndpoint::Chat, call); });
  add("POST", "/api/embed", [this](const Call& call) { return embed(call, false); });
  add("POST", "/api/embeddings", [this](const Call& call) { return embed(call, true); });
  for (const char* path : {"/api/pull", "/api/create", "/api/copy", "/api/push", "/api/blobs/*"}) {
    add("POST", path, not_possible);
  }
  add("DELETE", "/api/delete", not_possible);
}

HttpResponse OllamaApi::inner(std::string method, std::string path, std::string body, const Call& call) const {
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.body = std::move(body);
  request.request_id = call.request.request_id;
  request.trace_id = call.request.trace_id;
  return routes_->handle(request, call.wake, call.caller);
}

HttpResponse OllamaApi::answer(OllamaEndpoint endpoint, const Call& call) const {
  const OllamaRequest request = parse_ollama_request(endpoint, call.request.body);
  const ModelDoor& door = roster_.at(request.model);
  if (request.does != OllamaRequest::Does::Answer) return load(request, endpoint, call);
  HttpResponse openai = inner("POST", request.path, request.with_limit(door.info.context_max), call);
  if (!openai.stream) return ollama_error_of(openai);
  HttpResponse response;
  response.tally = openai.tally;
  response.stream =
      std::make_unique<OllamaStream>(std::move(openai), OllamaStream::Options{.endpoint = endpoint,
                                                                              .streamed = request.stream,
                                                                              .model = tagged(door.info.id),
                                                                              .now = options_.now,
                                                                              .now_unix = options_.now_unix});
  return response;
}

// No prompt: the model is to be brought into memory, or (keep_alive 0) out of it.
HttpResponse OllamaApi::load(const OllamaRequest& request, OllamaEndpoint endpoint, const Call& call) const {
  const bool loads = request.does == OllamaRequest::Does::Load;
  Json done = {{"model", tagged(request.model)}, {"created_at", rfc3339(options_.now_unix())}};
  if (endpoint == OllamaEndpoint::Chat) {
    done["message"] = {{"role", "assistant"}, {"content", ""}};
  } else {
    done["response"] = "";
  }
  done["done"] = true;
  done["done_reason"] = loads ? "load" : "unload";
  const std::string text = done.dump(-1, ' ', false, Json::error_handler_t::replace) + (request.stream ? "\n" : "");
  const auto says_so = [text](const std::string&) { return text; };
  const std::string path = loads ? "/box/models/load" : "/box/models/unload";
  HttpRequest asked;
  asked.method = "POST";
  asked.path = path;
  // Whoever may not manage the box has the model loaded when it is asked for.
  if (!routes_->rule(asked).known || (loads && !call.caller.manages)) {
    HttpResponse response;
    response.body = text;
    return response;
  }
  return translated(inner("POST", path, Json{{"model", request.model}}.dump(), call), says_so);
}

HttpResponse OllamaApi::embed(const Call& call, bool older) const {
  const std::string body = embeddings_body(call.request.body, older);
  const TimePoint start = options_.now();
  const auto translate = [this, start, older, model = ollama_model(call.request.body)](const std::string& text) {
    const Json reply = Json::parse(text, nullptr, false);
    CHECK(reply.is_object() && reply.contains("data"));
    Json vectors = Json::array();
    for (const Json& one : reply["data"]) vectors.push_back(one.at("embedding"));
    if (older) return Json{{"embedding", vectors.empty() ? Json::array() : vectors.front()}}.dump();
    const Json out = {{"model", tagged(model)},
                      {"embeddings", std::move(vectors)},
                      {"total_duration", (options_.now() - start).count()},
                      {"load_duration", 0},
                      {"prompt_eval_count", reply.at("usage").at("prompt_tokens")}};
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  return translated(inner("POST", "/v1/embeddings", body, call), translate);
}

HttpResponse OllamaApi::show(const Call& call) const {
  const ServedModel& model = roster_.at(ollama_model(call.request.body)).info;
  const std::string family = model.family.empty() ? "unknown" : model.family;
  Json facts = {{"general.architecture", family}, {family + ".context_length", model.context_max}};
  if (model.parameters > 0) facts["general.parameter_count"] = model.parameters;
  return json_response({{"modelfile", format("# {} as served by tinderbox\nFROM {}\n", model.id, model.id)},
                        {"parameters", format("num_ctx {}", model.context_max)},
                        {"template", ""},
                        {"details", details(model)},
                        {"model_info", std::move(facts)},
                        {"capabilities", Json::array({"completion"})},
                        {"modified_at", rfc3339(static_cast<double>(model.created_unix))}});
}

// As the box tells which models are in its memory; all of them if it has only what is served.
HttpResponse OllamaApi::running(const Call& call) const {
  const auto list = [this](const std::string& text) {
    const Json told = Json::parse(text, nullptr, false);
    Json out = Json::array();
    for (const ModelDoor& door : roster_.doors()) {
      std::int64_t bytes = door.info.bytes;
      bool here = true;
      if (told.is_object() && told.contains("models")) {
        here = false;
        for (const Json& m : told["models"]) {
          if (m.value("id", "") != door.info.id) continue;
          here = m.value("state", "") == "ready";
          bytes = m.value("memory_bytes", bytes);
        }
      }
      if (!here) continue;
      Json one = entry(door.info);
      one.erase("modified_at");
      one["size"] = bytes;
      one["expires_at"] = rfc3339(options_.now_unix() + kForever);
      one["size_vram"] = bytes;
      one["context_length"] = door.info.context_max;
      out.push_back(std::move(one));
    }
    return Json{{"models", std::move(out)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  HttpRequest asked;
  asked.path = "/box/models";
  if (!routes_->rule(asked).known) {
    HttpResponse response;
    response.body = list("");
    return response;
  }
  return translated(inner("GET", asked.path, "", call), list);
}

}  // namespace tinderbox
