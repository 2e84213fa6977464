// Which models a box holds at a time: several share one memory; who is asked for is loaded, and others give way. A
// pure state machine, like the scheduler, of which every model has its own: it is told the time, and counts bytes.
//
// Models are loaded in the order in which they came to be wanted, as many at a time as fit. For the first that does
// not fit others give way, those that rest first, of these the longest unused; one that works is closed: it takes
// nothing new, and goes when it has done what it had. Whoever is wanted is therefore loaded in the end, however busy
// the others are. Pinned ones are there from the beginning, or from when they are pinned, and stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/clock.h"

namespace tinderbox {

class ModelPool {
 public:
  struct Model {
    std::int64_t bytes = 0;  // all that it needs in memory: weights, KV, what the stack adds
    Duration load{};         // from when there is room for it to its first step
    bool pinned = false;
  };
  enum class State : std::uint8_t { Absent, Loading, Ready, Closed };  // the last three hold their bytes
  struct Counters {
    std::int64_t loads = 0;      // that have begun; not of those that were there from the beginning
    std::int64_t evictions = 0;  // to make room
    std::int64_t expiries = 0;   // after resting for keep_alive
  };

  // At the beginning those are there that fit, the pinned ones first, in order. Requires that each fits beside all
  // that are pinned. keep_alive: who rests so long is unloaded, if it is not pinned.
  ModelPool(std::int64_t bytes, std::vector<Model> models, Duration keep_alive = Duration::max());

  // Something for it has come. true: it is there to take it; false: it is loaded as soon as it can be.
  bool want(std::size_t model, TimePoint now);
  // It has done what it had.
  void rest(std::size_t model, TimePoint now);
  // It is not to be kept: goes when it has done what it had, at once if that is nothing. Nothing happens to one that
  // is pinned or not there, and one that is loading comes first.
  void drop(std::size_t model, TimePoint now);
  // Whether it stays. false: that cannot be: others that are pinned leave no room for it, or it would leave none for
  // another; nothing changed. One that is pinned and not there is wanted.
  bool pin(std::size_t model, bool pinned, TimePoint now);
  // Those whose load is over by then: there, and working on what waited for them, even if they are Closed at once
  // because others wait.
  std::vector<std::size_t> advance(TimePoint now);
  // When there is something for advance() to do; TimePoint::max(): not before somebody is wanted or rests.
  TimePoint next() const;

  std::size_t size() const { return models_.size(); }
  State state(std::size_t model) const { return entries_[model].state; }
  const Model& model(std::size_t model) const { return models_[model]; }
  std::int64_t bytes() const { return bytes_; }
  std::int64_t bytes_used() const { return used_; }
  std::int64_t bytes_peak() const { return peak_; }
  const Counters& counters(std::size_t model) const { return entries_[model].counters; }
  // CHECKs the laws: bytes conserved and never too many, pinned ones there, who is wanted is on its way.
  void verify() const;

 private:
  struct Entry {
    State state = State::Absent;
    bool wanted = false;  // in the queue
    bool works = false;
    TimePoint used{};   // last wanted, or at rest since
    TimePoint ready{};  // of Loading
    Counters counters{};
  };

  void settle(TimePoint now);
  std::int64_t bytes_free_soon() const;  // once all Closed ones are gone
  // false: there is nobody to make room, or enough have been closed.
  bool make_room(std::int64_t bytes);
  void unload(std::size_t model);
  TimePoint expiry(std::size_t model) const;

  std::int64_t bytes_, used_ = 0, peak_ = 0;
  std::vector<Model> models_;
  Duration keep_alive_;
  std::vector<Entry> entries_;
  std::deque<std::size_t> queue_;  // wanted and not yet Loading
};

}  // namespace tinderbox
