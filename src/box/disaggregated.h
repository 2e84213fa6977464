// The run of box/disaggregate.h: boxes of two roles, and what is on its way between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "box/disaggregate.h"
#include "box/fleet_box.h"

namespace tinderbox {

class Disaggregated {
 public:
  // As of run_disaggregated(); all must outlive this.
  Disaggregated(const FleetRole& prefill, const FleetRole& decode, const KvPath& path,
                const FleetOptions& options, Arrivals& source, Observer* listener);

  void run(const std::function<void(std::int64_t)>& progress);
  DisaggregateResult result();

 private:
  // A request between its arrival and its second token.
  struct Trip {
    Request onward;  // as the box that generates is asked for it
    std::size_t from = 0, to = 0;
    Bytes all{}, ready{}, sent{};  // of the KV, over each link: ready to be sent; sent or on the way
    bool seeks_place = false, has_place = false, is_read = false, on_the_way = false;
    Duration on_link{}, on_link_after{};  // on the way; of that once the prompt was in
    Recorder::Handover so_far{};
  };
  // In the order of what comes first.
  enum class What : std::uint8_t { IsOver, IsReady, IsBegun, IsRead, MayFit };
  struct Event {
    TimePoint at;
    What what;
    SeqId seq = 0;
    Bytes ready{};                 // of IsReady
    Duration time{};               // of IsOver, which ends a message
    std::size_t from = 0, to = 0;  // likewise
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
      for (const StepItem& item : step.items) {
        if (reads_ && !item.decodes) fleet_.reads(item.seq, item.n_past, item.n_new, start, result.end);
      }
    }
    void on_run(const StepRun& run, TimePoint start, const RunTimes& times,
                const Scheduler& s) override {
      fleet_.boxes_[i_]->recorder().on_run(run, start, times, s);
      for (const PromptChunk& chunk : run.prompts) {
        if (reads_) fleet_.reads(chunk.seq, chunk.n_past, chunk.n_new, start, times.end);
      }
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
  void reads(SeqId seq, std::int32_t n_past, std::int32_t n_new, TimePoint start, TimePoint end);
  void is_read(const TokenEvent& event, std::size_t box, TimePoint now);
  void generated(TokenEvent event, std::size_t box, TimePoint now);
  void handle(const Event& event);
  void seek_place(SeqId seq, Trip& trip);
  void is_over(const Event& message);
  void hand_on_if_there(SeqId seq, TimePoint now);
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
  std::deque<SeqId> unplaced_;             // waiting for a place
  std::deque<SeqId> unsent_;               // then, until all is sent or on the way, for both ends of the link
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<bool> sends_, receives_;  // each box
  std::size_t turn_ = 0;                // of equal boxes
  TransferReport report_;
  Duration link_sum_{}, link_sum_after_{};
  Durations on_link_, waited_, left_;
};

}  // namespace tinderbox
