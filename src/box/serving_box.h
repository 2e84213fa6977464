// The box behind a server: one thread and one memory for all models (sched/model_pool.h), each with a scheduler, a
// mailbox and a loop of its own. They take turns on the device step by step: of those with something to do, whoever
// has had least of its time goes next. A model is loaded when it is asked for; what asks for it waits.
//
// run() is the box thread. Mailboxes, close() and post() are for any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "box/body_executor.h"
#include "box/loop.h"
#include "box/mailbox.h"
#include "box/outages.h"
#include "sched/model_pool.h"

namespace tinderbox {

// What runs a model's steps, with all it stands on.
struct LoadedExecutor {
  std::shared_ptr<void> owner;  // of the executor
  Executor* executor = nullptr;
};

struct ServedMember {
  std::string id;
  Scheduler scheduler;  // a new one
  ModelPool::Model memory{};
  // Called on a thread of its own when the model is to be there. Throws Error.
  std::function<LoadedExecutor()> load;
  Duration request_time{};       // what a request takes before the scheduler hears of it (HTTP, tokenising)
  Observer* observer = nullptr;  // told before whoever asked is; may be null; must outlive the box
};

// A request that is in the box.
struct InFlight {
  SeqId seq = 0;
  std::uint64_t key = 0;
  TimePoint arrival{};
  std::int32_t n_prompt = 0, n_generated = 0;
  bool running = false;
};

struct ServedStatus {
  ModelPool::State state{};
  bool pinned = false;
  std::int64_t bytes = 0;
  std::int64_t n_running = 0, n_waiting = 0;  // with those that wait for the model
  std::int64_t kv_blocks = 0, kv_blocks_used = 0;
  SchedulerCounters counters;
  ModelPool::Counters pool;
  std::int64_t n_generated = 0, n_prompt = 0;  // tokens in all
  std::string trouble;                         // why it could not be loaded the last time; empty: it could
  std::vector<InFlight> requests;
};

struct BoxStatus {
  TimePoint now{};
  std::int64_t bytes = 0, bytes_used = 0;
  Duration busy{}, lateness{};  // in all
  bool down = false;            // answers nothing now
  std::vector<ServedStatus> models;
};

class ServingBox {
 public:
  struct Options {
    std::int64_t bytes = 0;  // for models
    Duration keep_alive = Duration::max();
    std::size_t requests_max = 200;  // told of in a status, of each model
  };
  // clock must outlive it. body: whose faults take the box away at times, or null. Requires what ModelPool does.
  ServingBox(std::vector<ServedMember> members, Options options, Clock& clock);
  ~ServingBox();
  // Before run(): the body that executors of members run on, if they do.
  void embody(BodyExecutor& body) { body_ = &body; }
  // Likewise: one more who is told of a model, and must outlive this; before whoever asked is.
  void observe(std::size_t model, Observer& observer) { seats_[model].observers.add_first(observer); }

  Mailbox& mailbox(std::size_t model) { return seats_[model].mailbox; }
  const Scheduler& scheduler(std::size_t model) const { return seats_[model].scheduler; }
  std::size_t size() const { return seats_.size(); }

  // Loads those that are there from the beginning, one after the other. Throws what their load() does.
  void load_first();
  // Until close(), and nothing is left to do.
  void run();
  void close();
  // To be done on the box thread between two steps.
  void post(std::function<void()> errand) { errands_.post(std::move(errand)); }

  // Box thread: within an errand.
  BoxStatus status();
  TimePoint now() const { return now_; }
  ModelPool& pool() { return pool_; }
  void want(std::size_t model);  // loads it, if it is not there

 private:
  // What a model's loop is given to do.
  class Inbox final : public Arrivals {
   public:
    std::vector<Command> take(TimePoint) override { return std::exchange(commands_, {}); }
    TimePoint next() const override { return commands_.empty() ? TimePoint::max() : TimePoint::min(); }
    bool empty() const { return commands_.empty(); }
    void put(Command command) { commands_.push_back(std::move(command)); }

   private:
    std::vector<Command> commands_;
  };
  class Watch;  // counts a model's requests and time
  struct Seat {
    Seat(ServedMember&& member, Bell& bell, const Clock& clock, std::size_t requests_max);
    ~Seat();
    std::string id;
    Scheduler scheduler;
    std::function<LoadedExecutor()> load;
    Mailbox mailbox;
    Inbox inbox;
    std::unique_ptr<Watch> watch;
    ObserverList observers;
    std::optional<Outages> outages;
    // While it is loaded.
    LoadedExecutor loaded;
    std::optional<Loop> loop;
    std::future<LoadedExecutor> loading;
    std::atomic<bool> load_over = false;  // all but its result, which is there at once
    bool opening = false;                 // its time to load is over
    bool works = false;
    Duration served{};             // of the device's time, on the scale on which turns are compared
    std::vector<Request> waiting;  // for the model
    std::string trouble;
  };

  void settle();  // the pool's news
  void begin_load(Seat& seat);
  void open(Seat& seat);
  void finish_load(std::size_t i);
  void seat_loop(Seat& seat);
  void unload(Seat& seat);
  void take();
  void take(std::size_t i, Command command);
  void hold(Seat& seat, Request request);
  void drop_held(Seat& seat, SeqId seq);
  void give(Seat& seat, Command command);
  std::optional<std::size_t> choose() const;
  void work(std::size_t i);
  TimePoint next() const;
  TimePoint mail_due() const;

  Clock& clock_;
  Options options_;
  Bell bell_;
  Errands errands_{bell_};
  std::deque<Seat> seats_;
  ModelPool pool_;
  BodyExecutor* body_ = nullptr;
  TimePoint now_{};
};

}  // namespace tinderbox
