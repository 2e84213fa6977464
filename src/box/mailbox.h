// The door between other threads (HTTP, terminal) and the box thread: commands go in, each
// request's tokens come out through its own TokenStream, what the box is like through a Posted.
// These classes, the thread pool and nothing else hold locks.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "box/loop.h"
#include "sched/request.h"

namespace tinderbox {

struct StreamEvent {
  enum class Kind : std::uint8_t { Refused, Token, Finished } kind = Kind::Token;
  Admission admission = Admission::Accepted;  // Refused
  TokenId token = -1;  // Token, and Finished if the last event carries one (-1: none)
  FinishReason finish = FinishReason::None;  // Finished
  TimePoint at{};
  std::shared_ptr<const TokenDetail> detail = {};  // of the token, if the request asked to be told
};

// One request's events, from the box thread to one reader.
class TokenStream {
 public:
  // wake is called after every push, from the box thread, outside the lock; it must not block.
  // Optional.
  explicit TokenStream(std::function<void()> wake = {});
  void push(StreamEvent event);
  // All events since the last take; empty if none.
  std::vector<StreamEvent> take();
  // Blocks until there is an event. For readers without an event loop.
  std::vector<StreamEvent> wait();

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<StreamEvent> events_;
  std::function<void()> wake_;
};

// The latest of a value that the box thread posts, for any thread to read.
template <typename T>
class Posted {
 public:
  void post(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
  }
  T get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

// Wakes the one thread that waits for any of several doors: a ring is never lost.
class Bell {
 public:
  void ring();  // any thread
  // Returns after a ring since the last return, or at `until` of the clock. One thread.
  void wait(Clock& clock, TimePoint until);

 private:
  std::mutex mutex_;
  std::condition_variable rung_;
  bool ringing_ = false;
};

// The latest of a text, for everybody who follows it.
class Broadcast {
 public:
  using Text = std::shared_ptr<const std::string>;
  void publish(Text text);  // any thread
  Text latest() const;      // null: nothing yet
  // wake is called after every publish(), from its thread, until leave(); it must not block.
  std::uint64_t follow(std::function<void()> wake);
  void leave(std::uint64_t follower);

 private:
  mutable std::mutex mutex_;
  Text text_;
  std::unordered_map<std::uint64_t, std::function<void()>> followers_;  // their order is nobody's concern
  std::uint64_t n_followers_ = 0;
};

// Things that another thread asks the box thread to do between two steps.
class Errands {
 public:
  explicit Errands(Bell& bell) : bell_(bell) {}
  void post(std::function<void()> errand);  // any thread
  void run();                               // box thread: all that have been posted, in order

 private:
  Bell& bell_;
  std::mutex mutex_;
  std::vector<std::function<void()>> errands_;
};

class Mailbox final : public Arrivals, public Observer {
 public:
  // bell: rung when there is something to take, for a thread that has several mailboxes. clock: of the box; what comes
  // is taken request_time later (HTTP and tokenising of the machine that is modelled), and requests arrive then. Both
  // must outlive this.
  explicit Mailbox(Bell* bell = nullptr, const Clock* clock = nullptr, Duration request_time = {})
      : bell_(bell), clock_(clock), request_time_(request_time) {}
  // Any thread. Assigns request.id and returns it. A request without an arrival arrives when the clock says so, or,
  // without a clock, when the loop takes it. After close(), and while the loop is far behind, it is refused through
  // the stream as QueueFull.
  SeqId submit(Request request, std::shared_ptr<TokenStream> stream);
  // Any thread; nothing happens if the sequence is over. Its stream still gets its Finished event.
  void cancel(SeqId seq);
  // No more work is taken: the loop ends once the scheduler is idle.
  void close();

  // Box thread.
  std::vector<Command> take(TimePoint now) override;
  bool closed() const;    // no more will come than what take() has by now or due()
  TimePoint due() const;  // when there is next something to take; TimePoint::max(): not before somebody rings
  bool wait(Clock& clock) override;
  bool pause(Clock& clock, TimePoint until) override;
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_step(const Step& step, TimePoint start, const StepResult& result, const Scheduler&) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

 private:
  // The stream of a live sequence; forgets it if this is its last event.
  std::shared_ptr<TokenStream> stream_of(SeqId seq, bool last);

  void arrived();
  TimePoint due_now() const { return clock_ == nullptr ? TimePoint{} : clock_->now() + request_time_; }

  struct Letter {
    TimePoint due;
    Command command;
  };

  Bell* bell_;
  const Clock* clock_;
  Duration request_time_;
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Letter> letters_;  // by when they are due
  std::unordered_map<SeqId, std::shared_ptr<TokenStream>> streams_;
  std::unordered_map<SeqId, std::shared_ptr<const TokenDetail>> details_;  // box thread: of this step's tokens
  SeqId next_id_ = 1;
  bool closed_ = false;
};

}  // namespace tinderbox
