#include "box/capped_arrivals.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

CappedArrivals::CappedArrivals(Arrivals& source, std::int64_t in_flight_max, std::vector<UserSide> models)
    : source_(source),
      models_(std::move(models)),
      places_({}, std::vector<TimePoint>(static_cast<std::size_t>(in_flight_max), TimePoint::min())) {
  CHECK(in_flight_max >= 1);
}

TimePoint CappedArrivals::next() const {
  if (places_.empty()) return TimePoint::max();
  return waiting_.empty() ? source_.next() : first_comes();
}

TimePoint CappedArrivals::first_comes() const {
  const Request& first = waiting_.front();
  const Duration request_time = models_[static_cast<std::size_t>(first.model)].request_time;
  return std::max({first.arrival, places_.top() + request_time, last_});
}

std::vector<Command> CappedArrivals::take(TimePoint now) {
  std::vector<Command> out;
  for (Command& command : source_.take(now)) waiting_.push_back(std::get<Request>(std::move(command)));
  while (!waiting_.empty() && !places_.empty() && first_comes() <= now) {
    last_ = first_comes();
    Request request = std::move(waiting_.front());
    waiting_.pop_front();
    request.arrival = last_;
    places_.pop();
    sent_.insert(request.id);
    out.emplace_back(std::move(request));
  }
  return out;
}

void CappedArrivals::frees(SeqId seq, TimePoint now) {
  if (sent_.erase(seq) > 0) places_.push(now);
}

void CappedArrivals::on_admission(const Request& request, Admission admission, TimePoint now) {
  if (admission != Admission::Accepted) frees(request.id, now);
}

void CappedArrivals::on_token(const TokenEvent& event, TimePoint now) {
  if (event.finish != FinishReason::None) frees(event.seq, now);
}

}  // namespace tinderbox
