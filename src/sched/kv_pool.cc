#include "sched/kv_pool.h"

#include <iterator>

#include "base/check.h"

namespace tinderbox {

KvPool::KvPool(std::int32_t n_blocks, std::int32_t block_tokens)
    : n_blocks_(n_blocks), block_tokens_(block_tokens) {
  CHECK(n_blocks >= 1 && block_tokens >= 1);
}

bool KvPool::grow(SeqId seq, std::int64_t n_tokens) {
  CHECK(n_tokens >= 0);
  const std::int64_t n_more = blocks_for(n_tokens) - std::ssize(blocks(seq));
  if (n_more <= 0) return true;
  if (!promise(n_more)) return false;
  settle(seq, n_tokens);
  return true;
}

bool KvPool::promise(std::int64_t n) {
  CHECK(n >= 0);
  if (n > n_free()) return false;
  if (const std::int64_t n_missing = n - n_empty(); n_missing > 0) {
    const std::size_t n_before = returned_.size();
    const std::int64_t n_evicted = cache_.evict(n_missing, returned_);
    take_back(n_evicted, n_before);
  }
  n_promised_ += static_cast<std::int32_t>(n);
  return true;
}

// n blocks have left the cache; the ids of those that have some are returned already.
void KvPool::take_back(std::int64_t n, std::size_t n_returned_before) {
  forgive(n - static_cast<std::int64_t>(returned_.size() - n_returned_before));
}

void KvPool::forgive(std::int64_t n) {
  CHECK(n >= 0 && n <= n_promised_);
  n_promised_ -= static_cast<std::int32_t>(n);
}

void KvPool::settle(SeqId seq, std::int64_t n_tokens) {
  std::vector<BlockId>& blocks = held_[seq];
  const std::int64_t n_more = blocks_for(n_tokens) - std::ssize(blocks);
  CHECK(n_more > 0 && n_more <= n_promised_);
  n_promised_ -= static_cast<std::int32_t>(n_more);
  for (std::int64_t i = 0; i < n_more; ++i) {
    if (returned_.empty()) {
      blocks.push_back(n_touched_++);
    } else {
      blocks.push_back(returned_.back());
      returned_.pop_back();
    }
  }
}

void KvPool::release(SeqId seq, std::int64_t n_shared) {
  const auto it = held_.find(seq);
  CHECK(it != held_.end() && std::ssize(it->second) >= n_shared);
  returned_.insert(returned_.end(), it->second.rbegin(), it->second.rend() - n_shared);
  held_.erase(it);
}

void KvPool::adopt(SeqId seq, PrefixCache::Node node) {
  std::vector<BlockId>& blocks = held_[seq];
  CHECK(blocks.empty());
  cache_.append_ids(node, blocks);
}

PrefixCache::Node KvPool::share(SeqId seq, PrefixCache::Node node, std::span<const KeyRun> keys,
                                std::int64_t from, std::int64_t to) {
  std::span<BlockId> ids;
  if (const auto it = held_.find(seq); it != held_.end()) {
    CHECK(std::ssize(it->second) >= to);
    ids = std::span(it->second).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
  }
  const std::size_t n_before = returned_.size();
  const PrefixCache::Put put = cache_.put(node, keys, from, to, ids, returned_);
  take_back(put.n_spare, n_before);
  return put.node;
}

void KvPool::leave(SeqId seq, PrefixCache::Node node, std::int64_t from, std::int64_t to) {
  std::span<const BlockId> ids = blocks(seq);
  if (!ids.empty()) ids = ids.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
  cache_.leave(node, to - from, ids);
}

void KvPool::drop(PrefixCache::Node root, std::span<const KeyRun> keys) {
  const std::size_t n_before = returned_.size();
  take_back(cache_.drop(root, keys, returned_), n_before);
}

void KvPool::forget() {
  const std::size_t n_before = returned_.size();
  take_back(cache_.evict(cache_.n_idle(), returned_), n_before);
}

std::span<const BlockId> KvPool::blocks(SeqId seq) const {
  const auto it = held_.find(seq);
  if (it == held_.end()) return {};
  return it->second;
}

void KvPool::verify() const {
  CHECK(n_touched_ <= n_blocks_ && n_promised_ >= 0 && n_free() >= 0);
  std::vector<bool> seen(static_cast<std::size_t>(n_touched_));
  std::size_t n_seen = 0;
  const auto see = [&](std::span<const BlockId> blocks) {
    for (const BlockId block : blocks) {
      CHECK(block >= 0 && block < n_touched_);
      CHECK(!seen[static_cast<std::size_t>(block)]);
      seen[static_cast<std::size_t>(block)] = true;
      ++n_seen;
    }
  };
  see(returned_);
  std::vector<BlockId> cached;
  cache_.verify(cached);
  see(cached);
  std::vector<bool> in_cache(seen.size());
  for (const BlockId block : cached) in_cache[static_cast<std::size_t>(block)] = true;
  for (const auto& [seq, blocks] : held_) {
    CHECK(!blocks.empty());
    bool shared = true;  // the first ones, until one is not
    for (const BlockId& block : blocks) {
      CHECK(block >= 0 && block < n_touched_);
      shared = shared && in_cache[static_cast<std::size_t>(block)];
      if (!shared) see({&block, 1});
    }
  }
  CHECK(n_seen == seen.size());
}

}  // namespace tinderbox
