// What of a prompt's KV is ready, finds a place and goes over the link.
#include <algorithm>

#include "box/disaggregated.h"
#include "box/twin_executor.h"

namespace tinderbox {

void Disaggregated::seek_place(SeqId seq, Trip& trip) {
  trip.seeks_place = true;
  unplaced_.push_back(seq);
}

void Disaggregated::handle(const Event& event) {
  const auto found = trips_.find(event.seq);  // none: it was cut short
  Trip* trip = found == trips_.end() ? nullptr : &found->second;
  switch (event.what) {
    case What::IsOver:
      is_over(event);
      break;
    case What::IsReady:
      if (trip != nullptr) trip->ready = std::max(trip->ready, event.ready);
      break;
    case What::IsBegun:
      if (trip != nullptr) seek_place(event.seq, *trip);
      break;
    case What::IsRead: {
      CHECK(trip != nullptr);
      trip->is_read = true;
      trip->ready = trip->all;
      if (!trip->seeks_place) seek_place(event.seq, *trip);
      const TimePoint deadline = trip->onward.deadline;
      if (!trip->has_place && deadline != TimePoint::max()) {
        events_.push({.at = std::max(deadline, event.at), .what = What::MayFit});
      }
      hand_on_if_there(event.seq, event.at);
      break;
    }
    case What::MayFit:
      break;
  }
  if (event.what >= What::IsBegun) place_waiting(event.at);
  send_waiting(event.at);
}

void Disaggregated::is_over(const Event& message) {
  sends_[message.from] = receives_[message.to] = false;
  const auto found = trips_.find(message.seq);
  if (found == trips_.end()) return;
  Trip& trip = found->second;
  trip.on_the_way = false;
  trip.on_link += message.time;
  if (!trip.is_read) return;
  trip.on_link_after += std::min(message.time, message.at - trip.so_far.first_token);
  hand_on_if_there(message.seq, message.at);
}

void Disaggregated::hand_on_if_there(SeqId seq, TimePoint now) {
  const auto found = trips_.find(seq);
  if (found->second.on_the_way || found->second.sent < found->second.all) return;
  const auto node = trips_.extract(found);
  Trip& trip = node.mapped();
  const Duration left = now - trip.so_far.first_token;
  ++report_.n;
  report_.bytes += trip.all * static_cast<double>(prefill_.model.twin().parallel.boxes());
  on_link_.add(trip.on_link);
  waited_.add(left - trip.on_link_after);
  left_.add(left);
  link_sum_ += trip.on_link;
  link_sum_after_ += trip.on_link_after;
  reader(trip.from).take(now, Release{seq});
  generator(trip.to).recorder().take_over(seq, trip.so_far);
  trip.onward.arrival = now;
  generator(trip.to).take(std::move(trip.onward));
}

// Equal ones take turns.
std::optional<std::size_t> Disaggregated::reserve(const Request& request) {
  const std::size_t n = decode_.n_boxes;
  std::vector<std::pair<std::int64_t, std::size_t>> boxes;  // least loaded first
  for (std::size_t k = 0; k < n; ++k) {
    const Scheduler& s = generator((turn_ + k) % n).scheduler();
    const std::int64_t n_inbox = static_cast<std::int64_t>(generator((turn_ + k) % n).n_inbox());
    boxes.emplace_back(s.n_running() + s.n_waiting() + s.n_reserved() + n_inbox, k);
  }
  std::ranges::sort(boxes);
  for (const auto& [load, k] : boxes) {
    const std::size_t i = (turn_ + k) % n;
    if (!generator(i).scheduler().reserve(request)) continue;
    turn_ = i + 1;
    return i;
  }
  return std::nullopt;
}

void Disaggregated::place_waiting(TimePoint now) {
  for (; !unplaced_.empty(); unplaced_.pop_front()) {
    const SeqId seq = unplaced_.front();
    const auto found = trips_.find(seq);
    if (found == trips_.end()) continue;
    Trip& trip = found->second;
    if (trip.is_read && trip.onward.deadline <= now) {
      give_up(seq, now);
      continue;
    }
    const auto to = reserve(trip.onward);
    if (!to) return;
    trip.to = *to;
    trip.has_place = true;
    unsent_.push_back(seq);
  }
}

// Whoever has waited longest goes first, but keeps no idle link from others.
void Disaggregated::send_waiting(TimePoint now) {
  std::erase_if(unsent_, [&](SeqId seq) {
    const auto found = trips_.find(seq);
    if (found == trips_.end()) return true;
    Trip& trip = found->second;
    if (trip.on_the_way || trip.sent >= trip.ready || sends_[trip.from] || receives_[trip.to]) return false;
    trip.on_the_way = sends_[trip.from] = receives_[trip.to] = true;
    const Seconds before = trip.sent > Bytes() ? transfer_time(path_, trip.sent) : Seconds();
    const Duration time = to_duration(std::max(Seconds(), transfer_time(path_, trip.ready) - before));
    trip.sent = trip.ready;
    events_.push({.at = after(now, time), .what = What::IsOver, .seq = seq, .time = time, .from = trip.from,
                  .to = trip.to});
    return trip.is_read;
  });
}

void Disaggregated::give_up(SeqId seq, TimePoint now) {
  const auto node = trips_.extract(seq);
  const Trip& trip = node.mapped();
  reader(trip.from).take(now, Release{seq});
  const TokenEvent last{
      .seq = seq, .token = -1, .finish = FinishReason::Deadline, .n_generated = 1};
  Recorder& recorder = reader(trip.from).recorder();
  recorder.take_over(seq, trip.so_far);
  recorder.on_token(last, now);
  tell(last, now);
}

}  // namespace tinderbox
