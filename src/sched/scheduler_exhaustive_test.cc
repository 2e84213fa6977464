// Every schedule of at most three requests of at most four tokens over at most three KV blocks,
// with every interleaving of submit, cancel (between steps and inside one) and step. States that
// look the same from outside are explored once: what a scheduler does depends on nothing else,
// because waiting and running sequences are always in order of submission (verify() checks that).
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "sched/scheduler.h"
#include "sched/test_explored.h"

namespace tinderbox {
namespace {

using namespace explored;

struct Config {
  std::int32_t n_blocks, block_tokens, step_tokens_max, sequences_max;
};

class Explorer {
 public:
  Explorer(Config config, std::vector<Size> sizes) : config_(config), sizes_(std::move(sizes)) {}

  // Stops at the first broken law; the test has then failed.
  void run() {
    Node start{Scheduler({.step_tokens_max = config_.step_tokens_max,
                          .sequences_max = config_.sequences_max,
                          .queue_max = 3,
                          .context_max = 8},
                         KvPool(config_.n_blocks, config_.block_tokens)),
               std::vector<Seen>(sizes_.size())};
    visit(start);
    for (const auto& [state, next] : next_) expect_progress(state);
  }
  std::size_t n_states() const { return next_.size(); }

 private:
  struct Node {
    Scheduler scheduler;
    std::vector<Seen> seen;
  };

  static std::uint32_t key(const Node& node) {
    std::uint32_t k = 0;
    for (const Seen& s : node.seen) {
      k = k << 8 | static_cast<std::uint32_t>(s.status << 6 | s.n_computed << 3 | s.n_generated);
    }
    return k;
  }

  void visit(const Node& node) {
    if (testing::Test::HasFailure() || next_.contains(key(node))) return;
    next_[key(node)] = 0;
    check_counters(node.scheduler, node.seen);
    // Inside a step, nothing happens, or one request is cancelled, or the next one arrives.
    const int n = static_cast<int>(node.seen.size());
    next_[key(node)] = step(node, [](Node&) {});
    for (int i = 0; i < n; ++i) {
      const auto status = node.seen[static_cast<std::size_t>(i)].status;
      if (node.seen[static_cast<std::size_t>(i)].lives()) {
        step(node, [&](Node& open) { cancel(open, i); });
        Node next = node;
        cancel(next, i);
        visit(next);
      }
      if (status == Seen::Unborn) {
        step(node, [&](Node& open) { submit(open, i); });
        Node next = node;
        submit(next, i);
        visit(next);
        break;  // requests are submitted in order
      }
    }
  }

  void submit(Node& node, int i) {
    const Size size = sizes_[static_cast<std::size_t>(i)];
    Request request;
    request.id = i;
    request.n_prompt = size.n_prompt;
    request.n_gen_max = size.n_gen;
    const bool fits = size.n_prompt + size.n_gen - 1 <= config_.n_blocks * config_.block_tokens;
    ASSERT_EQ(node.scheduler.submit(request), fits ? Admission::Accepted : Admission::NeverFits);
    node.seen[static_cast<std::size_t>(i)].status = fits ? Seen::Waiting : Seen::Gone;
  }

  void cancel(Node& node, int i) {
    ASSERT_TRUE(node.scheduler.cancel(i));
    node.seen[static_cast<std::size_t>(i)] = {.status = Seen::Gone};
  }

  template <typename F>
  std::uint32_t step(const Node& from, F&& meanwhile) {
    Node node = from;
    const std::int64_t preemptions = node.scheduler.counters().preemptions;
    const Step step = node.scheduler.schedule();
    if (step.items.empty()) {
      EXPECT_TRUE(node.scheduler.idle());
      return key(node);
    }
    see_preemptions(node, node.scheduler.counters().preemptions - preemptions);
    check_step(node, step);
    meanwhile(node);
    node.scheduler.verify();
    std::vector<TokenId> sampled;
    for (const StepItem& item : step.items) {
      if (item.samples) sampled.push_back(0);
    }
    node.scheduler.complete(step, sampled);
    see_step(node, step);
    visit(node);
    return key(node);
  }

  // The youngest running ones lose what was computed.
  static void see_preemptions(Node& node, std::int64_t n) {
    for (auto s = node.seen.rbegin(); s != node.seen.rend() && n > 0; ++s) {
      if (s->status != Seen::Running) continue;
      *s = {.status = Seen::Waiting, .n_computed = 0, .n_generated = s->n_generated};
      --n;
    }
    ASSERT_EQ(n, 0);
  }

  void see_step(Node& node, const Step& step) {
    for (const StepItem& item : step.items) {
      Seen& s = node.seen[static_cast<std::size_t>(item.seq)];
      if (s.status == Seen::Gone) continue;  // cancelled meanwhile
      s.n_computed = item.n_past + item.n_new;
      if (item.samples && ++s.n_generated == sizes_[static_cast<std::size_t>(item.seq)].n_gen) {
        s = {.status = Seen::Gone};
      }
    }
  }

  void check_step(Node& node, const Step& step) {
    std::int32_t n_tokens = 0;
    SeqId last = -1;
    std::set<BlockId> blocks;
    std::set<SeqId> in_step;
    for (const StepItem& item : step.items) {
      Seen& s = node.seen[static_cast<std::size_t>(item.seq)];
      const std::int32_t n_total =
          sizes_[static_cast<std::size_t>(item.seq)].n_prompt + s.n_generated;
      ASSERT_GT(item.seq, last) << "served out of order";
      last = item.seq;
      ASSERT_TRUE(s.lives());
      ASSERT_EQ(item.n_past, s.n_computed);
      ASSERT_GE(item.n_new, 1);
      ASSERT_LE(item.n_past + item.n_new, n_total);
      ASSERT_EQ(item.samples, item.n_past + item.n_new == n_total);
      ASSERT_EQ(static_cast<std::int64_t>(item.blocks.size()),
                node.scheduler.kv().blocks_for(item.n_past + item.n_new));
      for (const BlockId block : item.blocks)
        ASSERT_TRUE(blocks.insert(block).second) << "held twice";
      n_tokens += item.n_new;
      in_step.insert(item.seq);
      s.status = Seen::Running;
    }
    ASSERT_EQ(step.n_tokens, n_tokens);
    ASSERT_LE(n_tokens, config_.step_tokens_max);
    check_nobody_was_forgotten(node, in_step, n_tokens < config_.step_tokens_max);
  }

  // With budget left, every running sequence is in the step, and the first waiting one is not there
  // for a reason.
  void check_nobody_was_forgotten(const Node& node, const std::set<SeqId>& in_step,
                                  bool budget_left) {
    std::int32_t n_running = 0;
    for (const Seen& s : node.seen) n_running += s.status == Seen::Running;
    ASSERT_EQ(n_running, node.scheduler.n_running());
    bool waiting = false;
    for (std::size_t i = 0; i < node.seen.size(); ++i) {
      const Seen& s = node.seen[i];
      if (s.status == Seen::Running) {
        ASSERT_FALSE(waiting) << "admitted before an older one";
        ASSERT_TRUE(in_step.contains(static_cast<SeqId>(i)) || !budget_left)
            << "a running one is left out";
      }
      if (s.status != Seen::Waiting || waiting) continue;
      waiting = true;
      const KvPool& kv = node.scheduler.kv();
      const bool room = kv.blocks_for(sizes_[i].n_prompt + s.n_generated) <= kv.n_free();
      ASSERT_TRUE(!budget_left || n_running == config_.sequences_max || !room)
          << "room, but not admitted";
    }
  }

  // Steps alone bring every state to rest: no cycle.
  void expect_progress(std::uint32_t state) {
    for (int i = 0; i < 100; ++i) {
      const std::uint32_t next = next_.at(state);
      if (next == state) return;
      state = next;
    }
    FAIL() << "livelock";
  }

  Config config_;
  std::vector<Size> sizes_;
  std::map<std::uint32_t, std::uint32_t> next_;  // state -> state after one undisturbed step
};

constexpr std::array<Size, 6> kSizes = {{{1, 1}, {1, 2}, {1, 3}, {2, 1}, {2, 2}, {3, 1}}};

void explore_all(Config config) {
  std::size_t n_states = 0;
  for (const Size a : kSizes) {
    for (const Size b : kSizes) {
      for (const Size c : kSizes) {
        Explorer explorer(config, {a, b, c});
        explorer.run();
        n_states += explorer.n_states();
        if (testing::Test::HasFailure()) {
          FAIL() << "blocks " << config.n_blocks << "x" << config.block_tokens << ", budget "
                 << config.step_tokens_max << ", sequences " << config.sequences_max
                 << ", requests " << a.n_prompt << "+" << a.n_gen << " " << b.n_prompt << "+"
                 << b.n_gen << " " << c.n_prompt << "+" << c.n_gen;
        }
      }
    }
  }
  EXPECT_GT(n_states, 1000u);  // the enumeration really went through them
}

// Fewer requests are covered too: a later one may be submitted after everything else is over.
void explore_pools(std::int32_t block_tokens) {
  for (std::int32_t n_blocks = 1; n_blocks <= 3; ++n_blocks) {
    for (std::int32_t budget = 1; budget <= 4; ++budget) {
      for (std::int32_t sequences = 1; sequences <= 3; ++sequences) {
        explore_all({n_blocks, block_tokens, budget, sequences});
      }
    }
  }
}

TEST(SchedulerExhaustive, OneTokenBlocks) { explore_pools(1); }
TEST(SchedulerExhaustive, TwoTokenBlocks) { explore_pools(2); }

}  // namespace
}  // namespace tinderbox
