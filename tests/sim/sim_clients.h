// Those who use the box, each by its own visit: over the API as programs do, or past it with what
// HTTP does not carry (priorities, keys, deadlines). They act as the clock passes, and check what
// they get.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "box/mailbox.h"
#include "http/http.h"
#include "http/route_table.h"
#include "http/text_codec.h"
#include "sim_clock.h"
#include "sim_laws.h"

namespace tinderbox::sim {

// What the box shows of itself in /metrics, as of the last time that it was told something.
struct Shown {
  Tally tally;
  SchedulerCounters counters;
  std::int64_t n_running = 0, n_waiting = 0, n_free = 0, n_blocks = 1;
};

class Clients {
 public:
  struct Box {
    Mailbox& mailbox;
    RouteTable& api;
    const TextCodec& codec;
    Laws& laws;
    const Shown& shown;
  };
  // at_once: all read what comes for them at once, whatever their visit says.
  Clients(const Plan& plan, SimClock& clock, Box box, Log& log, bool at_once);
  ~Clients();

  // Once the box has stopped; lost: what it never took in, because it is off for good.
  void check_end(bool lost) const;
  // After the mailbox has been closed by the plan.
  void closed() { closed_ = true; }
  bool any_unread() const;  // somebody has news that he has not looked at
  std::int64_t n_answers() const { return n_answers_; }
  std::int64_t n_vanished() const { return n_vanished_; }

 private:
  struct Client {
    const Visit* visit = nullptr;
    SeqId seq = 0;
    HttpResponse response;                // over the API, with all bytes so far
    std::shared_ptr<TokenStream> stream;  // past it
    std::vector<StreamEvent> events;
    bool begun = false, over = false, gone = false;
    bool refused_at_door = false;  // the mailbox was closed
    std::shared_ptr<int> ear = std::make_shared<int>();  // held by whoever may still call
    bool news = false;             // and a reading is due
    std::int64_t n_news_gone = 0;  // since it has gone
  };

  void come(Client& client);
  void ask(Client& client);
  void ask_directly(Client& client);
  void look(const Client& client);
  void read(Client& client);
  void read_directly(Client& client);
  void vanish(Client& client);
  void hear(Client& client);
  void check_api(const Client& client, const HttpResponse& reply) const;
  void check_direct(const Client& client) const;
  std::string body_of(const Visit& visit) const;

  const Plan& plan_;
  SimClock& clock_;
  Box box_;
  Log& log_;
  bool at_once_, closed_ = false;
  SeqId next_seq_ = 1;  // that the mailbox gives out
  std::int64_t n_answers_ = 0, n_vanished_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace tinderbox::sim
