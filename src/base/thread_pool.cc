#include "base/thread_pool.h"

#include <algorithm>

#include <sched.h>

namespace tinderbox {

namespace {

// About 20 us: longer than the gap between two kernels of one step, shorter than hurts a busy machine.
constexpr int kSpins = 4000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

int n_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

ThreadPool::ThreadPool(int n_threads) {
  const int n = n_threads > 0 ? n_threads : n_processors();
  for (int worker = 1; worker < n; ++worker) threads_.emplace_back([this, worker] { work(worker); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void ThreadPool::share(int worker) {
  const auto workers = static_cast<std::size_t>(n_threads());
  const std::size_t grains = (n_ + grain_ - 1) / grain_;
  const auto w = static_cast<std::size_t>(worker);
  const std::size_t begin = std::min(n_, grains * w / workers * grain_);
  const std::size_t end = std::min(n_, grains * (w + 1) / workers * grain_);
  if (begin < end) (*body_)(begin, end, worker);
}

void ThreadPool::run(std::size_t n, std::size_t grain, RangeBody body) {
  if (n == 0) return;
  grain = std::max<std::size_t>(1, grain);
  if (threads_.empty() || n <= grain) {
    body(0, n, 0);
    return;
  }
  n_ = n;
  grain_ = grain;
  body_ = &body;
  pending_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  share(0);
  int spins = 0;
  for (int left = pending_.load(std::memory_order_acquire); left != 0;
       left = pending_.load(std::memory_order_acquire)) {
    if (++spins < kSpins) {
      pause();
    } else {
      pending_.wait(left, std::memory_order_acquire);
    }
  }
  body_ = nullptr;
}

void ThreadPool::work(int worker) {
  std::uint32_t seen = 0;
  for (;;) {
    int spins = 0;
    while (epoch_.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        pause();
      } else {
        epoch_.wait(seen, std::memory_order_acquire);
      }
    }
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    share(worker);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
  }
}

}  // namespace tinderbox
