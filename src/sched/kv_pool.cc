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
  n_promised_ += static_cast<std::int32_t>(n);
  return true;
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

void KvPool::release(SeqId seq) {
  const auto it = held_.find(seq);
  CHECK(it != held_.end());
  returned_.insert(returned_.end(), it->second.rbegin(), it->second.rend());
  held_.erase(it);
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
  for (const auto& [seq, blocks] : held_) {
    CHECK(!blocks.empty());
    see(blocks);
  }
  CHECK(n_seen == seen.size());
}

}  // namespace tinderbox
