#include "sched/model_pool.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace tinderbox {

ModelPool::ModelPool(std::int64_t bytes, std::vector<Model> models, Duration keep_alive)
    : bytes_(bytes), models_(std::move(models)), keep_alive_(keep_alive), entries_(models_.size()) {
  CHECK(keep_alive_ > Duration(0));
  for (const bool pinned : {true, false}) {
    for (std::size_t i = 0; i < size(); ++i) {
      if (models_[i].pinned != pinned) continue;
      CHECK(models_[i].bytes >= 0 && models_[i].load >= Duration(0));
      const bool fits = models_[i].bytes <= bytes_ - used_;
      CHECK(fits || !pinned);
      if (!fits) continue;
      entries_[i].state = State::Ready;
      used_ += models_[i].bytes;
    }
  }
  peak_ = used_;
  std::int64_t n_pinned = 0;
  for (const Model& m : models_) n_pinned += m.pinned ? m.bytes : 0;
  for (const Model& m : models_) CHECK(m.pinned || m.bytes <= bytes_ - n_pinned);
}

bool ModelPool::want(std::size_t model, TimePoint now) {
  Entry& entry = entries_[model];
  if (entry.state == State::Ready) {
    entry.used = now;
    entry.works = true;
    return true;
  }
  if (!entry.wanted && entry.state != State::Loading) {
    entry.wanted = true;
    queue_.push_back(model);
    settle(now);
  }
  return false;
}

void ModelPool::rest(std::size_t model, TimePoint now) {
  Entry& entry = entries_[model];
  CHECK(entry.works);
  entry.works = false;
  entry.used = now;
  if (entry.state == State::Closed) {
    ++entry.counters.evictions;
    unload(model);
  }
  settle(now);
}

void ModelPool::drop(std::size_t model, TimePoint now) {
  Entry& entry = entries_[model];
  if (models_[model].pinned || entry.state != State::Ready) return;
  if (entry.works) {
    entry.state = State::Closed;
    return;
  }
  ++entry.counters.evictions;
  unload(model);
  settle(now);
}

bool ModelPool::pin(std::size_t model, bool pinned, TimePoint now) {
  if (models_[model].pinned == pinned) return true;
  if (pinned) {
    // Every other one must still fit beside all that stay.
    std::int64_t stay = models_[model].bytes, largest = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      if (i == model) continue;
      if (models_[i].pinned) {
        stay += models_[i].bytes;
      } else {
        largest = std::max(largest, models_[i].bytes);
      }
    }
    if (largest > bytes_ - stay) return false;
    Entry& entry = entries_[model];
    if (entry.state == State::Closed && !entry.wanted) {
      entry.state = State::Ready;  // it was to go, and now is not
    } else if (entry.state == State::Absent || entry.state == State::Closed) {
      models_[model].pinned = true;
      want(model, now);
      return true;
    }
  }
  models_[model].pinned = pinned;
  settle(now);
  return true;
}

std::vector<std::size_t> ModelPool::advance(TimePoint now) {
  std::vector<std::size_t> loaded;
  for (std::size_t i = 0; i < size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.state == State::Loading && entry.ready <= now) {
      entry.state = State::Ready;
      entry.works = true;
      entry.used = now;
      loaded.push_back(i);
    } else if (expiry(i) <= now) {
      ++entry.counters.expiries;
      unload(i);
    }
  }
  settle(now);
  return loaded;
}

TimePoint ModelPool::expiry(std::size_t model) const {
  const Entry& entry = entries_[model];
  const bool rests = entry.state == State::Ready && !entry.works && !models_[model].pinned;
  return rests && keep_alive_ < TimePoint::max() - entry.used ? entry.used + keep_alive_ : TimePoint::max();
}

TimePoint ModelPool::next() const {
  TimePoint next = TimePoint::max();
  for (std::size_t i = 0; i < size(); ++i) {
    next = std::min(next, entries_[i].state == State::Loading ? entries_[i].ready : expiry(i));
  }
  return next;
}

void ModelPool::settle(TimePoint now) {
  while (!queue_.empty()) {
    const std::size_t first = queue_.front();
    Entry& entry = entries_[first];
    // It may itself be one of those that are closed, and goes first.
    if (entry.state == State::Closed) return;
    if (models_[first].bytes > bytes_ - used_) {
      if (make_room(models_[first].bytes)) continue;
      return;
    }
    queue_.pop_front();
    entry.wanted = false;
    entry.state = State::Loading;
    entry.ready = now + models_[first].load;
    ++entry.counters.loads;
    used_ += models_[first].bytes;
    peak_ = std::max(peak_, used_);
  }
}

std::int64_t ModelPool::bytes_free_soon() const {
  std::int64_t free = bytes_ - used_;
  for (std::size_t i = 0; i < size(); ++i) free += entries_[i].state == State::Closed ? models_[i].bytes : 0;
  return free;
}

bool ModelPool::make_room(std::int64_t bytes) {
  if (bytes_free_soon() >= bytes) return false;
  std::optional<std::size_t> victim;
  const auto rank = [&](std::size_t i) { return std::tuple(entries_[i].works, entries_[i].used); };
  for (std::size_t i = 0; i < size(); ++i) {
    if (entries_[i].state != State::Ready || models_[i].pinned) continue;
    if (!victim || rank(i) < rank(*victim)) victim = i;
  }
  if (!victim) return false;  // what is in the way is still loading
  if (entries_[*victim].works) {
    entries_[*victim].state = State::Closed;
  } else {
    ++entries_[*victim].counters.evictions;
    unload(*victim);
  }
  return true;
}

void ModelPool::unload(std::size_t model) {
  entries_[model].state = State::Absent;
  used_ -= models_[model].bytes;
}

void ModelPool::verify() const {
  std::int64_t used = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    const Entry& e = entries_[i];
    used += e.state == State::Absent ? 0 : models_[i].bytes;
    CHECK(!models_[i].pinned || e.state == State::Ready || e.state == State::Loading || e.wanted);
    CHECK(!e.works || e.state == State::Ready || e.state == State::Closed);
    CHECK(e.works || e.state != State::Closed);
    CHECK(e.wanted == (std::ranges::count(queue_, i) == 1));
    CHECK(!e.wanted || e.state == State::Absent || e.state == State::Closed);
  }
  CHECK(used == used_ && used_ <= peak_ && peak_ <= bytes_);
  // Nobody waits where there is room, and whoever waits has been made room for as far as there is any.
  if (queue_.empty() || entries_[queue_.front()].state == State::Closed) return;
  const std::int64_t needed = models_[queue_.front()].bytes;
  CHECK(needed > bytes_ - used_);
  for (std::size_t i = 0; i < size(); ++i) {
    CHECK(bytes_free_soon() >= needed || models_[i].pinned || entries_[i].state != State::Ready);
  }
}

}  // namespace tinderbox
