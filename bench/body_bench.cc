// How much faster than real time a box warms: seconds of virtual time a second.
#include <string>

#include <benchmark/benchmark.h>

#include "base/mapped_file.h"
#include "box/soak.h"
#include "machine/machine.h"

namespace tinderbox {
namespace {

const BodyFacts& spark() {
  static const BodyFacts body =
      *parse_machine(read_file(std::string(TINDERBOX_SOURCE_DIR) + "/data/machines/dgx-spark.toml"),
                     "dgx-spark")
           .body;
  return body;
}

// Large products: the clock hangs at the module's power limit, so that every tick looks for one.
Load gemm() {
  Load load;
  load.clock = Hertz(2450e6);
  load.flops[static_cast<std::size_t>(MathType::F16)] = 108e12;
  load.memory_bytes = 60e9;
  load.gpu_busy = load.compute_share = 1;
  load.cpu_p_busy = 0.16;
  load.awake = true;
  return load;
}

Load decode() {
  Load load = gemm();
  load.flops = {};
  load.memory_bytes = 215e9;
  load.compute_share = 0;
  load.memory_share = 1;
  return load;
}

void body_hour(benchmark::State& state, const Load& load) {
  for (auto _ : state) {
    Body body(spark());
    body.set_load(load);
    body.advance(std::chrono::hours(1));
    benchmark::DoNotOptimize(body.state());
  }
  state.counters["real_time"] = benchmark::Counter(3600.0 * static_cast<double>(state.iterations()),
                                                   benchmark::Counter::kIsRate);
}
void BM_BodyHourAtTheLimit(benchmark::State& state) { body_hour(state, gemm()); }
void BM_BodyHourDecoding(benchmark::State& state) { body_hour(state, decode()); }
BENCHMARK(BM_BodyHourAtTheLimit)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_BodyHourDecoding)->Unit(benchmark::kMillisecond);

// An hour of soak as the command makes it: sampled, watched each second, as a chart.
void BM_SoakHour(benchmark::State& state) {
  for (auto _ : state) {
    const SoakReport report = soak(spark(), {{.lasts = std::chrono::hours(1), .load = gemm()}}, {});
    benchmark::DoNotOptimize(time_chart_svg(soak_chart(spark(), report, "", "")));
  }
}
BENCHMARK(BM_SoakHour)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tinderbox
