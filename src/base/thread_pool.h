// Fork-join over a fixed set of threads: parallel_for splits [0, n) into one contiguous range a worker, the
// caller being worker 0. Workers spin briefly, then park. Results never depend on the number of threads as
// long as the body writes disjoint outputs. One caller at a time; not re-entrant.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace tinderbox {

// A non-owning reference to a callable, so that a parallel region allocates nothing.
class RangeBody {
 public:
  template <typename F>
  RangeBody(F& body)  // NOLINT: implicit on purpose
      : object_(&body), call_([](void* f, std::size_t begin, std::size_t end, int worker) {
          (*static_cast<F*>(f))(begin, end, worker);
        }) {}
  void operator()(std::size_t begin, std::size_t end, int worker) const {
    call_(object_, begin, end, worker);
  }

 private:
  void* object_;
  void (*call_)(void*, std::size_t, std::size_t, int);
};

class ThreadPool {
 public:
  // n_threads counts the caller; 0 means the processors this process may use.
  explicit ThreadPool(int n_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls body(begin, end, worker) once for each worker with a non-empty share; boundaries are multiples of
  // `grain` except the last. Returns when all are done. body must not throw.
  template <typename F>
  void parallel_for(std::size_t n, std::size_t grain, F&& body) {
    run(n, grain, RangeBody(body));
  }

 private:
  void run(std::size_t n, std::size_t grain, RangeBody body);
  void work(int worker);
  void share(int worker);

  std::vector<std::thread> threads_;
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stop_{false};
  std::size_t n_ = 0, grain_ = 1;
  const RangeBody* body_ = nullptr;
};

// Processors this process may run on.
int n_processors();

}  // namespace tinderbox
