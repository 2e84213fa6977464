#include "http/openai.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "http/completion_stream.h"

namespace tinderbox {

namespace {

constexpr std::int64_t kDefaultCompletionTokens = 16;  // the API's default for /v1/completions

std::string model_object(const ServedModel& model) {
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

EncodedPrompt encode(const ModelDoor& door, const CompletionRequest& request) {
  const std::int64_t n_max =
      door.info.context_max - 1;  // one token must be left for the answer
  EncodedPrompt prompt;
  if (request.endpoint == Endpoint::Chat) {
    prompt = door.codec->encode_chat(request.messages, n_max);
  } else if (const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt)) {
    prompt = door.codec->encode_ids(*ids);
  } else {
    prompt = door.codec->encode_text(std::get<std::string>(request.prompt), n_max);
  }
  const std::string_view param = request.endpoint == Endpoint::Chat ? "messages" : "prompt";
  if (prompt.n_tokens > n_max) {
    throw RequestError(
        400,
        format("{}: {} tokens or more do not fit the context of {} tokens; send at most {}", param,
               prompt.n_tokens, door.info.context_max, n_max),
        std::string(param), "context_length_exceeded");
  }
  return prompt;
}

}  // namespace

OpenAiApi::OpenAiApi(const Roster& roster, OpenAiOptions options) : roster_(roster), options_(std::move(options)) {
  CHECK(options_.now_unix != nullptr);
}

void OpenAiApi::add_to(RouteTable& routes) {
  routes.add({.method = "GET", .path = "/v1/models", .answer = [this](const Call&) {
                HttpResponse response;
                response.body = R"({"object":"list","data":[)";
                for (const ModelDoor& door : roster_.doors()) {
                  if (&door != roster_.doors().data()) response.body += ',';
                  response.body += model_object(door.info);
                }
                response.body += "]}";
                return response;
              }});
  routes.add({.method = "GET", .path = "/v1/models/*", .answer = [this](const Call& call) {
                HttpResponse response;
                response.body = model_object(roster_.at(call.rest).info);
                return response;
              }});
  const auto answers = [&](const char* path, Endpoint endpoint) {
    routes.add({.method = "POST", .path = path, .answer = [this, endpoint](const Call& call) {
                  return complete(endpoint, call);
                }});
  };
  answers("/v1/chat/completions", Endpoint::Chat);
  answers("/v1/completions", Endpoint::Completions);
}

HttpResponse OpenAiApi::complete(Endpoint endpoint, const Call& call) {
  const CompletionRequest request = parse_completion_request(endpoint, call.request.body);
  const ModelDoor& door = roster_.at(request.model);
  const std::int64_t context_max = door.info.context_max;
  if (request.n_gen_max.value_or(1) > context_max) {
    throw RequestError(400,
                       format("{}: {} is more than the context of {} tokens; send a smaller number",
                              request.n_gen_max_param, *request.n_gen_max, context_max),
                       request.n_gen_max_param, "invalid_value");
  }
  EncodedPrompt prompt = encode(door, request);
  const std::int64_t room = context_max - prompt.n_tokens;
  const std::int64_t wanted =
      request.n_gen_max.value_or(endpoint == Endpoint::Chat ? room : kDefaultCompletionTokens);

  Request work;
  work.prompt = std::move(prompt.tokens);
  work.n_prompt = static_cast<std::int32_t>(prompt.n_tokens);
  work.n_gen_max = static_cast<std::int32_t>(std::min(wanted, room));
  work.end_tokens = door.codec->end_tokens();
  work.sampling = request.sampling;
  work.key = call.caller.key;
  work.priority = call.caller.priority;
  if (!request.has_seed) {
    const auto words = philox(options_.seed, Stream::Sampling, 1, n_completions_);
    work.sampling.seed = (std::uint64_t{words[0]} << 32) | words[1];
  }
  ++n_completions_;

  auto events = std::make_shared<TokenStream>(call.wake);
  const SeqId seq = door.mailbox->submit(std::move(work), events);
  const std::int64_t created = options_.now_unix();
  AnswerHead head{
      .endpoint = endpoint,
      .id = format("{}-{:x}-{:x}", endpoint == Endpoint::Chat ? "chatcmpl" : "cmpl", created, seq),
      .created_unix = created,
      .model = door.info.id,
      .system_fingerprint = "tinderbox-" + options_.version};
  HttpResponse response;
  response.stream = std::make_unique<CompletionStream>(
      *door.mailbox, *door.codec, seq, std::move(events),
      AnswerWriter(std::move(head), request.include_usage), AnswerText(request.stops),
      prompt.n_tokens, request.stream);
  return response;
}

}  // namespace tinderbox
