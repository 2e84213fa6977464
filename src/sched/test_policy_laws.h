// The laws of a step under each policy, for scheduler_policies_exhaustive_test.cc: order, room, fairness, preemption,
// and that what is at a place of the KV is what was written there. Tokens stand for themselves.
#pragma once

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sched/scheduler.h"
#include "sched/test_explored.h"

namespace tinderbox::explored {

inline constexpr std::size_t kRequests = 3;

struct Config {
  Policy policy = {};
  std::int32_t n_blocks = 1, block_tokens = 1, step_tokens_max = 1, sequences_max = 1;
  std::array<std::int32_t, kRequests> priorities = {0, 0, 0};
  std::array<std::uint64_t, kRequests> keys = {0, 0, 0};
  std::array<std::int64_t, kRequests> deadlines = {0, 0, 0};  // ns; 0: none
  bool alike = true;  // all prompts and answers; else they have the first token in common
};

struct Node {
  Scheduler scheduler;
  std::array<Seen, kRequests> seen;
  std::vector<TokenId> kv;  // by place
  std::int64_t time;        // ns
};

class PolicyLaws {
 public:
  PolicyLaws(Config config, std::array<Size, kRequests> sizes) : config_(config), sizes_(sizes) {}

  // At a position of a request's prompt and answer.
  TokenId token(std::size_t i, std::int32_t position) const {
    return position == 0 || config_.alike ? position : static_cast<TokenId>(10 * (i + 1)) + position;
  }

  // Of the step that is about to run; the node then knows who runs, and what is in the KV.
  void check_step(Node& node, const Step& step, std::int64_t n_preempted) {
    std::int32_t n_tokens = 0;
    bool prompts = false;
    std::set<std::size_t> in_step, admitted;
    for (const StepItem& item : step.items) {
      check_item(node, item);
      if (::testing::Test::HasFailure()) return;
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
    if (n_preempted > 0) {
      ASSERT_TRUE(admitted.empty());
    }
    for (const std::size_t i : in_step) node.seen[i].status = Seen::Running;
    const std::int32_t n_running = static_cast<std::int32_t>(
        std::ranges::count(node.seen, Seen::Running, [](const Seen& s) { return s.status; }));
    ASSERT_EQ(n_running, node.scheduler.n_running());
    ASSERT_LE(n_running, config_.sequences_max);
    const bool budget = n_tokens < config_.step_tokens_max || (config_.policy.prompts_alone && !prompts);
    const bool place = n_running < std::min(config_.sequences_max, config_.step_tokens_max);
    check_admission(node, admitted, budget && place && n_preempted == 0);
  }
  std::int64_t n_hits() const { return n_hits_; }
  std::int64_t n_preempted() const { return n_preempted_; }

 private:
  using Rank = std::pair<std::int32_t, std::size_t>;
  Rank rank(std::size_t i) const { return {config_.priorities[i], i}; }

  std::int32_t n_total(const Node& node, std::size_t i) const { return sizes_[i].n_prompt + node.seen[i].n_generated; }

  std::size_t place(const StepItem& item, std::int32_t i) const {
    const BlockId block = item.blocks[static_cast<std::size_t>(i / config_.block_tokens)];
    return static_cast<std::size_t>(block * config_.block_tokens + i % config_.block_tokens);
  }

  void check_item(const Node& node, const StepItem& item) {
    const auto i = static_cast<std::size_t>(item.seq);
    const Seen& s = node.seen[i];
    ASSERT_TRUE(s.lives());
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

  Config config_;
  std::array<Size, kRequests> sizes_;
  std::int64_t n_hits_ = 0, n_preempted_ = 0;
};

}  // namespace tinderbox::explored
