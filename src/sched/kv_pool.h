// The KV memory as a pool of equal blocks of block_tokens tokens each. Owned by the scheduler, used
// by one thread. Blocks can be promised before it is known which ones they are: a simulation counts
// them and never asks. Blocks in the prefix cache that nobody uses count as free, and are forgotten when
// they are needed.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "sched/prefix_cache.h"
#include "sched/request.h"

namespace tinderbox {

class KvPool {
 public:
  // Requires n_blocks >= 1, block_tokens >= 1.
  KvPool(std::int32_t n_blocks, std::int32_t block_tokens);

  // Makes room for n_tokens in all for this sequence. false: too few free blocks, nothing changed.
  bool grow(SeqId seq, std::int64_t n_tokens);
  // Sets so many free blocks aside. false: too few, nothing changed.
  bool promise(std::int64_t n);
  // Promised blocks that nobody will ask for.
  void forgive(std::int64_t n);
  // Gives the sequence promised blocks until it holds n_tokens in all; CHECKs that so many are promised.
  void settle(SeqId seq, std::int64_t n_tokens);
  // Gives the sequence's blocks back, but for the first n_shared, which are the cache's. CHECKs that it holds an
  // entry.
  void release(SeqId seq, std::int64_t n_shared = 0);
  // Begins the sequence's blocks with those of the cache up to this node. It must hold none yet.
  void adopt(SeqId seq, PrefixCache::Node node);
  // Puts the sequence's blocks from ... to, settled or promised all of them, into the cache below `node`, which it
  // holds; returns the node that it then holds. Those that were there already are free again.
  PrefixCache::Node share(SeqId seq, PrefixCache::Node node, std::span<const KeyRun> keys, std::int64_t from,
                          std::int64_t to);
  // Likewise, of blocks that nobody can ask for: in use by nobody from now on.
  void leave(SeqId seq, PrefixCache::Node node, std::int64_t from, std::int64_t to);
  // Forgets what nobody uses of this beginning; see PrefixCache::drop.
  void drop(PrefixCache::Node root, std::span<const KeyRun> keys);
  // Forgets all that nobody uses: the memory behind the blocks goes.
  void forget();
  PrefixCache& cache() { return cache_; }
  const PrefixCache& cache() const { return cache_; }
  // In order of position; valid until the sequence's next grow or release. Empty if it holds none.
  std::span<const BlockId> blocks(SeqId seq) const;

  std::int32_t n_blocks() const { return n_blocks_; }
  std::int32_t n_free() const { return n_empty() + static_cast<std::int32_t>(cache_.n_idle()); }
  std::int32_t block_tokens() const { return block_tokens_; }
  std::int64_t blocks_for(std::int64_t n_tokens) const {
    return (n_tokens + block_tokens_ - 1) / block_tokens_;
  }
  // With those in the cache whose ids nobody has asked for.
  std::int32_t n_promised() const { return n_promised_; }
  // CHECKs: free + promised + held = all, no block twice but those in the cache.
  void verify() const;

 private:
  std::int32_t n_empty() const {
    return n_blocks_ - n_touched_ + static_cast<std::int32_t>(returned_.size()) - n_promised_;
  }
  void take_back(std::int64_t n, std::size_t n_returned_before);
  std::int32_t n_blocks_, block_tokens_;
  std::int32_t n_touched_ = 0;     // blocks below this one have been held before
  std::int32_t n_promised_ = 0;    // not yet anybody's, but not free
  std::vector<BlockId> returned_;  // free ones among them; the last is given out first
  std::unordered_map<SeqId, std::vector<BlockId>> held_;
  PrefixCache cache_;
};

}  // namespace tinderbox
