#include "box/disaggregate.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <queue>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "box/fleet_box.h"
#include "box/twin_executor.h"
#include "twin/collective.h"
#include "twin/memory_plan.h"

namespace tinderbox {
namespace {

class Disaggregated {
 public:
  Disaggregated(const FleetRole& prefill, const FleetRole& decode, const KvPath& path,
                const FleetOptions& options, Arrivals& source, Observer* listener)
      : prefill_(prefill),
        decode_(decode),
        path_(path),
        options_(options),
        source_(source),
        listener_(listener),
        prefill_table_(prefill.model),
        decode_table_(decode.model),
        router_(options.routing, prefill.n_boxes, options.seed, options.knee),
        sends_(prefill.n_boxes),
        receives_(decode.n_boxes) {
    CHECK(prefill.n_boxes >= 1 && decode.n_boxes >= 1);
    // What was sent is no prompt to be read: nobody who decodes waits for it.
    Policy policy = decode.fresh.policy();
    policy.prompts_alone = false;
    const Scheduler fresh(decode.fresh.limits(), decode.fresh.kv(), policy);
    for (std::size_t i = 0; i < prefill.n_boxes + decode.n_boxes; ++i) {
      const bool reads = i < prefill.n_boxes;
      observers_.push_back(std::make_unique<BoxObserver>(*this, i, reads));
      boxes_.push_back(std::make_unique<FleetBox>(
          reads ? prefill.model : decode.model, reads ? prefill_table_ : decode_table_,
          reads ? prefill.fresh : fresh, options, body_of(options, i), nullptr,
          observers_.back().get()));
    }
  }

  void run(const std::function<void(std::int64_t)>& progress);
  DisaggregateResult result();

 private:
  // A request between its arrival and its second token.
  struct Trip {
    Request onward;  // as the box that generates is asked for it
    std::size_t from = 0, to = 0;
    Bytes part{};  // of the KV, over each link
    Recorder::Handover so_far{};
  };
  enum class What : std::uint8_t { IsThere, IsRead, MayFit };  // in the order of what comes first
  struct Event {
    TimePoint at;
    What what;
    SeqId seq = 0;
    friend bool operator>(const Event& a, const Event& b) {
      return std::tie(a.at, a.what, a.seq) > std::tie(b.at, b.what, b.seq);
    }
  };

  // Tells the box's recorder what its part of each request is, and the listener of the whole.
  class BoxObserver final : public Observer {
   public:
    BoxObserver(Disaggregated& fleet, std::size_t i, bool reads)
        : fleet_(fleet), i_(i), reads_(reads) {}
    void on_admission(const Request& request, Admission admission, TimePoint now) override {
      CHECK(reads_ || admission == Admission::Accepted);
      if (reads_) fleet_.admitted(request, i_, admission, now);
    }
    void on_step(const Step& step, TimePoint start, const StepResult& result,
                 const Scheduler& s) override {
      fleet_.boxes_[i_]->recorder().on_step(step, start, result, s);
    }
    void on_run(const StepRun& run, TimePoint start, const RunTimes& times,
                const Scheduler& s) override {
      fleet_.boxes_[i_]->recorder().on_run(run, start, times, s);
    }
    void on_token(const TokenEvent& event, TimePoint now) override {
      reads_ ? fleet_.is_read(event, i_, now) : fleet_.generated(event, i_, now);
    }

   private:
    Disaggregated& fleet_;
    std::size_t i_;
    bool reads_;
  };

  FleetBox& reader(std::size_t i) { return *boxes_[i]; }
  FleetBox& generator(std::size_t i) { return *boxes_[prefill_.n_boxes + i]; }
  void send_in(Request request, TimePoint now);
  void admitted(const Request& request, std::size_t box, Admission admission, TimePoint now);
  void is_read(const TokenEvent& event, std::size_t box, TimePoint now);
  void generated(TokenEvent event, std::size_t box, TimePoint now);
  void handle(const Event& event);
  void place_waiting(TimePoint now);
  void send_waiting(TimePoint now);
  std::optional<std::size_t> reserve(const Request& request);
  void give_up(SeqId seq, TimePoint now);
  void tell(const TokenEvent& event, TimePoint now) {
    if (listener_ != nullptr) listener_->on_token(event, now);
  }

  const FleetRole& prefill_;
  const FleetRole& decode_;
  const KvPath& path_;
  const FleetOptions& options_;
  Arrivals& source_;
  Observer* listener_;
  StepTable prefill_table_, decode_table_;
  Router router_;
  std::vector<std::unique_ptr<BoxObserver>> observers_;
  FleetBoxes boxes_;                       // those that read, those that generate
  std::unordered_map<SeqId, Trip> trips_;  // looked up, never iterated
  std::deque<SeqId> unplaced_;             // read, and waiting for a place
  std::deque<SeqId> unsent_;               // then for both ends of the link
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<bool> sends_, receives_;  // each box
  std::size_t turn_ = 0;                // of equal boxes
  TransferReport report_;
  Durations on_link_, waited_;
};

void Disaggregated::run(const std::function<void(std::int64_t)>& progress) {
  std::int64_t n_come = 0;
  for (;;) {
    const TimePoint event = events_.empty() ? TimePoint::max() : events_.top().at;
    const TimePoint at = std::min(source_.next(), event);
    // What generates matters to the others only if somebody waits for a place, or for an answer.
    const bool together = listener_ != nullptr || !unplaced_.empty();
    if (advance_last(std::span(std::as_const(boxes_)).first(together ? boxes_.size() : prefill_.n_boxes), at)) continue;
    if (!together) {
      for (std::size_t i = prefill_.n_boxes; i < boxes_.size(); ++i) boxes_[i]->advance(at);
    }
    if (at == TimePoint::max()) break;
    if (event == at) {
      const Event what = events_.top();
      events_.pop();
      handle(what);
      continue;
    }
    for (Command& command : source_.take(at)) {
      send_in(std::get<Request>(std::move(command)), at);
      if (progress) progress(++n_come);
    }
  }
  CHECK(options_.body ||
        (trips_.empty() && unplaced_.empty()));  // a box that is off for good may hold some
}

void Disaggregated::send_in(Request request, TimePoint now) {
  const Limits& limits = decode_.fresh.limits();
  const KvPool& kv = decode_.fresh.kv();
  const std::int32_t n_gen =
      std::max(1, std::min(request.n_gen_max, limits.context_max - request.n_prompt));
  std::vector<BoxView> views;
  for (std::size_t i = 0; i < prefill_.n_boxes && !is_blind(options_.routing); ++i)
    views.push_back(reader(i).view(now));
  const std::size_t to = router_.choose(request, views);
  if (n_gen > 1 && kv.blocks_for(request.n_prompt + n_gen - 1) > kv.n_blocks()) {
    return admitted(request, to, Admission::NeverFits, now);
  }
  if (n_gen > 1) {
    Request onward = request;
    onward.n_imported = onward.n_prompt++;
    onward.n_gen_max = n_gen - 1;
    if (onward.answer_continues) ++onward.contents.back().n_tokens;
    trips_[request.id] = {.onward = std::move(onward), .from = to};
    request.stays = true;
  }
  request.n_gen_max = 1;
  reader(to).take(std::move(request));
}

void Disaggregated::admitted(const Request& request, std::size_t box, Admission admission,
                             TimePoint now) {
  if (admission != Admission::Accepted) trips_.erase(request.id);
  boxes_[box]->recorder().on_admission(request, admission, now);
  if (listener_ != nullptr) listener_->on_admission(request, admission, now);
}

void Disaggregated::is_read(const TokenEvent& event, std::size_t box, TimePoint now) {
  const auto trip = trips_.find(event.seq);
  if (trip == trips_.end() || cut_short(event.finish)) {
    if (trip != trips_.end()) trips_.erase(trip);
    boxes_[box]->recorder().on_token(event, now);
    return tell(event, now);
  }
  trip->second.so_far = boxes_[box]->recorder().hand_over(event.seq, now);
  events_.push({now, What::IsRead, event.seq});
}

void Disaggregated::generated(TokenEvent event, std::size_t box, TimePoint now) {
  ++event.n_generated;  // the first one came from elsewhere
  boxes_[box]->recorder().on_token(event, now);
  tell(event, now);
  if (event.finish != FinishReason::None && !unplaced_.empty()) events_.push({now, What::MayFit});
}

void Disaggregated::handle(const Event& event) {
  if (event.what == What::IsRead) {
    unplaced_.push_back(event.seq);
    const TimePoint deadline = trips_.at(event.seq).onward.deadline;
    if (deadline != TimePoint::max()) events_.push({std::max(deadline, event.at), What::MayFit});
  }
  if (event.what == What::IsThere) {
    const auto node = trips_.extract(event.seq);
    Trip& trip = node.mapped();
    sends_[trip.from] = receives_[trip.to] = false;
    reader(trip.from).take(event.at, Release{event.seq});
    generator(trip.to).recorder().take_over(event.seq, trip.so_far);
    trip.onward.arrival = event.at;
    generator(trip.to).take(std::move(trip.onward));
  } else {
    place_waiting(event.at);
  }
  send_waiting(event.at);
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
    Trip& trip = trips_.at(seq);
    if (trip.onward.deadline <= now) {
      give_up(seq, now);
      continue;
    }
    const auto to = reserve(trip.onward);
    if (!to) return;
    trip.to = *to;
    trip.part = kv_of_sequence(prefill_.model.footprint(), trip.onward.n_imported);
    unsent_.push_back(seq);
  }
}

// Whoever has waited longest goes first, but keeps no idle link from others.
void Disaggregated::send_waiting(TimePoint now) {
  std::erase_if(unsent_, [&](SeqId seq) {
    const Trip& trip = trips_.at(seq);
    if (sends_[trip.from] || receives_[trip.to]) return false;
    sends_[trip.from] = receives_[trip.to] = true;
    const Duration time = to_duration(transfer_time(path_, trip.part));
    events_.push({after(now, time), What::IsThere, seq});
    ++report_.n;
    report_.bytes += trip.part * static_cast<double>(prefill_.model.twin().parallel.boxes());
    on_link_.add(time);
    waited_.add(now - trip.so_far.first_token);
    return true;
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

DisaggregateResult Disaggregated::result() {
  DisaggregateResult out;
  out.fleet = result_of(boxes_, options_);
  TransferReport& r = out.transfers = report_;
  r.n_prefill = prefill_.n_boxes;
  r.n_decode = decode_.n_boxes;
  for (std::size_t i = 0; i < boxes_.size() && out.fleet.report.duration > Seconds(); ++i) {
    const double busy = out.fleet.boxes[i].busy / out.fleet.report.duration;
    if (i < prefill_.n_boxes) {
      r.prefill_busy += busy / static_cast<double>(prefill_.n_boxes);
    } else {
      r.decode_busy += busy / static_cast<double>(decode_.n_boxes);
    }
  }
  r.link = on_link_.distribution();
  r.wait = waited_.distribution();
  return out;
}

}  // namespace

Seconds transfer_time(const KvPath& path, Bytes size) {
  return path.bandwidth ? path.link.latency + size / *path.bandwidth : send_time(path.link, size);
}

KvPath kv_path(const TwinModel& twin, std::optional<BytesPerSecond> bandwidth) {
  const auto joins = std::ranges::find_if(twin.machine.links, &Link::joins_boxes);
  if (joins != twin.machine.links.end()) return {link_of_boxes(twin.machine, twin.link), bandwidth};
  if (bandwidth) return {Link{}, bandwidth};
  throw_unsupported(format(
      "{}: no link between boxes has been measured, so KV cannot travel from the one that reads "
      "to the one that generates; say how fast it goes with --kv-bandwidth \"10 Gb/s\", or let "
      "every box do both with --boxes",
      twin.machine.id));
}

DisaggregateResult run_disaggregated(const FleetRole& prefill, const FleetRole& decode,
                                     const KvPath& path, const FleetOptions& options,
                                     Arrivals& source, Observer* listener,
                                     const std::function<void(std::int64_t)>& progress) {
  Disaggregated fleet(prefill, decode, path, options, source, listener);
  fleet.run(progress);
  return fleet.result();
}

}  // namespace tinderbox
