// The scheduler's own cost for each step, and how much faster than life a simulation runs.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "base/mapped_file.h"
#include "box/loop.h"
#include "box/simulate.h"
#include "machine/machine.h"
#include "model/config.h"

namespace tinderbox {
namespace {

Request sized(SeqId id, std::int32_t n_prompt, std::int32_t n_gen_max) {
  Request request;
  request.id = id;
  request.n_prompt = n_prompt;
  request.n_gen_max = n_gen_max;
  return request;
}

// Decode steps of a full batch; a finished sequence is replaced by the next request.
void scheduler_step(benchmark::State& state, Policy policy) {
  const auto n_sequences = static_cast<std::int32_t>(state.range(0));
  Scheduler scheduler({.step_tokens_max = 8192, .sequences_max = n_sequences},
                      KvPool(n_sequences * 64, 16), policy);
  Step step;
  std::vector<TokenId> sampled;
  std::vector<TokenEvent> events;
  SeqId next_id = 1;
  for (auto _ : state) {
    while (scheduler.n_running() + scheduler.n_waiting() < n_sequences) {
      scheduler.submit(sized(next_id++, 512, 128));
    }
    scheduler.schedule(step);
    sampled.clear();
    for (const StepItem& item : step.items) {
      if (item.samples) sampled.push_back(0);
    }
    events.clear();
    scheduler.complete(step, sampled, events);
    benchmark::DoNotOptimize(events.data());
  }
  state.counters["steps_per_s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(scheduler_step, fcfs, Policy{})->Arg(1)->Arg(16)->Arg(256);
BENCHMARK_CAPTURE(scheduler_step, cached, policy_named("vllm", "bench"))->Arg(1)->Arg(16)->Arg(256);

// The same of prompts with token values that share three quarters: what the server pays for its prefix cache.
void scheduler_prompts(benchmark::State& state, Policy policy) {
  const std::int32_t n_prompt = 2048;
  Scheduler scheduler({.step_tokens_max = 8192}, KvPool(4096, 16), policy);
  Request request = sized(0, n_prompt, 1);
  request.prompt.resize(n_prompt);
  Step step;
  std::vector<TokenEvent> events;
  const std::vector<TokenId> sampled = {0};
  for (auto _ : state) {
    ++request.id;
    for (std::size_t i = n_prompt / 4 * 3; i < n_prompt; ++i) {
      request.prompt[i] = static_cast<TokenId>(request.id * n_prompt) + static_cast<TokenId>(i);
    }
    scheduler.submit(request);
    scheduler.schedule(step);
    events.clear();
    scheduler.complete(step, sampled, events);
    benchmark::DoNotOptimize(events.data());
  }
  state.counters["prompt_tokens_per_s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * n_prompt), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(scheduler_prompts, fcfs, Policy{});
BENCHMARK_CAPTURE(scheduler_prompts, cached, policy_named("vllm", "bench"));

const std::filesystem::path kData = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data";

StepModel spark_with_llama() {
  TwinModel twin;
  twin.machine = parse_machine(read_file(kData / "machines/dgx-spark.toml"), "dgx-spark.toml");
  twin.stack = parse_stack(read_file(kData / "stacks/vllm.toml"), "vllm.toml");
  twin.model = load_config(kData / "models/llama-3.1-8b.json");
  twin.weights = weight_format("fp8", twin.stack.file);
  twin.kv = DType::F16;
  return StepModel(twin);
}

// The command of README: 512 + 128 tokens at so many requests a second.
void simulated_requests(benchmark::State& state) {
  const StepModel model = spark_with_llama();
  SimulateOptions options;
  options.workload = {.requests = 1000,
                      .rate = static_cast<double>(state.range(0)),
                      .prompt = 512,
                      .gen = 128,
                      .seed = 1};
  double simulated = 0;
  for (auto _ : state) simulated += simulate(model, options).report.duration.value();
  const auto n = static_cast<double>(state.iterations() * options.workload.requests);
  state.counters["requests_per_s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
  state.counters["times_real_time"] = benchmark::Counter(simulated, benchmark::Counter::kIsRate);
}
BENCHMARK(simulated_requests)->Arg(2)->Arg(8)->Unit(benchmark::kMillisecond);

StepModel spark_with_qwen() {
  TwinModel twin = spark_with_llama().twin();
  twin.model = load_config(kData / "models/qwen3-1.7b.json");
  return StepModel(twin);
}

// Ten million requests of 512 + 128 tokens, ten a second, at one box that keeps up. Memory stays bounded:
// `/usr/bin/time -v` on the same command of `tinderbox simulate` tells it.
void ten_million_requests(benchmark::State& state) {
  const StepModel model = spark_with_qwen();
  const SimulateOptions options{
      .workload = {.requests = 10'000'000, .rate = 10, .prompt = 512, .gen = 128, .seed = 1}};
  for (auto _ : state) benchmark::DoNotOptimize(simulate(model, options).report.finished);
  const auto n = static_cast<double>(state.iterations() * options.workload.requests);
  state.counters["requests_per_s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
}
BENCHMARK(ten_million_requests)->Unit(benchmark::kSecond)->Iterations(1);

// 1000 requests of 1024 + 128 tokens in a closed loop of 16, the case that AISimulate publishes its speed for.
void loop_of_sixteen(benchmark::State& state) {
  const StepModel model = spark_with_llama();
  const SimulateOptions options{.workload = {.requests = 1000, .prompt = 1024, .gen = 128, .seed = 1}, .users = 16};
  for (auto _ : state) benchmark::DoNotOptimize(simulate(model, options).report.finished);
  const auto n = static_cast<double>(state.iterations() * options.workload.requests);
  state.counters["requests_per_s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
}
BENCHMARK(loop_of_sixteen)->Unit(benchmark::kMillisecond);

// The beginning of a day of a thousand boxes that take turns, 1157 requests a second in all, by so many threads: a
// day is 100,000,000 (`tinderbox simulate --boxes 1000 --requests 100000000 --rate 1157`).
void a_thousand_boxes(benchmark::State& state) {
  const StepModel model = spark_with_qwen();
  SimulateOptions options{
      .workload = {.requests = 2'000'000, .rate = 1157, .prompt = 512, .gen = 128, .seed = 1}};
  options.boxes = 1000;
  options.n_threads = static_cast<int>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(simulate(model, options).report.finished);
  const auto n = static_cast<double>(state.iterations() * options.workload.requests);
  state.counters["requests_per_s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
}
BENCHMARK(a_thousand_boxes)->Arg(1)->Arg(2)->Unit(benchmark::kSecond)->Iterations(1)->UseRealTime();

// The same with all that the scheduler can do: conversations of three turns after a common beginning found in the
// prefix cache, priorities, fairness between keys, deadlines, and so little memory that it preempts; the second
// time with heat and power.
void million_requests_with_everything(benchmark::State& state) {
  const StepModel model = spark_with_qwen();
  SimulateOptions options{.workload = {.requests = 1'000'000, .rate = 3, .prompt = 512, .gen = 128, .seed = 1}};
  options.workload.shared_prefix = 256;
  options.workload.turns = 3;
  options.workload.keys = 8;
  options.workload.priorities = 3;
  options.workload.timeout = 600;
  options.kv_tokens = 12'000;
  options.fair = true;
  if (state.range(0) == 1) options.body = BodyOptions{};
  Report report;
  for (auto _ : state) report = simulate(model, options).report;
  const auto n = static_cast<double>(state.iterations() * options.workload.requests);
  state.counters["requests_per_s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
  state.counters["preemptions"] = static_cast<double>(report.preemptions);
  state.counters["prefix_hits"] =
      static_cast<double>(report.prefix_hit_tokens) / static_cast<double>(report.prefix_tokens);
}
BENCHMARK(million_requests_with_everything)->Arg(0)->Arg(1)->Unit(benchmark::kSecond)->Iterations(1);

// The loop and the scheduler one step after the other, without a price: what a server pays.
void loop_without_twin(benchmark::State& state) {
  class Free final : public Executor {
   public:
    StepResult run(const Step& step, TimePoint start) override {
      StepResult result{.end = start + Duration(1'000'000), .sampled = {}, .lateness = {}};
      for (const StepItem& item : step.items) {
        if (item.samples) result.sampled.push_back(0);
      }
      return result;
    }
  } executor;
  const WorkloadOptions workload = {.requests = 10'000, .rate = 400, .prompt = 512, .gen = 128};
  for (auto _ : state) {
    Scheduler scheduler({.sequences_max = 256, .queue_max = 10'000}, KvPool(256 * 40, 16));
    GeneratedArrivals arrivals(workload);
    VirtualClock clock;
    Recorder recorder;
    run_loop(scheduler, executor, arrivals, clock, recorder);
    benchmark::DoNotOptimize(recorder.report());
  }
  const auto n = static_cast<double>(state.iterations() * workload.requests);
  state.counters["requests_per_s"] = benchmark::Counter(n, benchmark::Counter::kIsRate);
}
BENCHMARK(loop_without_twin)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tinderbox
