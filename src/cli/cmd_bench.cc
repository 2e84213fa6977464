#include <algorithm>
#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::int32_t kStepTokens = 512;  // llama-bench's ubatch

// The times of one test, in nanoseconds, one a repetition.
struct Samples {
  std::int64_t n_prompt = 0, n_gen = 0;
  std::vector<double> ns;

  double tokens() const { return static_cast<double>(n_prompt + n_gen); }
  std::vector<double> rates() const {
    std::vector<double> out;
    for (const double t : ns) out.push_back(tokens() / t * 1e9);
    return out;
  }
};

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double deviation(const std::vector<double>& x) {
  if (x.size() < 2) return 0;
  const double m = mean(x);
  double sum = 0;
  for (const double v : x) sum += (v - m) * (v - m);
  return std::sqrt(sum / static_cast<double>(x.size() - 1));
}

// Random tokens: the work does not depend on what they say.
std::vector<TokenId> random_tokens(std::int64_t n, int n_vocab) {
  Random random(1, Stream::Test);
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  for (TokenId& t : out) t = static_cast<TokenId>(random.range(0, n_vocab - 1));
  return out;
}

// Prompt in steps of kStepTokens, then one token after another, as llama-bench does.
void run_once(Engine& engine, const std::vector<TokenId>& tokens, std::int64_t n_prompt,
              const std::vector<std::int32_t>& blocks) {
  const auto n = static_cast<std::int64_t>(tokens.size());
  for (std::int64_t past = 0; past < n;) {
    const std::int64_t step =
        past < n_prompt ? std::min<std::int64_t>(kStepTokens, n_prompt - past) : 1;
    const EngineItem item{.tokens = std::span(tokens).subspan(static_cast<std::size_t>(past),
                                                              static_cast<std::size_t>(step)),
                          .n_past = static_cast<std::int32_t>(past),
                          .blocks = blocks,
                          .samples = past + step >= n_prompt};
    engine.step(std::span(&item, 1));
    past += step;
  }
}

Samples measure(LoadedModel& model, std::int64_t n_prompt, std::int64_t n_gen, int repetitions) {
  const std::int64_t n = n_prompt + n_gen;
  if (n > model.limits.context_max) {
    throw_too_large(
        format("{} tokens exceed the context of {}; give --context", n, model.limits.context_max));
  }
  const std::vector<TokenId> tokens = random_tokens(n, model.engine->model().n_vocab);
  std::vector<std::int32_t> blocks(static_cast<std::size_t>(model.engine->options().kv_blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  blocks.resize(static_cast<std::size_t>((n + 15) / 16));
  Samples samples{n_prompt, n_gen, {}};
  run_once(*model.engine, tokens, n_prompt, blocks);  // warm-up
  WallClock clock;
  for (int i = 0; i < repetitions; ++i) {
    const TimePoint start = clock.now();
    run_once(*model.engine, tokens, n_prompt, blocks);
    samples.ns.push_back(static_cast<double>((clock.now() - start).count()));
  }
  return samples;
}

std::string test_name(const Samples& s) {
  if (s.n_gen == 0) return format("pp{}", s.n_prompt);
  if (s.n_prompt == 0) return format("tg{}", s.n_gen);
  return format("pp{}+tg{}", s.n_prompt, s.n_gen);
}

Json to_json(const LoadedModel& model, const Samples& s, int threads, double bytes) {
  const ParameterCount count = count_parameters(model.engine->model());
  return {{"build_commit", TINDERBOX_VERSION},
          {"backends", "CPU"},
          {"model_filename", model.file->name()},
          {"model_type", model.id()},
          {"model_size", bytes},
          {"model_n_params", count.total},
          {"n_batch", kStepTokens},
          {"n_ubatch", kStepTokens},
          {"n_threads", threads},
          {"type_k", "f16"},
          {"type_v", "f16"},
          {"n_prompt", s.n_prompt},
          {"n_gen", s.n_gen},
          {"n_depth", 0},
          {"avg_ns", mean(s.ns)},
          {"stddev_ns", deviation(s.ns)},
          {"avg_ts", mean(s.rates())},
          {"stddev_ts", deviation(s.rates())},
          {"samples_ns", s.ns},
          {"samples_ts", s.rates()}};
}

std::string markdown(const LoadedModel& model, const std::vector<Samples>& all, int threads,
                     double bytes) {
  const ParameterCount count = count_parameters(model.engine->model());
  std::string out =
      "| model | size | params | backend | threads | test | t/s |\n"
      "| ----- | ---: | -----: | ------- | ------: | ---: | --: |\n";
  for (const Samples& s : all) {
    out += format("| {} | {:.2f} MiB | {:.2f} M | CPU | {} | {} | {:.2f} ± {:.2f} |\n", model.id(),
                  bytes / kMiB, count.total / 1e6, threads, test_name(s), mean(s.rates()),
                  deviation(s.rates()));
  }
  return out;
}

}  // namespace

int cmd_bench(const BenchOptions& options) {
  LoadedModel model = load_model_file(options.engine, 1, kStepTokens);
  std::vector<Samples> all;
  Progress progress("benchmarking");
  const auto total = static_cast<std::int64_t>(options.prompt.size() + options.gen.size());
  for (const std::int64_t n : options.prompt) {
    if (n > 0) all.push_back(measure(model, n, 0, options.repetitions));
    progress.at(static_cast<std::int64_t>(all.size()), total);
  }
  for (const std::int64_t n : options.gen) {
    if (n > 0) all.push_back(measure(model, 0, n, options.repetitions));
    progress.at(static_cast<std::int64_t>(all.size()), total);
  }
  double bytes = 0;
  for (const TensorView& tensor : model.file->tensors())
    bytes += static_cast<double>(tensor.data.size());
  const int threads = options.engine.threads > 0 ? options.engine.threads : n_processors();
  if (options.json) {
    Json out = Json::array();
    for (const Samples& s : all) out.push_back(to_json(model, s, threads, bytes));
    print_json(out);
  } else {
    print(markdown(model, all, threads, bytes));
  }
  return 0;
}

}  // namespace tinderbox::cli
