// How fast the twin answers: prices of one step and whole predictions a second.
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/mapped_file.h"
#include "twin/predict.h"

namespace tinderbox {
namespace {

const StepModel& gpt_oss_120b() {
  static const StepModel model = [] {
    const std::string data = std::string(TINDERBOX_SOURCE_DIR) + "/data/";
    TwinModel twin;
    twin.machine = parse_machine(read_file(data + "machines/dgx-spark.toml"), "dgx-spark");
    twin.stack = parse_stack(read_file(data + "stacks/llama.cpp.toml"), "llama.cpp");
    twin.model = load_config(data + "models/gpt-oss-120b.json");
    twin.weights = weight_format("mxfp4", twin.stack.file);
    twin.kv = kv_format(twin.stack.kv_default);
    return StepModel(std::move(twin));
  }();
  return model;
}

// Decode steps of n sequences: 36 layers, experts, windows.
void BM_PriceStep(benchmark::State& state) {
  const StepModel& model = gpt_oss_120b();
  const std::vector<Segment> segments(static_cast<std::size_t>(state.range(0)),
                                      Segment{.n_past = 1000, .n_new = 1});
  for (auto _ : state) benchmark::DoNotOptimize(model.price(segments));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PriceStep)->Arg(1)->Arg(16)->Arg(256);

// tinderbox predict --prompt 2048 --gen 32, and a long one.
void BM_Predict(benchmark::State& state) {
  const StepModel& model = gpt_oss_120b();
  const Point point{.prompt = state.range(0), .gen = state.range(1), .concurrency = state.range(2)};
  for (auto _ : state) benchmark::DoNotOptimize(predict(model, point));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Predict)->Args({2048, 32, 1})->Args({65536, 1024, 1})->Args({2048, 128, 16});

// Binding model, machine and stack: done once.
void BM_BuildStepModel(benchmark::State& state) {
  const TwinModel& twin = gpt_oss_120b().twin();
  for (auto _ : state) benchmark::DoNotOptimize(StepModel(twin));
}
BENCHMARK(BM_BuildStepModel);

}  // namespace
}  // namespace tinderbox
