// More of box/mailbox.h, the one place with locks: a bounded queue between threads that never makes its writers wait,
// and a value that several threads share.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace tinderbox {

// Any number of writers, one reader.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t n_max) : n_max_(n_max) {}

  // false: it is full or closed, and the value is lost. Never waits for the reader.
  bool push(T value) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || values_.size() >= n_max_) return false;
      values_.push_back(std::move(value));
    }
    arrived_.notify_one();
    return true;
  }
  // Blocks until there is something, it is closed, or so long has passed; what comes within `gather` after the first
  // is taken with it. Empty: nothing came.
  std::vector<T> take(Duration wait, Duration gather = {}) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, wait, [&] { return !values_.empty() || closed_; });
    if (!values_.empty() && gather > Duration::zero()) {
      arrived_.wait_for(lock, gather, [&] { return closed_ || hurried_ || values_.size() >= n_max_ / 2; });
    }
    hurried_ = false;
    return std::exchange(values_, {});
  }
  // What is in there is taken at once.
  void hurry() {
    {
      const std::lock_guard lock(mutex_);
      hurried_ = true;
    }
    arrived_.notify_one();
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    arrived_.notify_all();
  }
  bool over() const {
    const std::lock_guard lock(mutex_);
    return closed_ && values_.empty();
  }

 private:
  const std::size_t n_max_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<T> values_;
  bool closed_ = false, hurried_ = false;
};

// A value that one thread at a time may touch.
template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}
  template <typename Body>
  auto with(const Body& body) {
    const std::lock_guard lock(mutex_);
    return body(value_);
  }
  template <typename Body>
  auto with(const Body& body) const {
    const std::lock_guard lock(mutex_);
    return body(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace tinderbox
