// Kernels alone, one thread: matrix products of every format for one token (decode) and for many
// (prefill), attention over a long cache. Counters: bytes of packed weights and multiply-adds a
// second.
#include <benchmark/benchmark.h>

#include <vector>

#include <hwy/aligned_allocator.h>

#include "base/random.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/matmul.h"
#include "engine/test_weights.h"

namespace tinderbox {
namespace {

// SmolLM2-135M's widest matrix; super-blocks need multiples of 256.
constexpr std::int64_t kRows = 1536, kCols = 768;

void bench_matmul(benchmark::State& state, DType dtype) {
  const auto n_tokens = static_cast<std::size_t>(state.range(0));
  Random random(1, Stream::Test);
  const auto data = test::random_weights(dtype, kRows, kCols, 0.05, random);
  PackedMatrix w(dtype, 1, kRows, kCols);
  for (std::int64_t p = 0; p < w.n_panels(); ++p) w.fill(data.data(), 0, p);
  const auto x = test::random_floats(n_tokens * kCols, 1.0, random);
  std::vector<ActBlock> blocks(x.size() / 32);
  std::vector<float> out(n_tokens * kRows);
  std::vector<const void*> rows_in;
  std::vector<float*> rows_out;
  for (std::size_t t = 0; t < n_tokens; ++t) {
    quantise(&x[t * kCols], kCols, &blocks[t * kCols / 32]);
    const void* quantised = &blocks[t * kCols / 32];
    rows_in.push_back(w.layout().quantised ? quantised : &x[t * kCols]);
    rows_out.push_back(&out[t * kRows]);
  }
  for (auto _ : state) {
    matmul_panels({&w, 0, nullptr, rows_in, rows_out}, 0, w.n_panels());
    benchmark::ClobberMemory();
  }
  const double macs = static_cast<double>(kRows * kCols) * static_cast<double>(n_tokens);
  state.counters["MAC/s"] = benchmark::Counter(macs, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["weight_bytes/s"] = benchmark::Counter(
      static_cast<double>(w.bytes()), benchmark::Counter::kIsIterationInvariantRate);
}

void bench_quantise(benchmark::State& state) {
  Random random(2, Stream::Test);
  const auto x = test::random_floats(kCols, 1.0, random);
  std::vector<ActBlock> blocks(kCols / 32);
  for (auto _ : state) {
    quantise(x.data(), kCols, blocks.data());
    benchmark::ClobberMemory();
  }
  state.counters["values/s"] =
      benchmark::Counter(kCols, benchmark::Counter::kIsIterationInvariantRate);
}

// One kv head of `n_keys` cached positions and as many queries as a task holds, or one.
void bench_attention(benchmark::State& state) {
  const auto n_keys = static_cast<std::int32_t>(state.range(0));
  const auto n_queries = static_cast<std::size_t>(state.range(1));
  ModelConfig m;
  m.n_layers = 1, m.n_kv_heads = 1, m.head_dim = 64;
  KvStore store(m, n_keys / 16, 16);
  Random random(3, Stream::Test);
  std::vector<std::int32_t> blocks;
  for (std::int32_t i = 0; i < n_keys / 16; ++i) blocks.push_back(i);
  for (std::int32_t p = 0; p < n_keys; ++p) {
    const auto row = test::random_floats(64, 1.0, random);
    store.write(0, p / 16, p % 16, row.data(), row.data());
  }
  const auto q = test::random_floats(64, 1.0, random);
  std::vector<float> out(64 * n_queries);
  std::vector<Query> queries;
  for (std::size_t i = 0; i < n_queries; ++i)
    queries.push_back({q.data(), &out[64 * i], n_keys - 1, 0.125f, 0.0f});
  const auto scratch = hwy::AllocateAligned<float>(attention_scratch_floats(64));
  for (auto _ : state) {
    attention({store.layer(0), blocks, 0, 0, false, queries}, scratch.get());
    benchmark::ClobberMemory();
  }
  const double macs = 2.0 * 64.0 * n_keys * static_cast<double>(n_queries);
  state.counters["MAC/s"] = benchmark::Counter(macs, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(bench_matmul, f32, DType::F32)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, f16, DType::F16)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, bf16, DType::BF16)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, q4_0, DType::Q4_0)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, q4_1, DType::Q4_1)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, q8_0, DType::Q8_0)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, q4_k, DType::Q4_K)->Arg(1)->Arg(128);
BENCHMARK_CAPTURE(bench_matmul, q6_k, DType::Q6_K)->Arg(1)->Arg(128);
BENCHMARK(bench_quantise);
BENCHMARK(bench_attention)->Args({2048, 1})->Args({2048, 32});

}  // namespace
}  // namespace tinderbox
