#include "box/probe.h"

#include <filesystem>
#include <numeric>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "machine/machine.h"

namespace tinderbox {
namespace {

Probe example() {
  const auto reading = [](double best, double median) { return ProbeReading{.best = best, .median = median, .n = 5}; };
  return {.cpu = "A \"CPU\" \\ 1",
          .n_cores = 4,
          .caches = {{.level = 1, .size = Bytes(32 * kKiB), .n_cores = 1},
                     {.level = 2, .size = Bytes(kMiB), .n_cores = 2},
                     {.level = 3, .size = Bytes(16 * kMiB), .n_cores = 8}},
          .memory_size = Bytes(16 * kGiB),
          .memory_available = Bytes(10 * kGiB),
          .clock = reading(4.1e9, 4.0e9),
          .memory_read = reading(43.21e9, 40e9),
          .f32 = reading(512.3e9, 500e9),
          .int8 = reading(640.7e9, 630e9),
          .fork_join = reading(1.25e-6, 1.4e-6),
          .storage_read = reading(2.5e9, 2.4e9),
          .storage_write = reading(900e6, 880e6)};
}

TEST(Probe, MachineFileReadsBack) {
  const Probe p = example();
  const Machine m = parse_machine(machine_toml(p, "this-computer", "2026-11-02"), "test");
  EXPECT_EQ(m.id, "this-computer");
  EXPECT_EQ(m.name, p.cpu);
  EXPECT_EQ(m.n_units, 4);
  EXPECT_NEAR(m.peak(MathType::F32, m.clock_heavy).value(), p.f32.best, 2e-4 * p.f32.best);
  EXPECT_NEAR(m.peak(MathType::INT8, m.clock_light).value(), p.int8.best, 2e-4 * p.int8.best);
  EXPECT_EQ(m.peak(MathType::F16, m.clock_light).value(), 0);
  EXPECT_NEAR(m.memory_bandwidth.value(), 43.21e9, 1e6);
  EXPECT_NEAR(m.memory_read_bandwidth.value(), 40e9, 1e6);
  EXPECT_EQ(m.memory_size, p.memory_size);
  EXPECT_EQ(m.memory_safe, p.memory_available);
  EXPECT_EQ(m.l2_size, Bytes(16 * kMiB));  // the last level: one for 8 cores
  EXPECT_NEAR(m.kernel_launch.value(), 1.25e-6, 1e-10);
  EXPECT_NEAR(m.storage_read.value(), 2.5e9, 1e6);
  ASSERT_EQ(m.sources.size(), 1u);
  EXPECT_EQ(m.sources[0].date, "2026-11-02");
  EXPECT_NE(m.sources[0].address.find(p.cpu), std::string::npos);
}

TEST(Probe, MachineFileWithoutCaches) {
  Probe p = example();
  p.caches.clear();
  EXPECT_NO_THROW(parse_machine(machine_toml(p, "x", "2026-11-02"), "test"));
}

TEST(Probe, JsonHoldsTheReadings) {
  const auto json = nlohmann::json::parse(probe_json(example()));
  EXPECT_EQ(json["n_cores"], 4);
  EXPECT_EQ(json["caches"].size(), 3u);
  EXPECT_DOUBLE_EQ(json["memory_read_bytes_per_s"]["median"], 40e9);
  EXPECT_DOUBLE_EQ(json["fork_join_s"]["best"], 1.25e-6);
}

TEST(Probe, SumsWords) {
  for (const std::size_t n : {0u, 1u, 7u, 8u, 1003u}) {
    std::vector<std::uint64_t> words(n);
    std::iota(words.begin(), words.end(), std::uint64_t{1} << 62);  // wraps
    EXPECT_EQ(sum_words(words), std::accumulate(words.begin(), words.end(), std::uint64_t{0})) << n;
  }
}

// The timed products are real ones: small whole numbers, exact in F32; activations of 14 bits round 1 to within 2^-13.
TEST(Probe, ProductsAreRight) {
  ThreadPool pool(2);
  for (const DType dtype : {DType::F32, DType::Q8_0}) {
    ProbeProduct product(dtype, 2);
    product.run(pool);
    const std::int64_t rows = 2 * ProbeProduct::kThreadRows;
    EXPECT_DOUBLE_EQ(product.flops().value(),
                     2.0 * ProbeProduct::kTokens * ProbeProduct::kCols * static_cast<double>(rows));
    ASSERT_EQ(product.out().size(), static_cast<std::size_t>(ProbeProduct::kTokens * rows));
    for (std::int64_t i = 0; i < ProbeProduct::kTokens * rows; ++i) {
      const std::int64_t row = i % rows;
      int sum = 0, magnitude = 0;
      for (std::int64_t c = 0; c < ProbeProduct::kCols; ++c) {
        const int w = static_cast<int>((row + c) % 5) - 2;
        sum += w;
        magnitude += std::abs(w);
      }
      const double tolerance = dtype == DType::F32 ? 0 : magnitude / 8192.0;
      ASSERT_NEAR(product.out()[static_cast<std::size_t>(i)], sum, tolerance) << i;
    }
  }
}

TEST(Probe, RefusesBadOptions) {
  const VirtualClock clock;
  EXPECT_THROW(probe_computer({.seconds = 0}, clock), Error);
  EXPECT_THROW(probe_computer({.seconds = 1e9}, clock), Error);
  EXPECT_THROW(probe_computer({.n_threads = -1}, clock), Error);
  EXPECT_THROW(probe_computer({.folder = "/nonexistent/folder"}, clock), Error);
}

}  // namespace
}  // namespace tinderbox
