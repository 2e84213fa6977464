// Every schedule of at most three requests of at most four tokens over at most three KV blocks, as in
// scheduler_exhaustive_test.cc, under each policy: prefix cache, slots, prompts alone, longest match first, fairness,
// priorities, deadlines. States from which a scheduler does the same whatever comes (Scheduler::state) are explored
// once. Tokens stand for themselves: what is at a place of the KV must be what was written there.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "sched/scheduler.h"

namespace tinderbox {
namespace {

constexpr std::size_t kRequests = 3;

struct Size {
  std::int32_t n_prompt, n_gen;
};

struct Config {
  Policy policy = {};
  std::int32_t n_blocks = 1, block_tokens = 1, step_tokens_max = 1, sequences_max = 1;
  std::array<std::int32_t, kRequests> priorities = {0, 0, 0};
  std::array<std::uint64_t, kRequests> keys = {0, 0, 0};
  std::array<std::int64_t, kRequests> deadlines = {0, 0, 0};  // ns; 0: none
  bool alike = true;  // all prompts and answers; else they have the first token in common
};

struct Seen {
  enum Status : std::uint8_t { Unborn, Waiting, Running, Gone } status = Unborn;
  std::int32_t n_computed = 0, n_generated = 0;
};

class PolicyExplorer {
 public:
  PolicyExplorer(Config config, std::array<Size, kRequests> sizes) : config_(config), sizes_(sizes) {}

  // Stops at the first broken law; the test has then failed.
  void run() {
    visit({Scheduler({.step_tokens_max = config_.step_tokens_max,
                      .sequences_max = config_.sequences_max,
                      .queue_max = 3,
                      .context_max = 8},
                     KvPool(config_.n_blocks, config_.block_tokens), config_.policy),
           {},
           std::vector<TokenId>(static_cast<std::size_t>(config_.n_blocks * config_.block_tokens), -1),
           0});
    for (std::size_t state = 0; state < next_.size(); ++state) expect_progress(state);
  }
  std::size_t n_states() const { return next_.size(); }
  std::int64_t n_hits() const { return n_hits_; }
  std::int64_t n_preempted() const { return n_preempted_; }

 private:
  struct Node {
    Scheduler scheduler;
    std::array<Seen, kRequests> seen;
    std::vector<TokenId> kv;  // by place
    std::int64_t time;        // ns
  };
  using Rank = std::pair<std::int32_t, std::size_t>;
  Rank rank(std::size_t i) const { return {config_.priorities[i], i}; }

  static std::vector<std::uint64_t> state_of(const Node& node) {
    std::vector<std::uint64_t> words = node.scheduler.state();
    words.push_back(static_cast<std::uint64_t>(node.time));
    for (const Seen& s : node.seen)
      words.push_back(static_cast<std::uint64_t>(s.status << 8 | s.n_computed << 4 | s.n_generated));
    return words;
  }
  std::size_t index_of(const Node& node) const { return index_.at(state_of(node)); }

  TokenId token(std::size_t i, std::int32_t position) const {
    return position == 0 || config_.alike ? position : static_cast<TokenId>(10 * (i + 1)) + position;
  }
  std::int32_t n_total(const Node& node, std::size_t i) const { return sizes_[i].n_prompt + node.seen[i].n_generated; }

  // By value: what happens next happens to it.
  void visit(const Node& node) {
    if (testing::Test::HasFailure() || !index_.try_emplace(state_of(node), next_.size()).second) return;
    const std::size_t state = next_.size();
    next_.push_back(state);
    check_counters(node);
    next_[state] = step(node, [](Node&) {});
    const std::int64_t last = *std::ranges::max_element(config_.deadlines);
    if (node.time < last) {
      Node next = node;
      pass(next);
      visit(next);
    }
    for (std::size_t i = 0; i < kRequests; ++i) {
      const auto status = node.seen[i].status;
      if (status == Seen::Gone) continue;
      // Before a step, or inside one: a request is cancelled, or the next one comes.
      const auto act = [&](Node& to) { status == Seen::Unborn ? submit(to, i) : cancel(to, i); };
      step(node, act);
      Node next = node;
      act(next);
      next.scheduler.take_cancelled();
      visit(next);
      if (status == Seen::Unborn) break;  // they come in order
    }
  }

  void pass(Node& node) const {
    ++node.time;
    node.scheduler.expire(TimePoint(Duration(node.time)));
    node.scheduler.take_cancelled();
    for (std::size_t i = 0; i < kRequests; ++i) {
      if (!lives(node.seen[i]) || config_.deadlines[i] != node.time) continue;
      node.seen[i] = {.status = Seen::Gone};
    }
  }

  static bool lives(const Seen& s) { return s.status == Seen::Waiting || s.status == Seen::Running; }

  void submit(Node& node, std::size_t i) const {
    Request request;
    request.id = static_cast<SeqId>(i);
    request.n_prompt = sizes_[i].n_prompt;
    request.n_gen_max = sizes_[i].n_gen;
    for (std::int32_t p = 0; p < request.n_prompt; ++p) request.prompt.push_back(token(i, p));
    request.priority = config_.priorities[i];
    request.key = config_.keys[i];
    // One that comes after its deadline has another one, never reached.
    if (config_.deadlines[i] > node.time) request.deadline = TimePoint(Duration(config_.deadlines[i]));
    const bool fits = request.n_prompt + request.n_gen_max - 1 <= config_.n_blocks * config_.block_tokens;
    ASSERT_EQ(node.scheduler.submit(request), fits ? Admission::Accepted : Admission::NeverFits);
    node.seen[i].status = fits ? Seen::Waiting : Seen::Gone;
  }

  static void cancel(Node& node, std::size_t i) {
    ASSERT_TRUE(node.scheduler.cancel(static_cast<SeqId>(i)));
    node.seen[i] = {.status = Seen::Gone};
  }

  // The state after it.
  template <typename F>
  std::size_t step(const Node& from, F&& meanwhile) {
    Node node = from;
    const std::int64_t n_before = node.scheduler.counters().preemptions;
    const Step step = node.scheduler.schedule();
    if (step.items.empty()) {
      EXPECT_TRUE(node.scheduler.idle());
      return index_of(node);
    }
    check_step(node, step, node.scheduler.counters().preemptions - n_before);
    if (testing::Test::HasFailure()) return 0;
    meanwhile(node);
    node.scheduler.verify();
    std::vector<TokenId> sampled;
    for (const StepItem& item : step.items) {
      const auto i = static_cast<std::size_t>(item.seq);
      if (item.samples) sampled.push_back(token(i, item.n_past + item.n_new));
    }
    node.scheduler.complete(step, sampled);
    for (const StepItem& item : step.items) see(node, item);
    visit(node);
    return testing::Test::HasFailure() ? 0 : index_of(node);
  }

  void see(Node& node, const StepItem& item) const {
    const auto i = static_cast<std::size_t>(item.seq);
    Seen& s = node.seen[i];
    if (s.status == Seen::Gone) return;  // cancelled meanwhile
    s.n_computed = item.n_past + item.n_new;
    if (item.samples && ++s.n_generated == sizes_[i].n_gen) s = {.status = Seen::Gone};
  }

  std::size_t place(const StepItem& item, std::int32_t i) const {
    const BlockId block = item.blocks[static_cast<std::size_t>(i / config_.block_tokens)];
    return static_cast<std::size_t>(block * config_.block_tokens + i % config_.block_tokens);
  }

  void check_item(const Node& node, const StepItem& item) {
    const auto i = static_cast<std::size_t>(item.seq);
    const Seen& s = node.seen[i];
    ASSERT_TRUE(lives(s));
    if (s.status == Seen::Running) {
      ASSERT_EQ(item.n_past, s.n_computed);
    } else {
      ASSERT_EQ(item.n_past % (config_.policy.prefix_cache ? config_.block_tokens : 8), 0);
      n_hits_ += item.n_past > 0;
    }
    ASSERT_GE(item.n_new, 1);
    ASSERT_LE(item.n_past + item.n_new, n_total(node, i));
    ASSERT_EQ(item.samples, item.n_past + item.n_new == n_total(node, i));
    ASSERT_EQ(std::ssize(item.blocks), node.scheduler.kv().blocks_for(item.n_past + item.n_new));
    ASSERT_EQ(std::ssize(item.history), n_total(node, i));
    for (std::int32_t p = 0; p < n_total(node, i); ++p)
      ASSERT_EQ(item.history[static_cast<std::size_t>(p)], token(i, p));
  }

  void check_kv(Node& node, const Step& step) const {
    std::set<std::size_t> written;
    for (const StepItem& item : step.items) {
      for (std::int32_t p = item.n_past; p < item.n_past + item.n_new; ++p) {
        ASSERT_TRUE(written.insert(place(item, p)).second) << "held twice";
        node.kv[place(item, p)] = token(static_cast<std::size_t>(item.seq), p);
      }
    }
    for (const StepItem& item : step.items) {
      for (std::int32_t p = 0; p < item.n_past; ++p)
        ASSERT_EQ(node.kv[place(item, p)], token(static_cast<std::size_t>(item.seq), p)) << "another's KV";
    }
  }

  void check_step(Node& node, const Step& step, std::int64_t n_preempted) {
    std::int32_t n_tokens = 0;
    bool prompts = false;
    std::set<std::size_t> in_step, admitted;
    for (const StepItem& item : step.items) {
      check_item(node, item);
      if (testing::Test::HasFailure()) return;
      const auto i = static_cast<std::size_t>(item.seq);
      ASSERT_TRUE(in_step.insert(i).second);
      if (node.seen[i].status == Seen::Waiting) admitted.insert(i);
      prompts |= !item.decodes;
      n_tokens += item.n_new;
    }
    ASSERT_EQ(step.n_tokens, n_tokens);
    ASSERT_LE(n_tokens, config_.step_tokens_max);
    check_kv(node, step);
    check_preempted(node, in_step, config_.policy.prompts_alone && prompts, n_preempted);
    if (n_preempted > 0) ASSERT_TRUE(admitted.empty());
    for (const std::size_t i : in_step) node.seen[i].status = Seen::Running;
    const std::int32_t n_running = static_cast<std::int32_t>(
        std::ranges::count(node.seen, Seen::Running, [](const Seen& s) { return s.status; }));
    ASSERT_EQ(n_running, node.scheduler.n_running());
    ASSERT_LE(n_running, config_.sequences_max);
    const bool budget = n_tokens < config_.step_tokens_max || (config_.policy.prompts_alone && !prompts);
    const bool place = n_running < std::min(config_.sequences_max, config_.step_tokens_max);
    check_admission(node, admitted, budget && place && n_preempted == 0);
  }

  // Who ran and is not in the step has lost what was computed: the last ones of the worst priority.
  void check_preempted(Node& node, const std::set<std::size_t>& in_step, bool paused, std::int64_t n) {
    Rank first = {9, 0}, last = {-1, 0};  // preempted; running on
    for (std::size_t i = 0; i < kRequests; ++i) {
      Seen& s = node.seen[i];
      if (s.status != Seen::Running) continue;
      if (in_step.contains(i) || paused) {
        last = std::max(last, rank(i));
        continue;
      }
      first = std::min(first, rank(i));
      s.status = Seen::Waiting;
      s.n_computed = 0;
      --n;
      ++n_preempted_;
      ASSERT_FALSE(config_.policy.slots);
    }
    ASSERT_EQ(n, 0) << "a running one is left out";
    ASSERT_LT(last, first) << "not the last of the worst priority";
  }

  void check_admission(const Node& node, const std::set<std::size_t>& admitted, bool room) const {
    const Policy& policy = config_.policy;
    const KvPool& kv = node.scheduler.kv();
    bool first = true, first_fits = true, all_fit = true, any = false;
    std::array<std::size_t, kRequests> order = {0, 1, 2};
    std::ranges::sort(order, {}, [&](std::size_t i) { return rank(i); });
    for (const std::size_t i : order) {
      if (node.seen[i].status != Seen::Waiting) continue;
      any = true;
      const std::int32_t n = policy.slots ? sizes_[i].n_prompt + sizes_[i].n_gen - 1 : n_total(node, i);
      const bool fits = kv.blocks_for(n) <= kv.n_free();
      if (std::exchange(first, false)) first_fits = fits;
      all_fit = all_fit && fits;
      for (const std::size_t a : admitted) {
        ASSERT_LE(config_.priorities[a], config_.priorities[i]) << "admitted before a more urgent one";
        const bool by_key = policy.fair && config_.keys[a] != config_.keys[i];
        if (by_key || (policy.longest_match_first && !policy.fair)) continue;
        ASSERT_LT(rank(a), rank(i)) << "admitted before an older one";
      }
    }
    const bool own_order = policy.fair || policy.longest_match_first;
    ASSERT_FALSE(room && any && (own_order ? all_fit : first_fits)) << "room, but not admitted";
  }

  void check_counters(const Node& node) const {
    const SchedulerCounters& c = node.scheduler.counters();
    std::int64_t n_submitted = 0, n_live = 0;
    for (const Seen& s : node.seen) {
      n_submitted += s.status != Seen::Unborn;
      n_live += lives(s);
    }
    ASSERT_EQ(c.submitted, n_submitted);
    ASSERT_EQ(c.submitted, c.finished + c.cancelled + c.refused + c.expired + n_live);
    if (n_live == 0) {
      ASSERT_EQ(node.scheduler.kv().n_free(), config_.n_blocks);
    }
    node.scheduler.verify();
  }

  // Steps alone bring every state to rest: no cycle.
  void expect_progress(std::size_t state) const {
    for (int i = 0; i < 100; ++i) {
      if (next_[state] == state) return;
      state = next_[state];
    }
    FAIL() << "livelock";
  }

  Config config_;
  std::array<Size, kRequests> sizes_;
  std::map<std::vector<std::uint64_t>, std::size_t> index_;
  std::vector<std::size_t> next_;  // the state after one undisturbed step
  std::int64_t n_hits_ = 0, n_preempted_ = 0;
};

constexpr std::array<Size, 3> kSizes = {{{1, 3}, {2, 2}, {3, 1}}};

struct Found {
  std::size_t n_states = 0;
  std::int64_t n_hits = 0, n_preempted = 0;
};

void explore_sizes(const Config& config, Found& found) {
  for (const Size a : kSizes) {
    for (const Size b : kSizes) {
      for (const Size c : kSizes) {
        PolicyExplorer explorer(config, {a, b, c});
        explorer.run();
        found.n_states += explorer.n_states();
        found.n_hits += explorer.n_hits();
        found.n_preempted += explorer.n_preempted();
        if (!testing::Test::HasFailure()) continue;
        FAIL() << format("{}{}, blocks {}x{}, budget {}, sequences {}, requests {}+{} {}+{} {}+{}, priorities {} {} "
                         "{}, {}",
                         config.policy.name, config.policy.fair ? " fair" : "", config.n_blocks, config.block_tokens,
                         config.step_tokens_max, config.sequences_max, a.n_prompt, a.n_gen, b.n_prompt, b.n_gen,
                         c.n_prompt, c.n_gen, config.priorities[0], config.priorities[1], config.priorities[2],
                         config.alike ? "alike" : "apart");
      }
    }
  }
}

// Pools and budgets that differ in what runs short: blocks, sequences, or tokens of a step.
Found explore_pools(Config config, bool more) {
  Found found;
  for (const auto& [n_blocks, block_tokens] : {std::pair{3, 1}, std::pair{3, 2}}) {
    for (const bool tokens_run_short : {true, false}) {
      for (const bool alike : {true, false}) {
        if (!more && (alike || !tokens_run_short)) continue;
        config.n_blocks = n_blocks;
        config.block_tokens = block_tokens;
        config.step_tokens_max = tokens_run_short ? 3 : 4;
        config.sequences_max = tokens_run_short ? 3 : 2;
        config.alike = alike;
        explore_sizes(config, found);
        if (testing::Test::HasFailure()) return found;
      }
    }
  }
  return found;
}

class EveryPolicy : public testing::TestWithParam<std::string_view> {};

INSTANTIATE_TEST_SUITE_P(Exhaustive, EveryPolicy, testing::Values("vllm", "llama.cpp", "sglang"),
                         [](const auto& info) {
                           std::string name(info.param);
                           std::erase(name, '.');
                           return name;
                         });

TEST_P(EveryPolicy, Plain) {
  const Policy policy = policy_named(GetParam(), "test");
  const Found found = explore_pools({.policy = policy}, true);
  // The enumeration really went through them.
  EXPECT_GT(found.n_states, 3000u);
  EXPECT_GT(found.n_hits, 300);
  EXPECT_EQ(found.n_preempted == 0, policy.slots);
}

TEST_P(EveryPolicy, WithPriorities) {
  for (const auto& priorities : {std::array{2, 1, 0}, std::array{1, 0, 1}}) {
    const Found found = explore_pools({.policy = policy_named(GetParam(), "test"), .priorities = priorities}, false);
    EXPECT_GT(found.n_states, 3000u);
  }
}

TEST_P(EveryPolicy, FairBetweenKeys) {
  Policy policy = policy_named(GetParam(), "test");
  policy.fair = true;
  EXPECT_GT(explore_pools({.policy = policy, .keys = {1, 1, 2}}, false).n_states, 3000u);
}

TEST_P(EveryPolicy, WithDeadlines) {
  const Policy policy = policy_named(GetParam(), "test");
  EXPECT_GT(explore_pools({.policy = policy, .deadlines = {1, 0, 1}}, false).n_states, 3000u);
}

}  // namespace
}  // namespace tinderbox
