#include "box/serving_box.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "box/turns.h"

namespace tinderbox {

using State = ModelPool::State;

// In an ObserverList put it before the mailbox.
class ServingBox::Watch final : public Observer {
 public:
  explicit Watch(std::size_t requests_max) : requests_max_(requests_max) {}

  void on_admission(const Request& request, Admission admission, TimePoint) override {
    if (admission != Admission::Accepted) return;
    live_[request.id] = {
        .seq = request.id, .key = request.key, .arrival = request.arrival, .n_prompt = request.n_prompt};
  }
  void on_step(const Step& step, TimePoint start, const StepResult& result, const Scheduler&) override {
    busy_ += result.end - start;
    lateness_ += result.lateness;
    for (const StepItem& item : step.items) {
      if (item.decodes) continue;
      if (const auto it = live_.find(item.seq); it != live_.end()) it->second.running = true;
    }
  }
  void on_token(const TokenEvent& event, TimePoint) override {
    const auto it = live_.find(event.seq);
    if (it == live_.end()) return;
    if (!cut_short(event.finish)) {
      ++n_generated_;
      if (it->second.n_generated++ == 0) n_prompt_ += it->second.n_prompt;
    }
    if (event.finish != FinishReason::None) live_.erase(it);
  }

  void tell(ServedStatus& status) const {
    status.n_generated = n_generated_;
    status.n_prompt = n_prompt_;
    for (const auto& [seq, request] : live_) status.requests.push_back(request);
    std::ranges::sort(status.requests, {}, &InFlight::seq);
    if (status.requests.size() > requests_max_) status.requests.resize(requests_max_);
  }
  Duration busy() const { return busy_; }
  Duration lateness() const { return lateness_; }

 private:
  std::size_t requests_max_;
  std::unordered_map<SeqId, InFlight> live_;
  std::int64_t n_generated_ = 0, n_prompt_ = 0;
  Duration busy_{}, lateness_{};
};

ServingBox::Seat::Seat(ServedMember&& member, Bell& bell, const Clock& clock, std::size_t requests_max)
    : id(std::move(member.id)),
      scheduler(std::move(member.scheduler)),
      load(std::move(member.load)),
      mailbox(&bell, &clock, member.request_time),
      watch(std::make_unique<Watch>(requests_max)),
      observers([&] {
        std::vector<Observer*> list = {watch.get()};
        if (member.observer != nullptr) list.push_back(member.observer);
        list.push_back(&mailbox);
        return list;
      }()) {
  CHECK(load != nullptr);
}

ServingBox::Seat::~Seat() {
  if (loading.valid()) loading.wait();
}

namespace {

std::vector<ModelPool::Model> memory_of(const std::vector<ServedMember>& members) {
  std::vector<ModelPool::Model> out;
  for (const ServedMember& m : members) out.push_back(m.memory);
  return out;
}

}  // namespace

ServingBox::ServingBox(std::vector<ServedMember> members, Options options, Clock& clock)
    : clock_(clock),
      options_(options),
      pool_(options.bytes, memory_of(members), options.keep_alive),
      now_(clock.now()) {
  CHECK(!members.empty());
  for (ServedMember& member : members) seats_.emplace_back(std::move(member), bell_, clock_, options_.requests_max);
}

ServingBox::~ServingBox() = default;

void ServingBox::load_first() {
  for (std::size_t i = 0; i < size(); ++i) {
    if (pool_.state(i) != State::Ready) continue;
    seats_[i].loaded = seats_[i].load();
    seat_loop(seats_[i]);
  }
}

void ServingBox::seat_loop(Seat& seat) {
  CHECK(seat.loaded.executor != nullptr);
  if (body_ != nullptr && !seat.outages) {
    seat.observers.add(seat.outages.emplace(seat.inbox, *body_, seat.scheduler));
  }
  Arrivals& arrivals = seat.outages ? static_cast<Arrivals&>(*seat.outages) : seat.inbox;
  seat.loop.emplace(seat.scheduler, *seat.loaded.executor, arrivals, clock_, seat.observers);
  seat.loop->resume(now_);
}

void ServingBox::close() {
  for (Seat& seat : seats_) seat.mailbox.close();
  bell_.ring();
}

void ServingBox::run() {
  for (;;) {
    const bool closed = std::ranges::all_of(seats_, [](const Seat& s) { return s.mailbox.closed(); });
    errands_.run();
    take();
    settle();  // what came may be of a model that is to be loaded
    if (const std::optional<std::size_t> turn = choose()) {
      work(*turn);
      continue;
    }
    // Whoever waits for the end of an outage is not waited for when the box closes.
    const bool waits = std::ranges::any_of(
        seats_, [&](const Seat& s) { return (s.works && s.loop->next() <= now_) || !s.waiting.empty(); });
    const TimePoint mail = mail_due();
    if (closed && !waits && mail == TimePoint::max()) return;
    if (clock_.leaps() && mail < next()) {
      clock_.wait_until(mail);
    } else {
      bell_.wait(clock_, std::min(mail, next()));
    }
    // What came is taken in when it came: how late this computer wakes is not the modelled machine's.
    now_ = std::max(now_, std::min(clock_.now(), mail_due()));
  }
}

void ServingBox::settle() {
  // One that was asked for as it went is on its way in again by now, and must be out before it is there.
  for (std::size_t i = 0; i < size(); ++i) {
    if (pool_.state(i) == State::Loading) unload(seats_[i]);
  }
  for (const std::size_t i : pool_.advance(now_)) seats_[i].opening = true;
  for (std::size_t i = 0; i < size(); ++i) {
    Seat& seat = seats_[i];
    if (pool_.state(i) == State::Absent) unload(seat);
    const bool to_load = pool_.state(i) == State::Loading || seat.opening;
    if (to_load && !seat.loading.valid() && !seat.loop) begin_load(seat);
    if (seat.opening) finish_load(i);
  }
}

void ServingBox::begin_load(Seat& seat) {
  CHECK(!seat.loading.valid() && !seat.loop);
  seat.load_over = false;
  seat.loading = std::async(std::launch::async, [this, &seat] {
    struct Over {  // whether it comes to something or not
      Seat& seat;
      Bell& bell;
      ~Over() {
        seat.load_over = true;
        bell.ring();
      }
    } over{seat, bell_};
    return seat.load();
  });
}

// Its time to load is over; the load itself may take longer.
void ServingBox::finish_load(std::size_t i) {
  Seat& seat = seats_[i];
  if (!seat.loading.valid() || !seat.load_over) return;
  seat.opening = false;
  try {
    seat.loaded = seat.loading.get();
    seat.trouble.clear();
    seat_loop(seat);
  } catch (const Error& error) {
    // Whoever asks anew makes it be tried anew.
    seat.trouble = error.what();
    for (Request& request : std::exchange(seat.waiting, {})) {
      seat.observers.on_admission(request, Admission::Unavailable, now_);
    }
    pool_.rest(i, now_);
    pool_.drop(i, now_);
    return;
  }
  for (Request& request : std::exchange(seat.waiting, {})) give(seat, std::move(request));
  if (!seat.works) pool_.rest(i, now_);
}

void ServingBox::unload(Seat& seat) {
  if (!seat.loop) return;
  CHECK(!seat.works);
  seat.loop.reset();
  seat.loaded = {};
  seat.scheduler.forget();
}

void ServingBox::take() {
  for (std::size_t i = 0; i < size(); ++i) {
    for (Command& command : seats_[i].mailbox.take(now_)) take(i, std::move(command));
  }
}

void ServingBox::take(std::size_t i, Command command) {
  Seat& seat = seats_[i];
  if (auto* request = std::get_if<Request>(&command)) {
    const bool there = pool_.want(i, now_);
    if (there && seat.loop) {
      give(seat, std::move(*request));
    } else {
      hold(seat, std::move(*request));
      if (there) open(seat);
    }
    return;
  }
  if (const auto* cancel = std::get_if<Cancel>(&command)) {
    drop_held(seat, cancel->id);
    if (seat.loop && seat.works) give(seat, std::move(command));
  }
}

void ServingBox::hold(Seat& seat, Request request) {
  if (std::ssize(seat.waiting) >= seat.scheduler.limits().queue_max) {
    seat.observers.on_admission(request, Admission::QueueFull, now_);
  } else {
    seat.waiting.push_back(std::move(request));
  }
}

void ServingBox::drop_held(Seat& seat, SeqId seq) {
  if (std::erase_if(seat.waiting, [&](const Request& r) { return r.id == seq; }) == 0) return;
  seat.observers.on_token({.seq = seq, .token = -1, .finish = FinishReason::Cancelled}, now_);
}

void ServingBox::give(Seat& seat, Command command) {
  take_part(seats_, seat);
  seat.inbox.put(std::move(command));
}

void ServingBox::want(std::size_t model) {
  if (!pool_.want(model, now_)) return;
  if (!seats_[model].loop) {
    open(seats_[model]);
  } else if (!seats_[model].works) {
    pool_.rest(model, now_);  // there, with nothing to do
  }
}

// There is room for it, and it is not there: loading still, or it could not be loaded and is tried anew.
void ServingBox::open(Seat& seat) {
  if (!seat.opening && !seat.loading.valid()) begin_load(seat);
  seat.opening = true;
}

std::optional<std::size_t> ServingBox::choose() const {
  std::optional<std::size_t> turn;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const Seat& seat = seats_[i];
    if (!seat.works || seat.loop->next() > now_) continue;
    if (!turn || seat.served < seats_[*turn].served) turn = i;
  }
  return turn;
}

void ServingBox::work(std::size_t i) {
  Seat& seat = seats_[i];
  seat.loop->resume(now_);
  seat.loop->advance_once(now_ + Duration(1));
  const TimePoint end = std::max(now_, seat.loop->now());
  seat.served += end - now_;
  now_ = end;
  // What has come during an outage without an end is work, too: somebody may end it. An outage to come is none.
  if (!seat.scheduler.idle() || seat.loop->n_held() > 0 || !seat.inbox.empty()) return;
  seat.works = false;
  pool_.rest(i, now_);
}

TimePoint ServingBox::next() const {
  TimePoint next = TimePoint::max();
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (seats_[i].works) next = std::min(next, seats_[i].loop->next());
  }
  // A load that takes longer than it should rings.
  const TimePoint pool = pool_.next();
  return pool > now_ ? std::min(next, pool) : next;
}

TimePoint ServingBox::mail_due() const {
  TimePoint due = TimePoint::max();
  for (const Seat& seat : seats_) due = std::min(due, seat.mailbox.due());
  return due;
}

BoxStatus ServingBox::status() {
  BoxStatus status;
  status.now = now_;
  status.bytes = pool_.bytes();
  status.bytes_used = pool_.bytes_used();
  for (std::size_t i = 0; i < size(); ++i) {
    const Seat& seat = seats_[i];
    const KvPool& kv = seat.scheduler.kv();
    ServedStatus of_this{.state = pool_.state(i),
                         .pinned = pool_.model(i).pinned,
                         .bytes = pool_.model(i).bytes,
                         .n_running = seat.scheduler.n_running(),
                         .n_waiting = seat.scheduler.n_waiting() + std::ssize(seat.waiting),
                         .kv_blocks = kv.n_blocks(),
                         .kv_blocks_used = kv.n_blocks() - kv.n_free(),
                         .counters = seat.scheduler.counters(),
                         .pool = pool_.counters(i),
                         .trouble = seat.trouble,
                         .requests = {}};
    seat.watch->tell(of_this);
    for (const Request& r : seat.waiting) {
      if (of_this.requests.size() >= options_.requests_max) break;
      of_this.requests.push_back({.seq = r.id, .key = r.key, .arrival = r.arrival, .n_prompt = r.n_prompt});
    }
    status.busy += seat.watch->busy();
    status.lateness += seat.watch->lateness();
    status.models.push_back(std::move(of_this));
  }
  if (body_ != nullptr) status.down = !body_->vitals(now_).answers;
  return status;
}

}  // namespace tinderbox
