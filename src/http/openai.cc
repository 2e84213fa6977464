#include "http/openai.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "http/completion_stream.h"

namespace tinderbox {

namespace {

constexpr std::int64_t kDefaultCompletionTokens = 16;  // the API's default for /v1/completions

constexpr std::string_view kGetPaths[] = {"/v1/models", "/health", "/metrics", "/version"};

std::optional<Endpoint> endpoint_of(std::string_view path) {
  if (path == "/v1/chat/completions") return Endpoint::Chat;
  if (path == "/v1/completions") return Endpoint::Completions;
  return std::nullopt;
}

HttpResponse method_not_allowed(const HttpRequest& request, std::string_view allowed) {
  HttpResponse response = error_response(
      405, format("{} {} is not possible; use {}", request.method, request.path, allowed), {},
      "method_not_allowed");
  response.headers.push_back({"allow", std::string(allowed)});
  return response;
}

HttpResponse not_found(const HttpRequest& request) {
  return error_response(
      404,
      format("there is nothing at {} {}; see /v1/models, /v1/chat/completions, /v1/completions, "
             "/health, /metrics, /version",
             request.method, request.path),
      {}, "not_found");
}

[[noreturn]] void unknown_model(std::string_view id, const std::string& served) {
  throw RequestError(404, format("the model '{}' does not exist; this server has '{}'", id, served),
                     "model", "model_not_found");
}

}  // namespace

OpenAiApi::OpenAiApi(Mailbox& mailbox, const TextCodec& codec, const Metrics& metrics,
                     ApiOptions options)
    : mailbox_(mailbox),
      codec_(codec),
      metrics_(metrics),
      options_(std::move(options)),
      files_(std::move(options_.files)) {
  CHECK(options_.now_unix && options_.model.context_max >= 2);
}

HttpResponse OpenAiApi::handle(const HttpRequest& request, Wake wake) {
  try {
    const std::optional<Endpoint> endpoint = endpoint_of(request.path);
    if (request.method == "OPTIONS") {
      HttpResponse response{
          .status = 204, .content_type = {}, .headers = {}, .body = {}, .stream = {}};
      response.headers.push_back({"allow", endpoint ? "POST, OPTIONS" : "GET, HEAD, OPTIONS"});
      return response;
    }
    if (endpoint) {
      if (request.method != "POST") return method_not_allowed(request, "POST");
      return complete(*endpoint, request, std::move(wake));
    }
    if (request.method == "GET" || request.method == "HEAD") return get(request);
    const bool known = std::ranges::find(kGetPaths, request.path) != std::end(kGetPaths) ||
                       request.path.starts_with("/v1/models/") || files_.find(request);
    return known ? method_not_allowed(request, "GET") : not_found(request);
  } catch (const RequestError& e) {
    return error_response(e.status(), e.what(), e.param(), e.code());
  } catch (const Error& e) {  // a chat template or a tokenizer that refuses the input
    return error_response(400, e.what());
  }
}

HttpResponse OpenAiApi::get(const HttpRequest& request) const {
  constexpr std::string_view kModel = "/v1/models/";
  HttpResponse response;
  if (request.path == "/v1/models") {
    response.body = R"({"object":"list","data":[)" + model_object() + "]}";
  } else if (request.path.starts_with(kModel)) {
    const std::string id = request.path.substr(kModel.size());
    if (id != options_.model.id) unknown_model(id, options_.model.id);
    response.body = model_object();
  } else if (request.path == "/health") {
    response.body = R"({"status":"ok"})";
  } else if (request.path == "/version") {
    response.body = R"({"version":)";
    append_json_string(response.body, options_.version);
    response.body += '}';
  } else if (request.path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_.text();
  } else if (std::optional<HttpResponse> file = files_.find(request)) {
    return std::move(*file);
  } else {
    return not_found(request);
  }
  return response;
}

std::string OpenAiApi::model_object() const {
  const ServedModel& model = options_.model;
  std::string out = R"({"id":)";
  append_json_string(out, model.id);
  out += format(
      R"(,"object":"model","created":{},"owned_by":"tinderbox","max_model_len":{},"tinderbox":{{)",
      model.created_unix, model.context_max);
  out += format(R"("weightless":{},"as":)", model.weightless);
  if (model.as.empty()) {
    out += "null";
  } else {
    append_json_string(out, model.as);
  }
  out += "}}";
  return out;
}

EncodedPrompt OpenAiApi::encode(const CompletionRequest& request) const {
  const std::int64_t n_max =
      options_.model.context_max - 1;  // one token must be left for the answer
  EncodedPrompt prompt;
  if (request.endpoint == Endpoint::Chat) {
    prompt = codec_.encode_chat(request.messages, n_max);
  } else if (const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt)) {
    prompt = codec_.encode_ids(*ids);
  } else {
    prompt = codec_.encode_text(std::get<std::string>(request.prompt), n_max);
  }
  const std::string_view param = request.endpoint == Endpoint::Chat ? "messages" : "prompt";
  if (prompt.n_tokens > n_max) {
    throw RequestError(
        400,
        format("{}: {} tokens or more do not fit the context of {} tokens; send at most {}", param,
               prompt.n_tokens, options_.model.context_max, n_max),
        std::string(param), "context_length_exceeded");
  }
  return prompt;
}

HttpResponse OpenAiApi::complete(Endpoint endpoint, const HttpRequest& http, Wake wake) {
  const CompletionRequest request = parse_completion_request(endpoint, http.body);
  if (request.model != options_.model.id) unknown_model(request.model, options_.model.id);
  const std::int64_t context_max = options_.model.context_max;
  if (request.n_gen_max.value_or(1) > context_max) {
    throw RequestError(400,
                       format("{}: {} is more than the context of {} tokens; send a smaller number",
                              request.n_gen_max_param, *request.n_gen_max, context_max),
                       request.n_gen_max_param, "invalid_value");
  }
  EncodedPrompt prompt = encode(request);
  const std::int64_t room = context_max - prompt.n_tokens;
  const std::int64_t wanted =
      request.n_gen_max.value_or(endpoint == Endpoint::Chat ? room : kDefaultCompletionTokens);

  Request work;
  work.prompt = std::move(prompt.tokens);
  work.n_prompt = static_cast<std::int32_t>(prompt.n_tokens);
  work.n_gen_max = static_cast<std::int32_t>(std::min(wanted, room));
  work.end_tokens = codec_.end_tokens();
  work.sampling = request.sampling;
  if (!request.has_seed) {
    const auto words = philox(options_.seed, Stream::Sampling, 1, n_completions_);
    work.sampling.seed = (std::uint64_t{words[0]} << 32) | words[1];
  }
  ++n_completions_;

  auto events = std::make_shared<TokenStream>(std::move(wake));
  const SeqId seq = mailbox_.submit(std::move(work), events);
  const std::int64_t created = options_.now_unix();
  AnswerHead head{
      .endpoint = endpoint,
      .id = format("{}-{:x}-{:x}", endpoint == Endpoint::Chat ? "chatcmpl" : "cmpl", created, seq),
      .created_unix = created,
      .model = options_.model.id,
      .system_fingerprint = "tinderbox-" + options_.version};
  HttpResponse response;
  response.stream = std::make_unique<CompletionStream>(
      mailbox_, codec_, seq, std::move(events),
      AnswerWriter(std::move(head), request.include_usage), AnswerText(request.stops),
      prompt.n_tokens, request.stream);
  return response;
}

}  // namespace tinderbox
