// Where simulated requests come from: drawn from a few parameters, or listed. All in the box's
// time, so that the same seed gives the same requests whatever the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "box/lengths.h"
#include "box/loop.h"
#include "box/trace.h"

namespace tinderbox {

// Sizes are as in vLLM's serving benchmark: uniform within [(1 - r) n, (1 + r) n], at least 1; or from
// distributions; or those of a trace, which then has all of its requests sent.
struct WorkloadOptions {
  std::int64_t requests = 100;
  double rate = 1;  // mean arrivals per second
  double burstiness =
      1;  // gamma shape of the gaps: 1 is Poisson, below 1 burstier, infinite a constant gap
  std::int64_t prompt = 512, gen = 128;  // tokens
  double range_ratio = 0;                // r; in [0, 1]
  std::uint64_t seed = 0;
  std::optional<Lengths> prompts = {}, gens = {};  // in place of prompt, gen and range_ratio
  // The rate over a day is rate (1 - diurnal cos(2 pi t / day)): it begins at its lowest.
  double diurnal = 0;  // 0 to below 1
  double day = 86'400;  // seconds
  // Conversations: each turn asks anew with all that was said. The rate is that of conversations.
  std::int64_t turns = 1;          // of a conversation, as far as the context reaches
  double think = 0;                // mean seconds from an answer to the next turn or request of a user; exponential
  std::int64_t shared_prefix = 0;  // tokens that all conversations begin with, before those of prompt
  std::shared_ptr<const Trace> trace = {};
  // Drawn evenly: whose requests they are (0 ... keys - 1), and how urgent (0 ... priorities - 1).
  std::int64_t keys = 1, priorities = 1;
  double timeout = std::numeric_limits<double>::infinity();  // seconds from arrival to deadline
  // Shares of several models, in proportion: whom a request asks is drawn by them, of a conversation once. Empty: one.
  std::vector<double> mix = {};
};

inline constexpr std::int64_t kRequestsMax = 100'000'000;

// Both ends included.
struct LengthRange {
  std::int64_t low, high;
};
LengthRange length_range(std::int64_t mean, double range_ratio);

Lengths prompt_lengths(const WorkloadOptions& options);
Lengths gen_lengths(const WorkloadOptions& options);
// Tokens of the largest request, prompt and answer: of a conversation its last turn.
std::int64_t longest_request(const WorkloadOptions& options);
std::int64_t n_requests(const WorkloadOptions& options);

// Throws Error::Invalid naming the option that is out of range.
void verify(const WorkloadOptions& options);

// Draws one request after the other: ids from 1, arrival ascending, no token values.
class RequestGenerator {
 public:
  // Requires options that verify() takes.
  explicit RequestGenerator(WorkloadOptions options);
  std::optional<Request> next();
  // One that arrives then; the arrivals of others stay where they are. Whom it asks is not drawn.
  std::optional<Request> next(TimePoint arrival);
  std::int32_t draw_model();
  std::int64_t n_left() const { return n_requests_ - n_drawn_; }

 private:
  TimePoint draw_arrival();
  std::optional<Request> draw_sizes();
  void arrive(Request& request, TimePoint arrival);

  WorkloadOptions options_;
  Lengths prompt_lengths_, gen_lengths_;
  std::int64_t n_requests_;
  Random gaps_, prompts_, gens_, urgency_, models_;
  std::int64_t n_drawn_ = 0;
  Seconds time_;
};

// Open loop: requests come when they come.
class GeneratedArrivals final : public Arrivals {
 public:
  explicit GeneratedArrivals(const WorkloadOptions& options);
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;

 private:
  RequestGenerator generator_;
  std::optional<Request> next_;
};

// What its users meet of a model.
struct UserSide {
  std::int64_t context_max = std::numeric_limits<std::int32_t>::max();
  Duration request_time{};  // what a request takes from the client to the scheduler (HTTP, tokenising)
};

// Users who wait for an answer, think, and go on: with the next turn of the conversation, then, in a
// closed loop, with another one. In an open loop conversations begin as requests come. Must be among
// the loop's observers. A conversation stays with its model. It ends early where the context would; a refused or
// cancelled turn ends it.
class ConversationArrivals final : public Arrivals, public Observer {
 public:
  // users: of the closed loop, all there from the beginning; 0: open loop. models: one for each share of the mix.
  ConversationArrivals(const WorkloadOptions& options, std::int32_t users, std::vector<UserSide> models);
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

 private:
  struct Conversation {
    std::int64_t id = 0, n_turns = 0, n_context = 0;  // said so far
    std::int32_t model = 0;
  };
  // Whoever speaks next, and when; equal times in the order in which they were known.
  struct Turn {
    TimePoint at;
    std::int64_t order = 0;
    Conversation conversation;
    friend bool operator>(const Turn& a, const Turn& b) {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };
  void go_on(Conversation conversation, TimePoint now);
  Request ask(const Conversation& conversation, Request drawn) const;
  bool ends(const Conversation& conversation) const;
  const UserSide& side_of(const Conversation& c) const { return models_[static_cast<std::size_t>(c.model)]; }

  WorkloadOptions options_;
  std::vector<UserSide> models_;
  std::int64_t gen_max_;
  bool closed_;
  RequestGenerator generator_;
  Random thinking_;
  std::optional<Request> first_turn_;  // open loop: the next conversation's
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns_;
  std::unordered_map<SeqId, Conversation> asked_;  // looked up, never iterated
  std::int64_t n_conversations_ = 0, n_turns_known_ = 0;
};

// What comes, and who must be told of what happens: source itself, as an observer, if what comes depends on answers;
// otherwise null.
struct Traffic {
  std::unique_ptr<Arrivals> source;
  Observer* listener = nullptr;
  std::unique_ptr<Arrivals> within = nullptr;  // what source takes from, if it does
};
// The same anew each time.
using MakeTraffic = std::function<Traffic()>;

// A list of requests, in any order; those of equal arrival come as listed.
class TraceArrivals final : public Arrivals {
 public:
  explicit TraceArrivals(std::vector<Request> requests);
  std::vector<Command> take(TimePoint now) override;
  TimePoint next() const override;

 private:
  std::multimap<TimePoint, Request> requests_;  // not yet taken
};

}  // namespace tinderbox
