#include "box/pool_box.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "box/fleet_box.h"

namespace tinderbox {
namespace {

class Box {
 public:
  Box(std::vector<PoolMember> members, std::int64_t bytes, Duration keep_alive, const FleetOptions& options,
      Arrivals& source, Observer* listener)
      : members_(std::move(members)),
        pool_(bytes, memory_of(members_), keep_alive),
        source_(source),
        drawing_(options.seed, Stream::Router),
        seats_(members_.size()) {
    FleetOptions of_each = options;
    of_each.body = {};
    for (std::size_t i = 0; i < members_.size(); ++i) {
      Seat& seat = seats_[i];
      seat.table = std::make_unique<StepTable>(*members_[i].model);
      seat.box = std::make_unique<FleetBox>(*members_[i].model, *seat.table, members_[i].scheduler, of_each,
                                            std::nullopt, listener);
    }
  }

  void run(const std::function<void(std::int64_t)>& progress) {
    for (;;) {
      for (const std::size_t i : pool_.advance(now_)) open(i);
      take(progress);
      const std::optional<std::size_t> turn = choose();
      if (turn) {
        work(*turn);
        continue;
      }
      const TimePoint next = std::min(source_.next(), pool_.next());
      // What still rests and would be unloaded in time is nobody's concern any more.
      if (source_.next() == TimePoint::max() && n_waiting() == 0) return;
      CHECK(next < TimePoint::max());
      now_ = std::max(now_, next);
    }
  }

  PoolResult result(const FleetOptions& options) const {
    PoolResult out{.report = {}, .models = {}, .bytes = pool_.bytes(), .bytes_peak = pool_.bytes_peak()};
    Recorder all(options.request_time, options.slo);
    for (std::size_t i = 0; i < seats_.size(); ++i) {
      const Recorder& recorder = seats_[i].box->recorder();
      all.merge(recorder);
      const TwinModel& twin = members_[i].model->twin();
      out.models.push_back({.model = twin.model.id,
                            .weights = twin.weights.name,
                            .report = of_turns(recorder.report(), options),
                            .bytes = members_[i].memory.bytes,
                            .pinned = members_[i].memory.pinned,
                            .counters = pool_.counters(i),
                            .load = to_seconds(members_[i].memory.load)});
    }
    out.report = of_turns(all.report(), options);
    // Blocks of different models are of different sizes.
    out.report.kv_blocks = out.report.kv_blocks_peak = 0;
    return out;
  }

 private:
  struct Seat {
    std::unique_ptr<StepTable> table;
    std::unique_ptr<FleetBox> box;
    std::vector<Request> waiting;  // for the model to be loaded
    bool works = false;            // has something to do
    Duration served{};             // of the device's time, on the scale on which turns are compared
  };

  // A recorder sees a model's own steps alone, and requests are inside during those of others, too: how many there
  // are on average follows from how long they stay (Little's law, of those that finished).
  static Report of_turns(Report report, const FleetOptions& options) {
    report.mean_kv_share = report.mean_running = report.mean_waiting = 0;
    if (report.duration > Seconds(0)) {
      const Seconds inside = report.e2e.mean - report.queue.mean - to_seconds(options.request_time);
      report.mean_running = static_cast<double>(report.finished) * (inside / report.duration);
      report.mean_waiting = static_cast<double>(report.finished) * (report.queue.mean / report.duration);
    }
    return report;
  }
  static std::vector<ModelPool::Model> memory_of(const std::vector<PoolMember>& members) {
    std::vector<ModelPool::Model> out;
    for (const PoolMember& m : members) out.push_back(m.memory);
    return out;
  }

  std::size_t draw() {
    double sum = 0;
    for (const PoolMember& m : members_) sum += m.share;
    double at = drawing_.uniform() * sum;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      at -= members_[i].share;
      if (at < 0) return i;
    }
    return members_.size() - 1;
  }

  void take(const std::function<void(std::int64_t)>& progress) {
    if (source_.next() > now_) return;
    for (Command& command : source_.take(now_)) {
      const std::size_t i = draw();
      auto& request = std::get<Request>(command);
      if (pool_.want(i, now_)) {
        give(i, std::move(request));
      } else {
        seats_[i].waiting.push_back(std::move(request));
      }
      if (progress) progress(++n_come_);
    }
  }

  void open(std::size_t i) {
    for (Request& request : std::exchange(seats_[i].waiting, {})) give(i, std::move(request));
  }

  void give(std::size_t i, Request request) {
    Seat& seat = seats_[i];
    if (!seat.works) {
      // Nobody saves up turns while there is nothing to do.
      std::optional<Duration> least;
      for (const Seat& s : seats_) {
        if (s.works) least = std::min(least.value_or(s.served), s.served);
      }
      seat.served = std::max(seat.served, least.value_or(seat.served));
    }
    seat.works = true;
    seat.box->take(now_, std::move(request));
  }

  std::optional<std::size_t> choose() const {
    std::optional<std::size_t> turn;
    for (std::size_t i = 0; i < seats_.size(); ++i) {
      if (seats_[i].works && (!turn || seats_[i].served < seats_[*turn].served)) turn = i;
    }
    return turn;
  }

  void work(std::size_t i) {
    Seat& seat = seats_[i];
    const bool alone = std::ranges::count(seats_, true, &Seat::works) == 1;
    const TimePoint step = now_ + Duration(1);
    seat.box->resume(now_);
    seat.box->advance_once(alone ? std::max(step, std::min(source_.next(), pool_.next())) : step);
    const TimePoint end = std::max(now_, seat.box->now());
    seat.served += end - now_;
    now_ = end;
    if (seat.box->next() < TimePoint::max()) return;
    seat.works = false;
    pool_.rest(i, now_);
  }

  std::int64_t n_waiting() const {
    std::int64_t n = 0;
    for (const Seat& s : seats_) n += std::ssize(s.waiting);
    return n;
  }

  std::vector<PoolMember> members_;
  ModelPool pool_;
  Arrivals& source_;
  Random drawing_;
  std::vector<Seat> seats_;
  TimePoint now_{};
  std::int64_t n_come_ = 0;
};

}  // namespace

PoolResult run_pool(std::vector<PoolMember> members, std::int64_t bytes, Duration keep_alive,
                    const FleetOptions& options, Arrivals& source, Observer* listener,
                    const std::function<void(std::int64_t)>& progress) {
  CHECK(!members.empty());
  Box box(std::move(members), bytes, keep_alive, options, source, listener);
  box.run(progress);
  return box.result(options);
}

}  // namespace tinderbox
