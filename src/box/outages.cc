#include "box/outages.h"

#include <algorithm>

namespace tinderbox {

std::vector<Command> Outages::take(TimePoint now) {
  now_ = now;
  const auto outage = box_.outage(now);
  if (!outage || now < outage->begin) return inner_.take(now);
  std::vector<Command> lost;
  for (const SeqId seq : scheduler_.live()) lost.emplace_back(Cancel{seq});
  n_lost_ += static_cast<std::int64_t>(lost.size());
  return lost;
}

TimePoint Outages::next() const {
  const auto outage = box_.outage(now_);
  if (!outage) return inner_.next();
  if (now_ < outage->begin) return std::min(inner_.next(), outage->begin);
  return scheduler_.idle() ? outage->end : TimePoint::min();
}

bool Outages::wait(Clock& clock) {
  now_ = std::max(now_, clock.now());
  const auto outage = box_.outage(now_);
  if (!outage || now_ < outage->begin) {
    if (!inner_.wait(clock)) return false;
    now_ = std::max(now_, clock.now());
    return true;
  }
  if (!inner_.pause(clock, outage->end)) return false;
  now_ = outage->end;
  return true;
}

}  // namespace tinderbox
