#include "http/text_api.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "http/json_body.h"
#include "http/openai.h"
#include "http/refusal.h"

namespace tinderbox {
namespace {

using nlohmann::json;

constexpr std::size_t kInputsMax = 2048;

void make_unit(std::vector<float>& v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
  for (float& x : v) x = static_cast<float>(x * scale);
}

// Without weights: the same direction for the same input, and no meaning.
std::vector<float> placeholder(const PromptInput& input, std::int64_t n) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto mix = [&](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3u; };
  if (const auto* text = std::get_if<std::string>(&input)) {
    for (const char c : *text) mix(static_cast<unsigned char>(c));
  } else {
    for (const TokenId id : std::get<std::vector<TokenId>>(input)) mix(static_cast<std::uint64_t>(id) + 256);
  }
  Random random(hash, Stream::Sampling);
  std::vector<float> out(static_cast<std::size_t>(n));
  for (float& x : out) x = static_cast<float>(random.normal());
  return out;
}

struct Input {
  PromptInput prompt;
  SeqId seq = 0;
  std::shared_ptr<TokenStream> events;
  std::vector<float> vector = {};
  bool live = true;
};

// All inputs of a request, until the last one's vector is there.
class EmbeddingStream final : public ResponseStream {
 public:
  EmbeddingStream(const ModelDoor& door, std::vector<Input> inputs, std::int64_t n_tokens, std::int64_t dimensions,
                  bool as_base64)
      : door_(door), inputs_(std::move(inputs)), n_tokens_(n_tokens), dimensions_(dimensions), as_base64_(as_base64) {}
  ~EmbeddingStream() override {
    for (const Input& input : inputs_) {
      if (input.live) door_.mailbox->cancel(input.seq);
    }
  }

  State poll(HttpResponse& response) override {
    for (Input& input : inputs_) {
      for (const StreamEvent& event : input.events->take()) {
        if (event.kind == StreamEvent::Kind::Token) continue;
        input.live = false;
        if (event.kind == StreamEvent::Kind::Refused) return give(response, refusal_of(event.admission));
        if (cut_short(event.finish)) return give(response, box_down());
        if (event.detail && !event.detail->embedding.empty()) {
          input.vector = event.detail->embedding;
        } else {
          input.vector = placeholder(input.prompt, std::max<std::int64_t>(1, door_.info.d_model));
        }
      }
    }
    if (std::ranges::any_of(inputs_, &Input::live)) return State::Waiting;
    response.tally.prompt_tokens = n_tokens_;
    response.body += whole();
    return State::Finished;
  }

 private:
  static State give(HttpResponse& response, HttpResponse refusal) {
    response.status = refusal.status;
    response.headers = std::move(refusal.headers);
    response.body = std::move(refusal.body);
    return State::Finished;
  }

  std::string whole() {
    std::string out = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      std::vector<float>& v = inputs_[i].vector;
      if (dimensions_ > 0) v.resize(std::min(v.size(), static_cast<std::size_t>(dimensions_)));
      make_unit(v);
      out += format(R"({}{{"object":"embedding","index":{},"embedding":)", i == 0 ? "" : ",", i);
      if (as_base64_) {
        static_assert(std::endian::native == std::endian::little);
        out += '"' + base64({reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)}) + '"';
      } else {
        out += '[';
        for (std::size_t k = 0; k < v.size(); ++k) out += format("{}{}", k == 0 ? "" : ",", v[k]);
        out += ']';
      }
      out += '}';
    }
    out += R"(],"model":)";
    append_json_string(out, door_.info.id);
    return out + format(R"(,"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})", n_tokens_, n_tokens_);
  }

  const ModelDoor& door_;
  std::vector<Input> inputs_;
  std::int64_t n_tokens_, dimensions_;
  bool as_base64_;
};

// "model" may be left out where there is only one.
const ModelDoor& door_of(const Roster& roster, const json& body) {
  const bool unnamed = !body.contains("model") || body["model"].is_null();
  if (unnamed && roster.doors().size() == 1) return roster.doors().front();
  return roster.at(json_string(body, "model"));
}

void require_vocabulary(const ModelDoor& door) {
  if (!door.info.weightless) return;
  throw RequestError(400,
                     format("{} is served without weights, and so without a vocabulary; only the number of tokens is "
                            "known, about one for four bytes",
                            door.info.id),
                     "model", "weightless");
}

}  // namespace

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) {
      return k < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[k])) : 0U;
    };
    const std::uint32_t word = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += kLetters[word >> 18];
    out += kLetters[word >> 12 & 63];
    out += i + 1 < bytes.size() ? kLetters[word >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kLetters[word & 63] : '=';
  }
  return out;
}

void TextApi::add_to(RouteTable& routes) {
  routes.add({.method = "POST", .path = "/v1/embeddings", .answer = [this](const Call& call) { return embed(call); }});
  routes.add({.method = "POST", .path = "/tokenize", .answer = [this](const Call& call) { return tokenize(call); }});
  routes.add(
      {.method = "POST", .path = "/detokenize", .answer = [this](const Call& call) { return detokenize(call); }});
}

HttpResponse TextApi::embed(const Call& call) {
  const json body = parse_json_object(call.request.body);
  const ModelDoor& door = roster_.at(json_string(body, "model"));
  std::vector<PromptInput> prompts = parse_prompts(body, "input");
  if (prompts.size() > kInputsMax) throw RequestError(400, "input: too many", "input", "invalid_value");
  const std::string form = body.contains("encoding_format") ? json_string(body, "encoding_format") : "float";
  if (form != "float" && form != "base64") {
    throw RequestError(400, "encoding_format: send float or base64", "encoding_format", "invalid_value");
  }
  const auto d_model = static_cast<double>(std::max<std::int64_t>(1, door.info.d_model));
  const auto dimensions = static_cast<std::int64_t>(json_number(body, "dimensions", 1, d_model).value_or(0));
  std::vector<Input> inputs;
  std::int64_t n_tokens = 0;
  auto wake = std::make_shared<const Wake>(call.wake);
  std::vector<EncodedPrompt> encoded;
  for (const PromptInput& prompt : prompts) encoded.push_back(encode(door, prompt, "input"));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    Request work;
    work.n_prompt = static_cast<std::int32_t>(encoded[i].n_tokens);
    work.prompt = std::move(encoded[i].tokens);
    work.n_gen_max = 1;
    work.sampling.temperature = 0;
    work.sampling.extras = std::make_shared<SamplingExtras>(SamplingExtras{.embeds = true, .n_prompt = work.n_prompt});
    work.key = call.caller.key;
    work.priority = call.caller.priority;
    n_tokens += work.n_prompt;
    Input input{.prompt = std::move(prompts[i]), .events = std::make_shared<TokenStream>([wake] {
                                                   if (*wake) (*wake)();
                                                 })};
    input.seq = door.mailbox->submit(std::move(work), input.events);
    inputs.push_back(std::move(input));
  }
  HttpResponse response;
  response.tally.model = door.info.id;
  response.stream = std::make_unique<EmbeddingStream>(door, std::move(inputs), n_tokens, dimensions, form == "base64");
  return response;
}

HttpResponse TextApi::tokenize(const Call& call) {
  const json body = parse_json_object(call.request.body);
  const ModelDoor& door = door_of(roster_, body);
  require_vocabulary(door);
  EncodedPrompt prompt;
  if (body.contains("messages")) {
    prompt = door.codec->encode_chat(parse_messages(body), door.info.context_max);
  } else {
    prompt = door.codec->encode_text(json_string(body, "prompt"), door.info.context_max);
  }
  if (prompt.tokens.empty()) {
    throw RequestError(400,
                       format("prompt: {} tokens or more; send at most {}", prompt.n_tokens, door.info.context_max),
                       "prompt", "context_length_exceeded");
  }
  HttpResponse response;
  response.body =
      json({{"count", prompt.n_tokens}, {"max_model_len", door.info.context_max}, {"tokens", prompt.tokens}}).dump();
  return response;
}

HttpResponse TextApi::detokenize(const Call& call) {
  const json body = parse_json_object(call.request.body);
  const ModelDoor& door = door_of(roster_, body);
  require_vocabulary(door);
  const std::vector<PromptInput> given = parse_prompts(body, "tokens");
  const auto* ids = std::get_if<std::vector<TokenId>>(&given.front());
  if (ids == nullptr || given.size() != 1) {
    throw RequestError(400, "tokens: expected an array of token ids", "tokens", "invalid_type");
  }
  std::string text;
  for (const TokenId id : door.codec->encode_ids(*ids).tokens) text += door.codec->piece(id, 1);
  HttpResponse response;
  response.body = json({{"prompt", to_valid_utf8(text)}}).dump();
  return response;
}

}  // namespace tinderbox
