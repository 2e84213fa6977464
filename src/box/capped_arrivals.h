// A client that keeps at most so many requests under way: the others wait with it, in order, and are sent as answers
// end (`vllm bench serve --max-concurrency`). Their time in that queue is the client's, not the server's.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <unordered_set>
#include <vector>

#include "box/workload.h"

namespace tinderbox {

// Must be among the loop's observers. Of a source that does not depend on answers.
class CappedArrivals final : public Arrivals, public Observer {
 public:
  // Requires in_flight_max >= 1; source must outlive this. models: that requests ask for; one that is sent as an
  // answer ends comes later by its request_time.
  CappedArrivals(Arrivals& source, std::int64_t in_flight_max, std::vector<UserSide> models = {UserSide{}});
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

 private:
  void frees(SeqId seq, TimePoint now);
  // When the first that waits comes, if there is a place.
  TimePoint first_comes() const;

  Arrivals& source_;
  std::vector<UserSide> models_;
  std::deque<Request> waiting_;       // have come, and are not sent
  // Free ones, and since when: answers of several boxes are not told in the order of time.
  std::priority_queue<TimePoint, std::vector<TimePoint>, std::greater<>> places_;
  TimePoint last_ = TimePoint::min();  // that was sent came then
  std::unordered_set<SeqId> sent_;    // looked up, never iterated
};

}  // namespace tinderbox
