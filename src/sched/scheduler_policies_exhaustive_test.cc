// Every schedule of at most three requests of at most four tokens over at most three KV blocks, as in
// scheduler_exhaustive_test.cc, under each policy: prefix cache, slots, prompts alone, longest match first, fairness,
// priorities, deadlines. States from which a scheduler does the same whatever comes (Scheduler::state) are explored
// once. Tokens stand for themselves: what is at a place of the KV must be what was written there.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/text.h"
#include "sched/scheduler.h"
#include "sched/test_policy_laws.h"

namespace tinderbox {
namespace {

using namespace explored;

class PolicyExplorer {
 public:
  PolicyExplorer(Config config, std::array<Size, kRequests> sizes)
      : config_(config), sizes_(sizes), laws_(config, sizes) {}

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
  const PolicyLaws& laws() const { return laws_; }

 private:
  static std::vector<std::uint64_t> state_of(const Node& node) {
    std::vector<std::uint64_t> words = node.scheduler.state();
    words.push_back(static_cast<std::uint64_t>(node.time));
    for (const Seen& s : node.seen)
      words.push_back(static_cast<std::uint64_t>(s.status << 8 | s.n_computed << 4 | s.n_generated));
    return words;
  }
  std::size_t index_of(const Node& node) const { return index_.at(state_of(node)); }

  // Everything that can happen from here on.
  void visit(const Node& node) {
    if (testing::Test::HasFailure() || !index_.try_emplace(state_of(node), next_.size()).second) return;
    const std::size_t state = next_.size();
    next_.push_back(state);
    check_counters(node.scheduler, node.seen);
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
      if (!node.seen[i].lives() || config_.deadlines[i] != node.time) continue;
      node.seen[i] = {.status = Seen::Gone};
    }
  }

  void submit(Node& node, std::size_t i) const {
    Request request;
    request.id = static_cast<SeqId>(i);
    request.n_prompt = sizes_[i].n_prompt;
    request.n_gen_max = sizes_[i].n_gen;
    for (std::int32_t p = 0; p < request.n_prompt; ++p) request.prompt.push_back(laws_.token(i, p));
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
    laws_.check_step(node, step, node.scheduler.counters().preemptions - n_before);
    if (testing::Test::HasFailure()) return 0;
    meanwhile(node);
    node.scheduler.verify();
    std::vector<TokenId> sampled;
    for (const StepItem& item : step.items) {
      const auto i = static_cast<std::size_t>(item.seq);
      if (item.samples) sampled.push_back(laws_.token(i, item.n_past + item.n_new));
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
  PolicyLaws laws_;
  std::map<std::vector<std::uint64_t>, std::size_t> index_;
  std::vector<std::size_t> next_;  // the state after one undisturbed step
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
        found.n_hits += explorer.laws().n_hits();
        found.n_preempted += explorer.laws().n_preempted();
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
                         [](const auto& policy) {
                           std::string name(policy.param);
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
