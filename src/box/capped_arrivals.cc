#include "box/capped_arrivals.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

CappedArrivals::CappedArrivals(Arrivals& source, std::int64_t in_flight_max, Duration request_time)
    : source_(source), request_time_(request_time), places_(static_cast<std::size_t>(in_flight_max), TimePoint{}) {
  CHECK(in_flight_max >= 1);
}

TimePoint CappedArrivals::next() const {
  if (places_.empty()) return TimePoint::max();
  return waiting_.empty() ? source_.next() : std::max(waiting_.front().arrival, places_.front());
}

std::vector<Command> CappedArrivals::take(TimePoint now) {
  std::vector<Command> out;
  for (Command& command : source_.take(now)) waiting_.push_back(std::get<Request>(std::move(command)));
  while (!waiting_.empty() && !places_.empty() && places_.front() <= now) {
    Request request = std::move(waiting_.front());
    waiting_.pop_front();
    request.arrival = std::max(request.arrival, places_.front());
    places_.pop_front();
    sent_.insert(request.id);
    out.emplace_back(std::move(request));
  }
  return out;
}

void CappedArrivals::frees(SeqId seq, TimePoint now) {
  if (sent_.erase(seq) > 0) places_.push_back(now + request_time_);
}

void CappedArrivals::on_admission(const Request& request, Admission admission, TimePoint now) {
  if (admission != Admission::Accepted) frees(request.id, now);
}

void CappedArrivals::on_token(const TokenEvent& event, TimePoint now) {
  if (event.finish != FinishReason::None) frees(event.seq, now);
}

}  // namespace tinderbox
