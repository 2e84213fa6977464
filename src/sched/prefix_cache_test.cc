// The tree against a list of beginnings: what was put and not yet forgotten is found, and nothing
// else.
#include "sched/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"

namespace tinderbox {
namespace {

std::int64_t found(const PrefixCache& cache, const std::vector<KeyRun>& keys) {
  return cache.match(PrefixCache::kRoot, keys, 1000).n_blocks;
}

PrefixCache::Node put_all(PrefixCache& cache, const std::vector<KeyRun>& keys) {
  std::vector<BlockId> spare;
  return cache.put(PrefixCache::kRoot, keys, 0, n_blocks(keys), {}, spare).node;
}

std::vector<KeyRun> named(std::vector<Content> contents, std::int32_t block_tokens = 4) {
  return keys_of(contents, block_tokens);
}

TEST(PrefixKeys, OfContentsAreOfFullBlocks) {
  EXPECT_EQ(n_blocks(named({{1, 3}})), 0);
  EXPECT_EQ(n_blocks(named({{1, 3}, {2, 1}})), 1);
  EXPECT_EQ(n_blocks(named({{1, 10}})), 2);
  EXPECT_EQ(named({{1, 40}}).size(), 1u);  // one run, whatever its length
  // A block of two contents is like another one only if both parts are.
  EXPECT_EQ(named({{1, 3}, {2, 5}})[0].key, named({{1, 3}, {2, 9}})[0].key);
  EXPECT_NE(named({{1, 3}, {2, 5}})[0].key, named({{1, 2}, {2, 6}})[0].key);
  EXPECT_NE(named({{1, 3}, {2, 5}})[0].key, named({{1, 8}})[0].key);
  EXPECT_NE(named({{1, 4}})[0].key, named({{2, 4}})[0].key);
  EXPECT_NE(own_key(1), named({{1, 4}})[0].key);
}

// Runs are the blocks one by one.
TEST(PrefixKeys, DoNotDependOnHowContentsAreCut) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed, Stream::Test);
    const auto block_tokens = static_cast<std::int32_t>(random.range(1, 9));
    std::vector<Content> contents;
    for (std::int64_t n = random.range(0, 8); n > 0; --n) {
      contents.push_back({static_cast<std::uint64_t>(random.range(0, 2)),
                          static_cast<std::int32_t>(random.range(1, 30))});
    }
    std::int64_t n_tokens = 0;
    for (const Content& c : contents) n_tokens += c.n_tokens;
    const auto whole = keys_of(contents, block_tokens);
    ASSERT_EQ(n_blocks(whole), n_tokens / block_tokens);
    // A longer beginning has the keys of a shorter one.
    if (contents.empty()) continue;
    contents.back().n_tokens += static_cast<std::int32_t>(random.range(0, 40));
    PrefixCache cache;
    put_all(cache, keys_of(contents, block_tokens));
    EXPECT_EQ(found(cache, whole), n_tokens / block_tokens) << seed;
  }
}

TEST(PrefixKeys, OfTokensAreTheSameForTheSameTokensOnly) {
  const std::vector<TokenId> a = {1, 2, 3, 4, 5, 6, 7, 8, 9}, b = {1, 2, 3, 4, 5, 6, 8, 7, 9};
  std::vector<KeyRun> of_a, of_b, grown;
  const SipKey secret{1, 2};
  append_keys(of_a, a, 4, secret);
  append_keys(of_b, b, 4, secret);
  append_keys(grown, std::span(a).first(5), 4, secret);
  append_keys(grown, a, 4, secret);
  ASSERT_EQ(n_blocks(of_a), 2);
  EXPECT_EQ(of_a[0].key, of_b[0].key);
  EXPECT_NE(of_a[1].key, of_b[1].key);
  ASSERT_EQ(grown.size(), 2u);
  EXPECT_EQ(grown[1].key, of_a[1].key);
  // Without the secret nobody knows their names, of either half.
  for (const SipKey other : {SipKey{1, 3}, SipKey{2, 2}}) {
    std::vector<KeyRun> elsewhere;
    append_keys(elsewhere, a, 4, other);
    EXPECT_NE(elsewhere[0].key.high, of_a[0].key.high);
    EXPECT_NE(elsewhere[0].key.low, of_a[0].key.low);
  }
}

TEST(PrefixCache, ForgetsTheLeastRecentlyUsedFromItsEnd) {
  PrefixCache cache;
  const auto a = named({{1, 8}, {2, 8}}), b = named({{1, 8}, {3, 12}});
  const auto node_a = put_all(cache, a), node_b = put_all(cache, b);
  EXPECT_EQ(cache.n_used(), 7);
  cache.release(node_a);
  EXPECT_EQ(cache.n_idle(), 2);  // the first two blocks are b's as well
  cache.release(node_b);
  EXPECT_EQ(cache.n_idle(), 7);
  std::vector<BlockId> ids;
  cache.evict(1, ids);
  EXPECT_EQ(found(cache, a), 3);
  cache.evict(2, ids);
  EXPECT_EQ(found(cache, a), 2);
  EXPECT_EQ(found(cache, b), 4);
  cache.evict(4, ids);
  EXPECT_EQ(found(cache, a), 0);
  EXPECT_EQ(found(cache, b), 0);
}

TEST(PrefixCache, WhatIsUsedIsKept) {
  PrefixCache cache;
  const auto a = named({{1, 40}});
  cache.release(put_all(cache, a));
  const auto part = cache.acquire(PrefixCache::kRoot, a, 3);
  EXPECT_EQ(cache.n_used(), 3);
  EXPECT_EQ(cache.match(PrefixCache::kRoot, a, 5).n_blocks, 5);
  EXPECT_EQ(cache.match(PrefixCache::kRoot, a, 5).n_idle, 2);
  std::vector<BlockId> ids;
  cache.evict(cache.n_idle(), ids);
  EXPECT_EQ(found(cache, a), 3);
  EXPECT_DEATH(cache.evict(1, ids), "CHECK failed");
  cache.release(part);
  EXPECT_EQ(cache.n_idle(), 3);
}

TEST(PrefixCache, RootsShareNothing) {
  PrefixCache cache;
  const auto other = cache.add_root();
  const auto a = named({{1, 40}});
  cache.release(put_all(cache, a));
  EXPECT_EQ(cache.match(other, a, 100).n_blocks, 0);
  std::vector<BlockId> ids;
  EXPECT_EQ(cache.drop(other, a, ids), 0);
  EXPECT_EQ(cache.drop(PrefixCache::kRoot, a, ids), 10);
  EXPECT_EQ(found(cache, a), 0);
}

// A naive cache: every block by the whole of its beginning, with its holders, and since when it has
// had none.
class Naive {
 public:
  using Beginning = std::vector<std::uint64_t>;

  std::int64_t longest(const Beginning& b) const {
    std::int64_t n = 0;
    while (n < std::ssize(b) && blocks_.contains(first(b, n + 1))) ++n;
    return n;
  }
  void hold(const Beginning& b) {
    for (std::int64_t n = 1; n <= std::ssize(b); ++n) ++blocks_[first(b, n)].n_holders;
  }
  void release(const Beginning& b) {
    for (std::int64_t n = std::ssize(b); n > 0; --n) {
      Block& block = blocks_.at(first(b, n));
      if (--block.n_holders == 0) block.idle_since = ++clock_;
    }
  }
  void evict_oldest() {
    auto oldest = blocks_.end();
    for (auto it = blocks_.begin(); it != blocks_.end(); ++it) {
      if (it->second.n_holders > 0) continue;
      if (oldest == blocks_.end() || it->second.idle_since < oldest->second.idle_since) oldest = it;
    }
    blocks_.erase(oldest);
  }
  std::int64_t n_idle() const {
    return std::ranges::count_if(blocks_, [](const auto& b) { return b.second.n_holders == 0; });
  }
  std::int64_t size() const { return std::ssize(blocks_); }
  template <typename F>
  void for_each(F&& f) const {
    for (const auto& [beginning, block] : blocks_) f(beginning);
  }

 private:
  struct Block {
    std::int64_t n_holders = 0, idle_since = 0;
  };
  static Beginning first(const Beginning& b, std::int64_t n) { return {b.begin(), b.begin() + n}; }
  std::map<Beginning, Block> blocks_;
  std::int64_t clock_ = 0;
};

// Both, used alike; blocks of one token.
struct Both {
  PrefixCache cache;
  Naive naive;
  BlockId next_id = 0;
  std::vector<std::pair<PrefixCache::Node, Naive::Beginning>> held;
  std::int64_t n_found = 0, n_spare = 0;

  static std::vector<KeyRun> keys(const Naive::Beginning& b) {
    std::vector<Content> contents;
    for (const std::uint64_t id : b) contents.push_back({id, 1});
    return keys_of(contents, 1);
  }
  void put(const Naive::Beginning& b, bool raced) {
    const auto n = std::ssize(b);
    const auto match = cache.match(PrefixCache::kRoot, keys(b), n);
    ASSERT_EQ(match.n_blocks, naive.longest(b));
    n_found += match.n_blocks;
    const Naive::Beginning there(b.begin(), b.begin() + match.n_blocks);
    const auto node = cache.acquire(PrefixCache::kRoot, keys(b), match.n_blocks);
    naive.hold(there);
    std::vector<BlockId> ids, spare;
    for (std::int64_t k = match.n_blocks; k < n; ++k) ids.push_back(next_id++);
    if (raced && match.n_blocks < n) {  // somebody else puts the next one meanwhile
      const Naive::Beginning theirs(b.begin(), b.begin() + match.n_blocks + 1);
      std::vector<BlockId> id(1, next_id++), none;
      const auto other = cache.acquire(PrefixCache::kRoot, keys(b), match.n_blocks);
      cache.release(cache.put(other, keys(b), match.n_blocks, match.n_blocks + 1, id, none).node);
      naive.hold(theirs);
      naive.release(theirs);
    }
    const auto put = cache.put(node, keys(b), match.n_blocks, n, ids, spare);
    naive.hold(b);
    naive.release(there);
    ASSERT_EQ(put.n_spare, std::ssize(spare));
    n_spare += put.n_spare;
    std::vector<BlockId> path;
    cache.append_ids(put.node, path);
    ASSERT_EQ(std::ssize(path), n);
    ASSERT_TRUE(std::equal(ids.begin(), ids.end(), path.end() - std::ssize(ids)));
    held.emplace_back(put.node, b);
  }
  void release(std::size_t i) {
    cache.release(held[i].first);
    naive.release(held[i].second);
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void evict(std::int64_t n) {
    std::vector<BlockId> before, after, evicted;
    cache.verify(before);
    cache.evict(n, evicted);
    for (std::int64_t i = 0; i < n; ++i) naive.evict_oldest();
    cache.verify(after);
    ASSERT_EQ(after.size() + evicted.size(), before.size());
    ASSERT_EQ(std::ssize(evicted), n);
  }
  void compare() const {
    ASSERT_EQ(cache.n_idle(), naive.n_idle());
    ASSERT_EQ(cache.n_idle() + cache.n_used(), naive.size());
    naive.for_each(
        [&](const Naive::Beginning& b) { ASSERT_EQ(found(cache, keys(b)), std::ssize(b)); });
  }
};

TEST(PrefixCache, KeepsAndForgetsWhatANaiveOneDoes) {
  std::int64_t n_found = 0, n_spare = 0, n_evicted = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed, Stream::Test);
    Both both;
    for (int i = 0; i < 60; ++i) {
      Naive::Beginning beginning;
      for (std::int64_t n = random.range(1, 4); n > 0; --n) {
        const auto id = static_cast<std::uint64_t>(random.range(0, 2));
        beginning.insert(beginning.end(), static_cast<std::size_t>(random.range(1, 4)), id);
      }
      both.put(beginning, random.range(0, 3) == 0);
      while (both.held.size() > 4 || (!both.held.empty() && random.range(0, 2) == 0)) {
        both.release(static_cast<std::size_t>(random.range(0, std::ssize(both.held) - 1)));
      }
      if (random.range(0, 3) == 0) {
        const std::int64_t n = random.range(0, both.cache.n_idle());
        both.evict(n);
        n_evicted += n;
      }
      both.compare();
      if (HasFatalFailure()) return;
    }
    n_found += both.n_found;
    n_spare += both.n_spare;
  }
  EXPECT_GT(n_found, 10'000);
  EXPECT_GT(n_spare, 100);
  EXPECT_GT(n_evicted, 10'000);
}

}  // namespace
}  // namespace tinderbox
