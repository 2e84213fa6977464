// What it costs to hold an answer to a JSON schema: a mask over the vocabulary for each token.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/json_schema.h"
#include "model/token_mask.h"

namespace tinderbox {
namespace {

constexpr TokenId kEnd = 0;
constexpr int kTokens = 131'072, kAnswerMax = 256;

// As large as those of today's models: every byte, what JSON is made of, and pieces of text.
std::shared_ptr<const SortedVocabulary> vocabulary() {
  std::vector<std::string> pieces = {""};
  for (int byte = 0; byte < 256; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
  for (const char* piece :
       {"{\"", "\":", "\",\"", "\":\"", "\"}", "},{\"", "[{\"", "true", "false", "null", "\",", " \""}) {
    pieces.emplace_back(piece);
  }
  Random random(7, Stream::Test, 0);
  const std::string letters = "etaoinshrdlucmfwypvbgkjqxz";
  while (std::ssize(pieces) < kTokens) {
    std::string piece = random.range(0, 1) == 0 ? " " : "";
    for (auto n = random.range(1, 7); n > 0; --n) {
      piece += letters[static_cast<std::size_t>(std::min(random.range(0, 25), random.range(0, 25)))];
    }
    pieces.push_back(std::move(piece));
  }
  return std::make_shared<const SortedVocabulary>(std::move(pieces), std::vector<TokenId>{kEnd});
}

std::shared_ptr<const Grammar> grammar_of(const std::string& schema) {
  auto grammar = std::make_shared<Grammar>();
  grammar->finish(add_json_schema(*grammar, schema));
  return grammar;
}

// Schemas that hold themselves within choices: many ways to read what is there so far.
std::string nested_choices() {
  return R"({"$defs":{"node":{"anyOf":[{"type":"integer"},{"type":"string"},
    {"type":"array","items":{"$ref":"#/$defs/node"}},
    {"type":"object","properties":{"left":{"$ref":"#/$defs/node"},"right":{"$ref":"#/$defs/node"}},
     "required":["left","right"],"additionalProperties":false},
    {"type":"object","properties":{"left":{"type":"number"},"name":{"type":"string"}},"required":["left"],
     "additionalProperties":false}]}},"$ref":"#/$defs/node"})";
}

std::string record() {
  return R"({"type":"object","properties":{"name":{"type":"string","maxLength":40},"age":{"type":"integer","minimum":0,
    "maximum":150},"mail":{"type":"string","pattern":"^[a-z]+@[a-z]+\\.(org|net)$"},"tags":{"type":"array","items":
    {"enum":["red","green","blue"]},"maxItems":4},"score":{"type":"number","exclusiveMinimum":0,"maximum":1}},
    "required":["name","age","mail","tags","score"],"additionalProperties":false})";
}

// Answers of tokens drawn evenly among those that are let through.
void masked_answers(benchmark::State& state, const std::string& schema) {
  const auto words = vocabulary();
  const auto grammar = grammar_of(schema);
  std::vector<float> logits(kTokens);
  std::vector<TokenId> allowed, answer;
  std::int64_t n_tokens = 0;
  std::uint32_t seed = 0;
  for (auto _ : state) {
    Random random(7, Stream::Test, ++seed);
    GrammarConstraint constraint(grammar, words);
    answer.clear();
    while (std::ssize(answer) < kAnswerMax && (answer.empty() || answer.back() != kEnd)) {
      state.PauseTiming();
      std::ranges::fill(logits, 0.0F);
      state.ResumeTiming();
      constraint.mask(answer, logits);
      state.PauseTiming();
      allowed.clear();
      for (std::size_t id = 0; id < logits.size(); ++id) {
        if (logits[id] == 0) allowed.push_back(static_cast<TokenId>(id));
      }
      answer.push_back(allowed[static_cast<std::size_t>(random.range(0, std::ssize(allowed) - 1))]);
      state.ResumeTiming();
    }
    n_tokens += std::ssize(answer);
  }
  state.counters["tokens_per_s"] = benchmark::Counter(static_cast<double>(n_tokens), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(masked_answers, record, record())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masked_answers, nested_choices, nested_choices())->Unit(benchmark::kMillisecond);

// What a request pays before its first token.
void compile_schema(benchmark::State& state) {
  const std::string schema = record();
  for (auto _ : state) benchmark::DoNotOptimize(grammar_of(schema));
}
BENCHMARK(compile_schema)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tinderbox
