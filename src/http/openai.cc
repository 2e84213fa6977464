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

void require_room(const ModelDoor& door, const EncodedPrompt& prompt, std::string_view param) {
  const std::int64_t n_max = door.info.context_max - 1;  // one token must be left for the answer
  if (prompt.n_tokens <= n_max) return;
  throw RequestError(400,
                     format("{}: {} tokens or more do not fit the context of {} tokens; send at most {}", param,
                            prompt.n_tokens, door.info.context_max, n_max),
                     std::string(param), "context_length_exceeded");
}

}  // namespace

EncodedPrompt encode(const ModelDoor& door, const PromptInput& prompt, std::string_view param) {
  EncodedPrompt out;
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
    out = door.codec->encode_ids(*ids);
  } else {
    out = door.codec->encode_text(std::get<std::string>(prompt), door.info.context_max - 1);
  }
  require_room(door, out, param);
  return out;
}

namespace {

std::vector<EncodedPrompt> encode(const ModelDoor& door, const CompletionRequest& request) {
  std::vector<EncodedPrompt> out;
  if (request.endpoint == Endpoint::Chat) {
    const ToldChat told =
        tell(request.messages, request.tools, door.codec->chat_features().tools, request.variables_json);
    out.push_back(door.codec->encode_chat(told.messages, door.info.context_max - 1, told.variables_json));
    require_room(door, out.back(), "messages");
    return out;
  }
  for (const PromptInput& prompt : request.prompts) out.push_back(encode(door, prompt, "prompt"));
  return out;
}

// A prompt as its own beginning of the answer.
std::string echo_of(const ModelDoor& door, const PromptInput& prompt) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return *text;
  std::string out;
  for (const TokenId id : std::get<std::vector<TokenId>>(prompt)) out += door.codec->piece(id, 1);
  return to_valid_utf8(out);
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
  CompletionRequest request = parse_completion_request(endpoint, call.request.body);
  const ModelDoor& door = roster_.at(request.model);
  const std::int64_t context_max = door.info.context_max;
  if (request.n_gen_max.value_or(1) > context_max) {
    throw RequestError(400,
                       format("{}: {} is more than the context of {} tokens; send a smaller number",
                              request.n_gen_max_param, *request.n_gen_max, context_max),
                       request.n_gen_max_param, "invalid_value");
  }
  const ChatFeatures features = door.codec->chat_features();
  std::vector<EncodedPrompt> prompts = encode(door, request);
  const bool bare = features.bare_calls && request.tools.any();
  const bool thinks_first = prompts.front().thinking && request.must();
  if (bare || thinks_first) {
    request.grammar =
        answer_grammar(request.form, request.tools, bare ? CallForm::Bare : CallForm::Tagged, thinks_first);
  }
  constexpr std::size_t kAnswersMax = 128;
  if (prompts.size() * static_cast<std::size_t>(request.n) > kAnswersMax) {
    throw RequestError(400,
                       format("n: {} answers to {} prompts are more than the limit of {}; send several requests",
                              request.n, prompts.size(), kAnswersMax),
                       "n", "invalid_value");
  }
  auto wake = std::make_shared<const Wake>(call.wake);
  std::vector<AnswerInMaking> answers;
  CompletionStream::Options options{.streamed = request.stream, .logprobs = request.extras.n_logprobs >= 0};
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    options.n_prompt += prompts[i].n_tokens;
    for (std::int32_t k = 0; k < request.n; ++k) {
      AnswerInMaking answer{.events = std::make_shared<TokenStream>([wake] {
                              if (*wake) (*wake)();
                            }),
                            .text = AnswerText(request.stops)};
      // Placeholders cannot be chosen by a grammar: the shortest text of it takes their place.
      if (request.must() && door.info.weightless) answer.script = request.grammar->shortest();
      const bool reasons = features.reasons && (thinks_first || !request.must());
      if (endpoint == Endpoint::Chat && (reasons || request.tools.any())) {
        answer.chat.emplace(
            ChatText::Options{.reasons = reasons, .thinking = prompts[i].thinking, .tools = request.tools.names});
      }
      if (request.echo) answer.echoed = echo_of(door, request.prompts[i]);
      answer.seq = door.mailbox->submit(work_of(door, request, prompts[i], k, call.caller), answer.events);
      answers.push_back(std::move(answer));
    }
  }
  const std::int64_t created = options_.now_unix();
  AnswerHead head{.endpoint = endpoint,
                  .id = format("{}-{:x}-{:x}", endpoint == Endpoint::Chat ? "chatcmpl" : "cmpl", created,
                               answers.front().seq),
                  .created_unix = created,
                  .model = door.info.id,
                  .system_fingerprint = "tinderbox-" + options_.version};
  HttpResponse response;
  response.tally.model = door.info.id;
  response.stream = std::make_unique<CompletionStream>(
      *door.mailbox, *door.codec, std::move(answers),
      AnswerWriter(std::move(head), request.include_usage, options.logprobs), options);
  return response;
}

// The k-th answer to a prompt.
Request OpenAiApi::work_of(const ModelDoor& door, const CompletionRequest& request, const EncodedPrompt& prompt,
                           std::int32_t k, const Caller& caller) {
  const std::int64_t room = door.info.context_max - prompt.n_tokens;
  const std::int64_t wanted =
      request.n_gen_max.value_or(request.endpoint == Endpoint::Chat ? room : kDefaultCompletionTokens);
  Request work;
  work.prompt = prompt.tokens;
  work.n_prompt = static_cast<std::int32_t>(prompt.n_tokens);
  work.n_gen_max = static_cast<std::int32_t>(std::min(wanted, room));
  work.end_tokens = door.codec->end_tokens();
  work.sampling = request.sampling;
  work.n_answers = k == 0 ? request.n : 0;
  work.key = caller.key;
  work.priority = caller.priority;
  if (!request.has_seed) {
    const auto words = philox(options_.seed, Stream::Sampling, 1, n_completions_);
    work.sampling.seed = (std::uint64_t{words[0]} << 32) | words[1];
  } else if (k > 0) {  // answers to one prompt differ, and are the same again for the same seed
    const auto words = philox(request.sampling.seed, Stream::Sampling, 2, static_cast<std::uint64_t>(k));
    work.sampling.seed = (std::uint64_t{words[0]} << 32) | words[1];
  }
  ++n_completions_;
  const SamplingExtras& e = request.extras;
  std::shared_ptr<TokenConstraint> constraint;
  if (request.grammar) constraint = door.codec->constrain(request.grammar);
  if (constraint || e.presence_penalty != 0 || e.frequency_penalty != 0 || !e.bias.empty() || e.n_logprobs >= 0) {
    auto extras = std::make_shared<SamplingExtras>(e);
    extras->constraint = std::move(constraint);
    extras->n_prompt = work.n_prompt;
    work.sampling.extras = std::move(extras);
  }
  return work;
}

}  // namespace tinderbox
