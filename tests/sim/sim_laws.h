// The laws of a serving box, held against what the loop tells its observers; and the books that the
// laws of its clients and metrics are checked with. It knows the scheduler's promises
// (sched/scheduler.h), not its ways.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "box/loop.h"
#include "sim_log.h"
#include "sim_plan.h"

namespace tinderbox::sim {

// What the box has said about a request.
struct Told {
  Admission admission = Admission::Accepted;
  std::int32_t n_prompt = 0;
  std::vector<TokenEvent> events;  // the last one finishes, once it is over
};

// For comparing runs by their steps: which sequences, with what, when.
void note_step(Log& log, const Step& step, TimePoint start, TimePoint end);

struct Tally {
  std::int64_t submitted = 0, refused = 0, finished = 0, cancelled = 0, expired = 0;
  std::int64_t stops = 0, lengths = 0, tokens = 0, prompt_tokens = 0, steps = 0;
};

class Laws final : public Observer {
 public:
  // alone: the least that a step takes which does this for one sequence. n_takes: how often the box
  // has looked into its mailbox. All must outlive this.
  using Alone = std::function<Duration(std::int32_t n_past, std::int32_t n_new, bool samples)>;
  Laws(const Plan& plan, const Clock& clock, const std::int64_t& n_takes, Alone alone, Log& log)
      : plan_(plan), clock_(clock), n_takes_(n_takes), alone_(std::move(alone)), log_(log) {
    kv_.resize(static_cast<std::size_t>(plan.n_blocks) *
               static_cast<std::size_t>(plan.block_tokens));
  }

  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

  // Whoever it was for is gone, or has all he wanted: no step that begins from now on works for it.
  void vanished(SeqId seq) { gone_.emplace(seq, n_takes_); }
  void check_sleep(const Scheduler& scheduler) const;
  void check_end(const Scheduler& scheduler) const;

  const Told* told(SeqId seq) const {
    const auto it = told_.find(seq);
    return it == told_.end() ? nullptr : &it->second;
  }
  const std::map<SeqId, Told>& all() const { return told_; }
  const Tally& tally() const { return tally_; }
  std::int64_t n_live() const { return std::ssize(live_); }

 private:
  using Rank = std::pair<std::int32_t, std::int64_t>;  // priority, order of submission
  struct Live {
    Request request;
    Rank rank;
    std::int32_t n_gen_max = 0, n_generated = 0, n_computed = 0;
    bool runs = false;
    std::vector<std::uint64_t> names;  // of each position: what all tokens up to there are
    Duration priced{};                 // of its own share of the steps so far
    std::int32_t n_total() const { return request.n_prompt + n_generated; }
  };

  std::uint64_t name_at(const Live& s, std::int64_t position, TokenId token) const;
  std::int64_t n_waiting() const;
  std::int64_t blocks_for(std::int64_t n) const {
    return (n + plan_.block_tokens - 1) / plan_.block_tokens;
  }
  std::size_t place(const StepItem& item, std::int32_t i) const;
  void tick(TimePoint now);
  void check_item(const StepItem& item, Live& s);
  void check_kv(const Step& step, const Scheduler& scheduler);
  void check_order(const std::set<SeqId>& admitted) const;
  void check_room(const Step& step, bool preempted, const Scheduler& scheduler) const;
  void check_counts(const Scheduler& scheduler) const;
  void lift(std::uint64_t key);
  const Live* least_served() const;
  void check_fairness(const Step& step, const std::set<SeqId>& admitted);

  const Plan& plan_;
  const Clock& clock_;
  const std::int64_t& n_takes_;
  Alone alone_;
  Log& log_;
  std::map<SeqId, Live> live_;
  std::map<SeqId, Told> told_;
  std::map<SeqId, std::int64_t> gone_;  // and how often the box had looked by then
  std::vector<std::uint64_t> kv_;       // names of what stands at each place
  // By the virtual token counter of sched/service.h, counted token by token. Who is next is chosen once, though it
  // takes steps until there is room for him: all whose turn it has been since anything happened.
  std::map<std::uint64_t, std::int64_t> served_;
  std::set<SeqId> turns_;
  Tally tally_;
  std::int64_t n_preemptions_ = 0;
  TimePoint now_{};
};

}  // namespace tinderbox::sim
