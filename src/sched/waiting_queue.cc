#include "sched/waiting_queue.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace tinderbox {
namespace {

constexpr std::size_t kLanesKept = 32;  // empty ones among them: the next of the same will come

}  // namespace

void WaitingQueue::push(Sequence& s) {
  std::deque<Sequence*>& lane = lanes_[lane_of(s)];
  if (lane.empty() || lane.back()->order < s.order) {
    lane.push_back(&s);
  } else {
    lane.insert(std::ranges::lower_bound(lane, s.order, {}, &Sequence::order), &s);
  }
  ++n_;
}

void WaitingQueue::erase(Sequence& s) {
  const auto lane = lanes_.find(lane_of(s));
  CHECK(lane != lanes_.end());
  std::deque<Sequence*>& queue = lane->second;
  const auto it = std::ranges::lower_bound(queue, s.order, {}, &Sequence::order);
  CHECK(it != queue.end() && *it == &s);
  queue.erase(it);
  --n_;
  if (queue.empty() && lanes_.size() > kLanesKept) lanes_.erase(lane);
}

Sequence& WaitingQueue::first(const Service& service, std::int64_t step) const {
  CHECK(n_ > 0);
  Sequence* first = nullptr;
  std::int64_t least = 0;
  for (const auto& [lane, queue] : lanes_) {
    if (queue.empty()) continue;
    Sequence* s = queue.front();
    if (first != nullptr && lane.first != first->request.priority) break;
    const std::int64_t served = fair_ ? service.of(s->request.key, step) : 0;
    if (first == nullptr || served < least || (served == least && s->order < first->order)) {
      first = s;
      least = served;
    }
  }
  return *first;
}

bool WaitingQueue::any_of(std::uint64_t key) const {
  return std::ranges::any_of(
      lanes_, [&](const auto& lane) { return lane.first.second == key && !lane.second.empty(); });
}

std::int64_t WaitingQueue::least_served(const Service& service, std::int64_t step) const {
  CHECK(n_ > 0);
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const auto& [lane, queue] : lanes_) {
    if (!queue.empty()) least = std::min(least, service.of(lane.second, step));
  }
  return least;
}

}  // namespace tinderbox
