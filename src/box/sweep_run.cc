#include "box/sweep_run.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "base/thread_pool.h"

namespace tinderbox {
namespace {

// What a thread has to say: a row, or that it has ended, and of what.
struct Finished {
  SweepRow row = {};
  bool ended = false;
  std::exception_ptr failure = {};
  Finished* next = nullptr;  // of the list it is in; owned by the list
};

// Many threads push, one takes all: a list whose head is exchanged (Treiber 1986).
class FinishedList {
 public:
  FinishedList() = default;
  ~FinishedList() { take(false); }
  FinishedList(const FinishedList&) = delete;
  FinishedList& operator=(const FinishedList&) = delete;

  void push(std::unique_ptr<Finished> finished) {
    Finished* node = finished.release();
    node->next = head_.load(std::memory_order_relaxed);
    while (!head_.compare_exchange_weak(node->next, node, std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
    head_.notify_one();
  }

  // All there is, first in first; with wait: at least one.
  std::vector<std::unique_ptr<Finished>> take(bool wait) {
    if (wait) head_.wait(nullptr, std::memory_order_acquire);
    std::vector<std::unique_ptr<Finished>> all;
    for (Finished* node = head_.exchange(nullptr, std::memory_order_acquire); node != nullptr;) {
      Finished* next = node->next;
      all.emplace_back(node);
      node = next;
    }
    std::reverse(all.begin(), all.end());
    return all;
  }

 private:
  std::atomic<Finished*> head_{nullptr};
};

struct Shared {
  std::span<const std::int64_t> points = {};
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  FinishedList finished;
};

void work(Shared& shared, const std::function<RunPoint()>& make_runner) {
  auto end = std::make_unique<Finished>();
  end->ended = true;
  try {
    const RunPoint run = make_runner();
    while (!shared.stop.load(std::memory_order_relaxed)) {
      const std::size_t i = shared.next.fetch_add(1, std::memory_order_relaxed);
      if (i >= shared.points.size()) break;
      auto finished = std::make_unique<Finished>();
      finished->row = run(shared.points[i]);
      shared.finished.push(std::move(finished));
    }
  } catch (...) {
    end->failure = std::current_exception();
  }
  shared.finished.push(std::move(end));
}

}  // namespace

void run_points(std::span<const std::int64_t> points, int n_threads,
                const std::function<RunPoint()>& make_runner, const KeepRows& keep) {
  if (points.empty()) return;
  const std::size_t wanted = static_cast<std::size_t>(n_threads > 0 ? n_threads : n_processors());
  Shared shared;
  shared.points = points;
  std::vector<std::thread> threads;
  std::exception_ptr failure;
  bool keeps = true;
  while (threads.size() < std::min(wanted, points.size())) {
    try {
      threads.emplace_back([&] { work(shared, make_runner); });
    } catch (
        const std::system_error&) {  // no more threads are to be had: go on with those there are
      if (threads.empty()) throw;
      break;
    }
  }
  std::size_t n_running = threads.size();
  while (n_running > 0) {
    std::vector<SweepRow> rows;
    for (std::unique_ptr<Finished>& finished : shared.finished.take(true)) {
      if (!finished->ended) {
        rows.push_back(std::move(finished->row));
        continue;
      }
      --n_running;
      if (!finished->failure) continue;
      shared.stop = true;
      if (!failure) failure = finished->failure;
    }
    try {
      if (!rows.empty() && keeps) keep(rows);
    } catch (...) {
      keeps = false;
      shared.stop = true;
      if (!failure) failure = std::current_exception();
    }
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace tinderbox
