// Who waits to run: by priority, then by key if keys are treated fairly, then by submission. A
// preempted sequence comes back to its place, before all that were submitted later. Owned by the
// scheduler.
#pragma once

#include <deque>
#include <map>
#include <utility>

#include "sched/decode_group.h"
#include "sched/service.h"

namespace tinderbox {

class WaitingQueue {
 public:
  explicit WaitingQueue(bool fair) : fair_(fair) {}

  void push(Sequence& s);
  void erase(Sequence& s);
  std::int64_t size() const { return n_; }
  bool empty() const { return n_ == 0; }
  // Of the best priority, the key that has been served least (all are one unless fair), the first
  // of its own. Requires that it is not empty.
  Sequence& first(const Service& service, std::int64_t step) const;
  // Does somebody of this key wait? Requires fairness.
  bool any_of(std::uint64_t key) const;
  // What the least served key of those who wait has had. Requires fairness and somebody who waits.
  std::int64_t least_served(const Service& service, std::int64_t step) const;
  // In order of priority, key, submission.
  template <typename F>
  void for_each(F&& f) const {
    for (const auto& [lane, queue] : lanes_) {
      for (Sequence* s : queue) f(*s);
    }
  }

 private:
  using Lane = std::pair<std::int32_t, std::uint64_t>;
  Lane lane_of(const Sequence& s) const { return {s.request.priority, fair_ ? s.request.key : 0}; }

  bool fair_;
  std::int64_t n_ = 0;
  std::map<Lane, std::deque<Sequence*>> lanes_;  // by submission; a few may be empty
};

}  // namespace tinderbox
