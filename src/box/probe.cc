#include "box/probe.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/dequantise.h"
#include "engine/float_bits.h"
#include "engine/kernels/matmul.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

constexpr double kSecondsMax = 3600;
constexpr int kThreadsMax = 1024;
constexpr std::size_t kStorageBytes = std::size_t{128} << 20;
constexpr std::size_t kTransferBytes = std::size_t{4} << 20;  // of one read or write
constexpr std::size_t kPageBytes = 4096;                      // alignment that direct reads need
constexpr int kRegions = 50;                                  // parallel regions of one repetition
constexpr std::uint64_t kProducts = 2'000'000;                // dependent products of one repetition

// Calls once(), which returns a reading, until the seconds are over and often enough.
template <typename Once>
ProbeReading repeat(const Clock& clock, double seconds, bool largest, Once once) {
  std::vector<double> values;
  const TimePoint start = clock.now();
  while (values.size() < kProbeRepetitions ||
         (to_seconds(clock.now() - start).value() < seconds && values.size() < 10'000)) {
    values.push_back(once());
  }
  std::ranges::sort(values);
  return {.best = largest ? values.back() : values.front(),
          .median = values[values.size() / 2],
          .n = static_cast<int>(values.size())};
}

template <typename Body>
double seconds_of(const Clock& clock, Body body) {
  const TimePoint start = clock.now();
  body();
  return std::max(to_seconds(clock.now() - start).value(), 1e-9);
}

// Hands a result to nobody, so that the loop that made it must run.
void consume(std::uint64_t value) { __asm__ volatile("" : : "r"(value) : "memory"); }

// A 64-bit product takes 3 clocks on x86-64 since 2008 and on most ARM cores. Where it does not, the clock is wrong
// and the rates per clock with it, but not their product, which is all that prices use.
constexpr double kProductClocks = 3;

ProbeReading measure_clock(ThreadPool& pool, const Clock& clock, double seconds) {
  const auto n_threads = static_cast<std::size_t>(pool.n_threads());
  return repeat(clock, seconds, true, [&] {
    const double s = seconds_of(clock, [&] {
      pool.parallel_for(n_threads, 1, [](std::size_t begin, std::size_t, int) {
        std::uint64_t x = begin + 3;
        for (std::uint64_t i = 0; i < kProducts; ++i) {
          x *= 0x9e3779b97f4a7c15;
          __asm__ volatile("" : "+r"(x));
        }
        consume(x);
      });
    });
    return static_cast<double>(kProducts) * kProductClocks / s;
  });
}

// Far more than all caches hold together, at most a quarter of what is free.
std::size_t array_words(const Probe& probe) {
  double caches = 0;
  for (const CacheLevel& c : probe.caches) {
    caches = std::max(caches, c.size.value() * std::ceil(probe.n_cores / std::max(1.0, double(c.n_cores))));
  }
  const double wanted = std::max(8 * caches, 256 * kMiB);
  return static_cast<std::size_t>(std::min(wanted, probe.memory_available.value() / 4)) / 64 * 8;
}

ProbeReading measure_memory(ThreadPool& pool, const Clock& clock, const Probe& probe, double seconds) {
  const std::size_t n = array_words(probe);
  std::unique_ptr<std::uint64_t[]> words;
  try {
    words = std::make_unique_for_overwrite<std::uint64_t[]>(n);
  } catch (const std::bad_alloc&) {
    throw_too_large(format("no memory for an array of {}; free some", human(Bytes(8.0 * static_cast<double>(n)))));
  }
  // Written by the threads that will read it: memory belongs to who touches it first.
  pool.parallel_for(n, 8, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) words[i] = i;
  });
  return repeat(clock, seconds, true, [&] {
    const double s = seconds_of(clock, [&] {
      pool.parallel_for(n, 8, [&](std::size_t begin, std::size_t end, int) {
        consume(sum_words({words.get() + begin, end - begin}));
      });
    });
    return 8.0 * static_cast<double>(n) / s;
  });
}

ProbeReading measure_product(ThreadPool& pool, const Clock& clock, DType dtype, double seconds) {
  ProbeProduct product(dtype, pool.n_threads());
  product.run(pool);
  return repeat(clock, seconds, true, [&] {
    return product.flops().value() / seconds_of(clock, [&] { product.run(pool); });
  });
}

ProbeReading measure_fork_join(ThreadPool& pool, const Clock& clock, double seconds) {
  const auto n = static_cast<std::size_t>(pool.n_threads());
  return repeat(clock, seconds, false, [&] {
    const double s = seconds_of(clock, [&] {
      for (int i = 0; i < kRegions; ++i) {
        pool.parallel_for(n, 1, [](std::size_t begin, std::size_t, int) { consume(begin); });
      }
    });
    return s / kRegions;
  });
}

// A file that goes away with its owner.
class ScratchFile {
 public:
  explicit ScratchFile(const fs::path& folder) : path_((folder / "tinderbox-probe-XXXXXX").string()) {
    fd_ = ::mkstemp(path_.data());
    if (fd_ < 0) {
      throw_invalid(format("{}: cannot write a file to measure storage with: {}; give a folder with space and rights",
                           folder.string(), std::strerror(errno)));
    }
  }
  ~ScratchFile() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
};

void read_all(int fd, std::byte* buffer, const std::string& path) {
  for (std::size_t at = 0; at < kStorageBytes;) {
    const auto n = ::pread(fd, buffer, kTransferBytes, static_cast<off_t>(at));
    if (n <= 0) throw_invalid(format("{}: cannot read back what was written: {}", path, std::strerror(errno)));
    at += static_cast<std::size_t>(n);
  }
}

void measure_storage(const Clock& clock, const fs::path& folder, double seconds, Probe& probe) {
  const ScratchFile file(folder);
  std::vector<std::byte> memory(kTransferBytes + kPageBytes, std::byte{0x5a});
  void* aligned = memory.data();
  std::size_t space = memory.size();
  CHECK(std::align(kPageBytes, kTransferBytes, aligned, space) != nullptr);
  auto* buffer = static_cast<std::byte*>(aligned);
  const auto rate = static_cast<double>(kStorageBytes);
  probe.storage_write = repeat(clock, seconds / 2, true, [&] {
    return rate / seconds_of(clock, [&] {
      for (std::size_t at = 0; at < kStorageBytes;) {
        const auto n = ::pwrite(file.fd(), buffer, kTransferBytes, static_cast<off_t>(at));
        if (n <= 0) {
          throw_invalid(format("{}: cannot write {}: {}; free some space", folder.string(), human(Bytes(rate)),
                               std::strerror(errno)));
        }
        at += static_cast<std::size_t>(n);
      }
      ::fsync(file.fd());
    });
  });
  const int direct = ::open(file.path().c_str(), O_RDONLY | O_DIRECT);  // not on every file system
  const int fd = direct >= 0 ? direct : file.fd();
  probe.storage_read = repeat(clock, seconds / 2, true, [&] {
    ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED);
    return rate / seconds_of(clock, [&] { read_all(fd, buffer, file.path()); });
  });
  if (direct >= 0) ::close(direct);
}

// A file of /proc or /sys, which cannot be mapped; empty if there is none.
std::string read_system(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The value of the first line "key : value".
std::string value_of(std::string_view text, std::string_view key) {
  for (const std::string& line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && trim(std::string_view(line).substr(0, colon)) == key) {
      return std::string(trim(std::string_view(line).substr(colon + 1)));
    }
  }
  return {};
}

// "23 kB" of /proc/meminfo, which means KiB.
double kib_of(std::string_view meminfo, std::string_view key) {
  const std::string text = value_of(meminfo, key);
  const auto n = parse_int(trim(std::string_view(text).substr(0, text.find(' '))));
  if (!n) throw_not_found(format("/proc/meminfo: no line {} in kB; `probe` needs Linux", key));
  return static_cast<double>(*n) * kKiB;
}

// Cores in a list such as "0-3,8".
int cores_of_list(std::string_view text) {
  int n = 0;
  for (const std::string& part : split(trim(text), ',')) {
    const std::size_t dash = part.find('-');
    const auto first = parse_int(trim(std::string_view(part).substr(0, dash)));
    const auto last = dash == std::string::npos ? first : parse_int(trim(std::string_view(part).substr(dash + 1)));
    if (first && last) n += static_cast<int>(*last - *first) + 1;
  }
  return std::max(n, 1);
}

std::vector<CacheLevel> read_caches() {
  std::vector<CacheLevel> caches;
  for (int i = 0; i < 8; ++i) {
    const std::string at = format("/sys/devices/system/cpu/cpu0/cache/index{}/", i);
    const auto attribute = [&](const char* name) {
      return std::string(trim(read_system((at + name).c_str())));
    };
    const auto level = parse_int(attribute("level"));
    const std::string size = attribute("size");
    if (!level || !size.ends_with('K') || attribute("type") == "Instruction") continue;
    const auto kib = parse_int(std::string_view(size).substr(0, size.size() - 1));
    if (!kib || *kib < 1) continue;
    caches.push_back({.level = static_cast<int>(*level),
                      .size = Bytes(static_cast<double>(*kib) * kKiB),
                      .n_cores = cores_of_list(attribute("shared_cpu_list"))});
  }
  return caches;
}

void read_system(Probe& probe) {
  const std::string cpuinfo = read_system("/proc/cpuinfo");
  for (const char* key : {"model name", "Model", "Hardware", "CPU part"}) {
    if (probe.cpu.empty()) probe.cpu = value_of(cpuinfo, key);
  }
  if (probe.cpu.empty()) probe.cpu = "a processor without name";
  const std::string meminfo = read_system("/proc/meminfo");
  probe.memory_size = Bytes(kib_of(meminfo, "MemTotal"));
  probe.memory_available = Bytes(kib_of(meminfo, "MemAvailable"));
  // A container may hold less than the computer.
  const std::string limit = read_system("/sys/fs/cgroup/memory.max");
  if (const auto bytes = parse_int(trim(limit)); bytes && *bytes > 0) {
    probe.memory_size = std::min(probe.memory_size, Bytes(static_cast<double>(*bytes)));
  }
  probe.memory_available = std::min(probe.memory_available, probe.memory_size);
  probe.caches = read_caches();
}

}  // namespace

std::uint64_t sum_words(std::span<const std::uint64_t> words) {
  std::uint64_t sums[8] = {};  // independent, so that additions do not wait for each other
  std::size_t i = 0;
  for (; i + 8 <= words.size(); i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  for (; i < words.size(); ++i) sums[0] += words[i];
  std::uint64_t sum = 0;
  for (const std::uint64_t s : sums) sum += s;
  return sum;
}

struct ProbeProduct::Impl {
  PackedMatrix weights;
  std::vector<std::byte> x;
  std::vector<float> out;
  std::vector<const void*> x_rows{};
  std::vector<float*> out_rows{};
};

ProbeProduct::ProbeProduct(DType dtype, int n_threads) {
  CHECK((dtype == DType::F32 || dtype == DType::Q8_0) && n_threads >= 1);
  const std::int64_t rows = kThreadRows * n_threads;
  const std::size_t stride = row_bytes(dtype, kCols);
  std::vector<std::byte> source(static_cast<std::size_t>(rows) * stride);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::byte* row = source.data() + static_cast<std::size_t>(r) * stride;
    for (std::int64_t c = 0; c < kCols; ++c) {
      const auto code = static_cast<std::int8_t>((r + c) % 5 - 2);
      if (dtype == DType::F32) {
        const auto value = static_cast<float>(code);
        std::memcpy(row + 4 * c, &value, 4);
      } else {  // blocks of 32 codes after their scale in F16
        const std::uint16_t one = f32_to_f16(1.0f);
        std::memcpy(row + c / 32 * 34, &one, 2);
        row[c / 32 * 34 + 2 + c % 32] = static_cast<std::byte>(code);
      }
    }
  }
  impl_ = std::make_unique<Impl>(Impl{.weights = PackedMatrix(dtype, 1, rows, kCols),
                                      .x = {},
                                      .out = std::vector<float>(static_cast<std::size_t>(kTokens * rows))});
  PackedMatrix& w = impl_->weights;
  for (std::int64_t p = 0; p < w.n_panels(); ++p) w.fill(source.data(), 0, p);
  const bool quantised = w.layout().quantised;
  const std::size_t x_stride = prepared_row_bytes(quantised, kCols);
  const std::vector<float> ones(kCols, 1.0f);
  impl_->x.resize(kTokens * x_stride);
  for (std::int64_t t = 0; t < kTokens; ++t) {
    std::byte* row = impl_->x.data() + static_cast<std::size_t>(t) * x_stride;
    if (quantised) {
      quantise(ones.data(), kCols, reinterpret_cast<ActBlock*>(row));
    } else {
      std::memcpy(row, ones.data(), x_stride);
    }
    impl_->x_rows.push_back(row);
    impl_->out_rows.push_back(impl_->out.data() + t * rows);
  }
}

ProbeProduct::~ProbeProduct() = default;

void ProbeProduct::run(ThreadPool& pool) {
  const MatMul product{&impl_->weights, 0, nullptr, impl_->x_rows, impl_->out_rows};
  pool.parallel_for(static_cast<std::size_t>(impl_->weights.n_panels()), 1,
                    [&](std::size_t begin, std::size_t end, int) {
                      matmul_panels(product, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end));
                    });
}

Flops ProbeProduct::flops() const {
  return Flops(2.0 * static_cast<double>(kTokens * kCols) * static_cast<double>(impl_->weights.rows()));
}

std::span<const float> ProbeProduct::out() const { return impl_->out; }

Probe probe_computer(const ProbeOptions& options, const Clock& clock, const ProbeProgress& progress) {
  if (!(options.seconds > 0 && options.seconds <= kSecondsMax)) {
    throw_invalid(format("seconds {}: expected more than 0, at most {}", options.seconds, kSecondsMax));
  }
  if (options.n_threads < 0 || options.n_threads > kThreadsMax) {
    throw_invalid(format("threads {}: expected 0 to {}", options.n_threads, kThreadsMax));
  }
  const auto say = [&](const char* what) {
    if (progress) progress(what);
  };
  ThreadPool pool(options.n_threads);
  Probe probe;
  probe.n_cores = pool.n_threads();
  read_system(probe);
  say("storage");
  measure_storage(clock, options.folder, 0.15 * options.seconds, probe);
  say("clock");
  probe.clock = measure_clock(pool, clock, 0.05 * options.seconds);
  say("fork and join");
  probe.fork_join = measure_fork_join(pool, clock, 0.1 * options.seconds);
  say("memory");
  probe.memory_read = measure_memory(pool, clock, probe, 0.3 * options.seconds);
  say("products in f32");
  probe.f32 = measure_product(pool, clock, DType::F32, 0.2 * options.seconds);
  say("products in q8_0");
  probe.int8 = measure_product(pool, clock, DType::Q8_0, 0.2 * options.seconds);
  return probe;
}

}  // namespace tinderbox
