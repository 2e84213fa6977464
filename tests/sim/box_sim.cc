// Deterministic simulation of a serving box. Each seed draws limits, KV size, requests and faults
// (cancellations at random moments, impatient users, deadlines, refusals, memory shortage) and a policy, runs
// the real loop in virtual time, and checks the laws of a serving box at every step: among them that KV is read as
// it was written, whoever shares it. A broken law prints the command that replays the seed.
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "box/loop.h"

namespace tinderbox {
namespace {

// Which faults a seed has, and how big everything is: drawn per seed, so that some seeds are all
// about one thing.
struct Plan {
  Limits limits;
  std::int32_t n_blocks, block_tokens;
  std::int32_t n_requests, prompt_max, gen_max;
  std::int64_t gap_max_ns;  // between arrivals
  double cancel;            // probability that a request is cancelled at some time
  bool tokens;              // requests carry token values
  bool end_tokens;          // answers may stop early
  Policy policy;
  std::int32_t n_words, n_priorities, n_keys;  // few words: prompts that begin alike
  double deadline;                             // probability that a request has one
};

Plan draw_plan(Random& random) {
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return static_cast<std::int32_t>(random.range(low, high));
  };
  Plan plan{};
  plan.limits = {.step_tokens_max = draw(1, random.range(0, 1) == 0 ? 8 : 128),
                 .sequences_max = draw(1, 16),
                 .queue_max = draw(1, 60),
                 .context_max = draw(2, 120)};
  plan.n_requests = draw(1, 60);
  plan.prompt_max = draw(1, 60);
  plan.gen_max = draw(1, 40);
  // From too small for the longest request to room for five of them.
  plan.block_tokens = draw(1, 8);
  plan.n_blocks = 1 + (plan.prompt_max + plan.gen_max) * draw(50, 500) / 100 / plan.block_tokens;
  plan.gap_max_ns = draw(0, 1) == 0 ? 0 : draw(1, 3000);
  plan.cancel = draw(0, 2) == 0 ? 0 : random.uniform();
  plan.tokens = draw(0, 1) == 1;
  plan.end_tokens = draw(0, 1) == 1;
  plan.policy = policies()[static_cast<std::size_t>(draw(0, static_cast<std::int32_t>(policies().size()) - 1))];
  plan.policy.fair = draw(0, 2) == 0;
  plan.n_words = draw(0, 1) == 0 ? 1 : 100;
  plan.n_priorities = draw(1, 3);
  plan.n_keys = draw(1, 3);
  plan.deadline = draw(0, 2) == 0 ? random.uniform() : 0;
  return plan;
}

// All commands with their times. A cancellation comes before, during or after its request's life.
std::multimap<TimePoint, Command> draw_commands(const Plan& plan, Random& random) {
  std::multimap<TimePoint, Command> commands;
  TimePoint time{};
  for (SeqId id = 1; id <= plan.n_requests; ++id) {
    time += Duration(random.range(0, plan.gap_max_ns));
    Request request;
    request.id = random.range(0, 50) == 0 ? random.range(1, id)
                                          : id;  // sometimes an id that is in use, or was
    request.arrival = time;
    request.n_prompt = static_cast<std::int32_t>(random.range(1, plan.prompt_max));
    request.n_gen_max = static_cast<std::int32_t>(random.range(1, plan.gen_max));
    if (plan.tokens) {
      for (std::int32_t i = 0; i < request.n_prompt; ++i) {
        const bool common = random.range(0, 9) > 0;
        request.prompt.push_back(static_cast<TokenId>(random.range(0, common ? plan.n_words - 1 : 99)));
      }
    }
    request.priority = static_cast<std::int32_t>(random.range(1, plan.n_priorities));
    request.key = static_cast<std::uint64_t>(random.range(1, plan.n_keys));
    if (random.uniform() < plan.deadline) request.deadline = time + Duration(random.range(0, 30'000));
    if (plan.end_tokens) request.end_tokens = {3, 5};
    const SeqId seq = request.id;
    commands.emplace(time, std::move(request));
    if (random.uniform() < plan.cancel) {
      commands.emplace(time + Duration(random.range(0, 30'000)), Cancel{seq});
    }
  }
  return commands;
}

class Commands final : public Arrivals {
 public:
  explicit Commands(std::multimap<TimePoint, Command> commands) : commands_(std::move(commands)) {}
  std::vector<Command> take(TimePoint now) override {
    std::vector<Command> due;
    while (!commands_.empty() && commands_.begin()->first <= now) {
      due.push_back(std::move(commands_.extract(commands_.begin()).mapped()));
    }
    return due;
  }
  bool wait(Clock& clock) override {
    if (commands_.empty()) return false;
    clock.wait_until(commands_.begin()->first);
    return true;
  }

 private:
  std::multimap<TimePoint, Command> commands_;
};

// Draws tokens, and stalls now and then. Cancels from inside a step, which no arrival can: the step
// stays open.
class FaultyExecutor final : public Executor {
 public:
  FaultyExecutor(Scheduler& scheduler, const Plan& plan, std::uint64_t seed)
      : scheduler_(scheduler), plan_(plan), random_(seed, Stream::Faults) {}
  StepResult run(const Step& step, TimePoint start) override {
    CHECK(!step.items.empty());
    StepResult result;
    result.end = start + Duration(100 + 7 * step.n_tokens);
    if (random_.range(0, 30) == 0) result.end += Duration(20'000);
    for (const StepItem& item : step.items) {
      if (item.samples) result.sampled.push_back(static_cast<TokenId>(random_.range(0, 30)));
    }
    if (plan_.cancel > 0 && random_.range(0, 20) == 0) {
      const auto victim = random_.range(0, std::ssize(step.items) - 1);
      CHECK(scheduler_.cancel(step.items[static_cast<std::size_t>(victim)].seq));
      scheduler_.verify();
    }
    return result;
  }

 private:
  Scheduler& scheduler_;
  const Plan& plan_;
  Random random_;
};

// The laws, seen from outside.
class Laws final : public Observer {
 public:
  explicit Laws(const Plan& plan) : plan_(plan) {}

  void on_admission(const Request& request, Admission admission, TimePoint now) override {
    tick(now);
    CHECK((admission == Admission::Duplicate) == live_.contains(request.id));
    if (admission != Admission::Accepted) return;
    const auto n_gen_max = std::min(request.n_gen_max, plan_.limits.context_max - request.n_prompt);
    live_[request.id] = {
        .n_prompt = request.n_prompt, .n_gen_max = n_gen_max, .tokens = request.prompt};
  }

  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override {
    tick(start);
    tick(result.end);
    scheduler.verify();
    std::int32_t n_tokens = 0;
    std::set<std::int64_t> written;  // places
    for (const StepItem& item : step.items) {
      check_item(item, scheduler.kv());
      for (std::int32_t i = item.n_past; i < item.n_past + item.n_new; ++i) {
        CHECK(written.insert(place(item, i)).second);
        kv_[place(item, i)] = beginning(item, i);
      }
      n_tokens += item.n_new;
    }
    for (const StepItem& item : step.items) {
      for (std::int32_t i = 0; i < item.n_past; ++i) CHECK(kv_.at(place(item, i)) == beginning(item, i));
    }
    CHECK(n_tokens == step.n_tokens && n_tokens <= plan_.limits.step_tokens_max);
    CHECK(std::ssize(step.items) <= plan_.limits.sequences_max);
  }

  void on_token(const TokenEvent& event, TimePoint now) override {
    tick(now);
    const auto it = live_.find(event.seq);
    CHECK(it != live_.end());
    Seen& s = it->second;
    if (!cut_short(event.finish)) {
      CHECK(event.token >= 0 && s.n_computed == s.n_prompt + s.n_generated);
      ++s.n_generated;
      if (!s.tokens.empty()) s.tokens.push_back(event.token);
    }
    const bool stops = plan_.end_tokens && (event.token == 3 || event.token == 5);
    CHECK((event.finish == FinishReason::Stop) == stops);
    CHECK(s.n_generated <= s.n_gen_max);
    if (event.finish == FinishReason::Length) CHECK(s.n_generated == s.n_gen_max);
    if (event.finish != FinishReason::None) live_.erase(it);
  }

  void check_end(const Scheduler& scheduler) const {
    scheduler.verify();
    CHECK(live_.empty() && scheduler.idle());
    CHECK(scheduler.kv().n_free() == scheduler.kv().n_blocks());
  }

 private:
  struct Seen {
    std::int32_t n_prompt = 0, n_gen_max = 0, n_generated = 0, n_computed = 0;
    std::vector<TokenId> tokens;
  };

  // What KV at this position stands for: all tokens up to there; without token values, whose it is.
  using Beginning = std::pair<SeqId, std::vector<TokenId>>;
  static Beginning beginning(const StepItem& item, std::int32_t i) {
    if (item.history.empty()) return {item.seq, {i}};
    return {-1, {item.history.begin(), item.history.begin() + i + 1}};
  }
  std::int64_t place(const StepItem& item, std::int32_t i) const {
    return std::int64_t{item.blocks[static_cast<std::size_t>(i / plan_.block_tokens)]} * plan_.block_tokens +
           i % plan_.block_tokens;
  }

  void tick(TimePoint now) {
    CHECK(now >= now_);
    now_ = now;
  }

  void check_item(const StepItem& item, const KvPool& kv) {
    const auto it = live_.find(item.seq);
    CHECK(it != live_.end());
    Seen& s = it->second;
    const std::int32_t n_total = s.n_prompt + s.n_generated;
    // Goes on, or begins, perhaps again after a preemption, behind the blocks that it shares.
    CHECK(item.n_past == s.n_computed || item.n_past % (plan_.policy.prefix_cache ? kv.block_tokens() : n_total) == 0);
    CHECK(item.n_new >= 1 && item.n_past + item.n_new <= n_total);
    CHECK(item.samples == (item.n_past + item.n_new == n_total));
    CHECK(std::ssize(item.blocks) == kv.blocks_for(item.n_past + item.n_new));
    CHECK(std::ranges::equal(item.history, s.tokens));
    if (!s.tokens.empty()) {
      CHECK(std::ranges::equal(item.tokens,
                               std::span(s.tokens).subspan(static_cast<std::size_t>(item.n_past),
                                                           static_cast<std::size_t>(item.n_new))));
    }
    s.n_computed = item.n_past + item.n_new;
  }

  const Plan& plan_;
  std::unordered_map<SeqId, Seen> live_;
  std::unordered_map<std::int64_t, Beginning> kv_;  // by place
  TimePoint now_{};
};

SchedulerCounters simulate_seed(std::uint64_t seed) {
  Random random(seed, Stream::Test);
  const Plan plan = draw_plan(random);
  Commands commands(draw_commands(plan, random));
  Scheduler scheduler(plan.limits, KvPool(plan.n_blocks, plan.block_tokens), plan.policy);
  FaultyExecutor executor(scheduler, plan, seed);
  VirtualClock clock;
  Laws laws(plan);
  run_loop(scheduler, executor, commands, clock, laws);
  laws.check_end(scheduler);
  return scheduler.counters();
}

// The seed being run, for the handler below.
std::atomic<std::int64_t> current_seed{0};

void print_replay(int) {
  char line[80];
  const int n = std::snprintf(line, sizeof line, "replay with: box_sim --seed=%ld\n",
                              static_cast<long>(current_seed.load()));
  if (n > 0) static_cast<void>(!write(STDERR_FILENO, line, static_cast<std::size_t>(n)));
}

int run(std::int64_t first, std::int64_t n) {
  std::signal(SIGABRT, print_replay);
  SchedulerCounters sum;
  for (std::int64_t seed = first; seed < first + n; ++seed) {
    current_seed = seed;
    const SchedulerCounters c = simulate_seed(static_cast<std::uint64_t>(seed));
    sum.submitted += c.submitted;
    sum.finished += c.finished;
    sum.cancelled += c.cancelled;
    sum.refused += c.refused;
    sum.preemptions += c.preemptions;
    sum.expired += c.expired;
    sum.prefix_hit_tokens += c.prefix_hit_tokens;
  }
  std::signal(SIGABRT, SIG_DFL);
  std::puts(format("{} seeds: {} submitted, {} finished, {} cancelled, {} past their deadline, {} refused, {} "
                   "preemptions, {} tokens found",
                   n, sum.submitted, sum.finished, sum.cancelled, sum.expired, sum.refused, sum.preemptions,
                   sum.prefix_hit_tokens)
                .c_str());
  std::fflush(stdout);
  CHECK(sum.submitted == sum.finished + sum.cancelled + sum.expired + sum.refused);
  // A sweep that never meets a fault tests nothing.
  if (n >= 1000)
    CHECK(sum.finished > n && sum.cancelled > n && sum.refused > n && sum.preemptions > n / 2 &&
          sum.expired > n && sum.prefix_hit_tokens > n);
  return 0;
}

}  // namespace
}  // namespace tinderbox

int main(int argc, char** argv) {
  std::int64_t first = 0, n = 3000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto value = tinderbox::parse_int(flag.substr(std::min(flag.size(), flag.find('=') + 1)));
    if (flag.starts_with("--seed=") && value) {
      first = *value;
      n = 1;
    } else if (flag.starts_with("--seeds=") && value) {
      n = *value;
    } else {
      std::fputs("usage: box_sim [--seed=N | --seeds=COUNT]\n", stderr);
      return 2;
    }
  }
  return tinderbox::run(first, n);
}
