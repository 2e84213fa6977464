#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <string>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kStdinMax = std::size_t{64} << 20;
constexpr std::int32_t kStepTokens = 512;
constexpr std::size_t kTop = 10;

std::string read_stdin() {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kStdinMax) throw_too_large("stdin: over 64 MiB");
  }
}

template <typename T>
T parse_stdin(std::string_view expected) {
  try {
    return Json::parse(read_stdin()).get<T>();
  } catch (const nlohmann::json::exception& e) {
    throw_invalid(format("stdin: expected {}: {}", expected, e.what()));
  }
}

// The ten likeliest next tokens after `tokens`, as [[id, probability], ...].
Json top_probabilities(LoadedModel& model, std::vector<TokenId> tokens) {
  if (tokens.empty()) tokens = model.codec->encode_text("", model.limits.context_max).tokens;
  const auto n = static_cast<std::int64_t>(tokens.size());
  if (n > model.limits.context_max) {
    throw_too_large(format("{} tokens exceed the context of {}", n, model.limits.context_max));
  }
  for (const TokenId t : tokens) {
    if (t < 0 || t >= model.engine->model().n_vocab)
      throw_invalid(format("token {} is not in the vocabulary", t));
  }
  std::vector<std::int32_t> blocks(static_cast<std::size_t>((n + 15) / 16));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::span<const float> logits;
  for (std::int64_t past = 0; past < n; past += kStepTokens) {
    const std::int64_t step = std::min<std::int64_t>(kStepTokens, n - past);
    const EngineItem item{.tokens = std::span(tokens).subspan(static_cast<std::size_t>(past),
                                                              static_cast<std::size_t>(step)),
                          .n_past = static_cast<std::int32_t>(past),
                          .blocks = blocks,
                          .samples = past + step == n};
    logits = model.engine->step(std::span(&item, 1));
  }
  const double high = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - high);
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const std::size_t top = std::min(kTop, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(top), order.end(),
                    [&](TokenId a, TokenId b) {
                      const float x = logits[static_cast<std::size_t>(a)],
                                  y = logits[static_cast<std::size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  Json out = Json::array();
  for (std::size_t i = 0; i < top; ++i) {
    out.push_back({order[i], std::exp(logits[static_cast<std::size_t>(order[i])] - high) / sum});
  }
  return out;
}

}  // namespace

int cmd_tokenize(const InspectOptions& options) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(Gguf::open(options.file));
  Json out = Json::array();
  for (const std::string& text : parse_stdin<std::vector<std::string>>("a JSON array of strings")) {
    out.push_back(tokenizer.encode(text, true, false));
  }
  print(out.dump() + "\n");
  return 0;
}

int cmd_logits(const InspectOptions& options) {
  LoadedModel model = load_model_file(
      {.file = options.file, .threads = options.threads, .context = 0}, 1, kStepTokens);
  Json out = Json::array();
  for (auto& tokens :
       parse_stdin<std::vector<std::vector<TokenId>>>("a JSON array of arrays of token ids")) {
    out.push_back(top_probabilities(model, std::move(tokens)));
  }
  print(out.dump() + "\n");
  return 0;
}

int cmd_render() {
  // Ordered: a template may print its variables, and their order is theirs.
  auto input = parse_stdin<Json>("an object {template, messages, ...}");
  ChatContext context;
  std::string source;
  try {
    source = input.at("template").get<std::string>();
    context.now_unix = input.value("now_unix", now_unix());
    context.add_generation_prompt = input.value("add_generation_prompt", true);
    context.bos_token = input.value("bos_token", "");
    context.eos_token = input.value("eos_token", "");
  } catch (const nlohmann::json::exception& e) {
    throw_invalid(format("stdin: {}", e.what()));
  }
  input.erase("template");
  input.erase("now_unix");
  context.variables_json = input.dump();
  print(ChatTemplate::parse(source).render(context));
  return 0;
}

}  // namespace tinderbox::cli
