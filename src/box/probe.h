// Measures this computer the way the engine uses it, and writes what it finds as a machine file, so that the twin can
// predict `tinderbox bench`. Rates are those of the engine's own kernels (a product out of the caches for each kind of
// arithmetic) and of one read of memory by all threads. Other work on the computer only ever slows a reading down, so
// the best of several repetitions counts and the median says how noisy it was. Linux only (/proc, /sys).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "model/dtype.h"

namespace tinderbox {

// What n repetitions gave, in base units; best: the largest of rates, the smallest of times.
struct ProbeReading {
  double best = 0, median = 0;
  int n = 0;
};

struct CacheLevel {
  int level = 0;
  Bytes size{};     // of one of them
  int n_cores = 0;  // that share it
};

struct Probe {
  std::string cpu;  // its name
  int n_cores = 0;  // that this process may use
  std::vector<CacheLevel> caches{};  // data and unified, of the first core; empty where the system does not tell
  Bytes memory_size{}, memory_available{};
  ProbeReading clock{};          // Hz of one core, all of them busy
  ProbeReading memory_read{};    // B/s, all cores
  ProbeReading f32{}, int8{};    // FLOP/s of products with F32 and with Q8_0 weights, all cores
  ProbeReading fork_join{};      // s of an empty parallel region
  ProbeReading storage_read{}, storage_write{};  // B/s, past the page cache where the file system allows it
};

struct ProbeOptions {
  double seconds = 20;  // about; at least kProbeRepetitions of everything
  int n_threads = 0;    // 0: all processors
  std::filesystem::path folder = ".";  // whose storage is measured, with a file that is removed again
};
inline constexpr int kProbeRepetitions = 3;

// Called with what is being measured.
using ProbeProgress = std::function<void(const std::string& what)>;

// Throws Error::Invalid if seconds or threads are out of range or the folder takes no file, Error::NotFound without
// /proc, Error::TooLarge without memory for the arrays.
Probe probe_computer(const ProbeOptions& options, const Clock& clock, const ProbeProgress& progress = {});

// A file that parse_machine accepts. date: of the measurement, "2026-11-02". Powers, which no probe reads, are 0 and
// say so.
std::string machine_toml(const Probe& probe, std::string_view id, std::string_view date);
// One JSON document in one line, in base units.
std::string probe_json(const Probe& probe);

// The loops that are timed, for tests.

// Sum modulo 2^64 of all words.
std::uint64_t sum_words(std::span<const std::uint64_t> words);

// A product of kTokens rows of ones with a matrix that stays in the cache: weight (row, column) is
// (row + column) % 5 - 2. F32 or Q8_0, computed by the engine's kernels with as many rows a thread on any computer.
class ProbeProduct {
 public:
  static constexpr std::int64_t kTokens = 96, kCols = 512, kThreadRows = 256;

  ProbeProduct(DType dtype, int n_threads);
  ~ProbeProduct();
  ProbeProduct(const ProbeProduct&) = delete;
  ProbeProduct& operator=(const ProbeProduct&) = delete;

  void run(ThreadPool& pool);
  Flops flops() const;
  std::span<const float> out() const;  // (kTokens, rows)

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tinderbox
