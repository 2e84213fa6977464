// The KV memory as a pool of equal blocks of block_tokens tokens each. Owned by the scheduler, used
// by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "sched/request.h"

namespace tinderbox {

class KvPool {
 public:
  // Requires n_blocks >= 1, block_tokens >= 1.
  KvPool(std::int32_t n_blocks, std::int32_t block_tokens);

  // Makes room for n_tokens in all for this sequence. false: too few free blocks, nothing changed.
  bool grow(SeqId seq, std::int64_t n_tokens);
  // Gives all blocks of the sequence back; CHECKs that it holds an entry.
  void release(SeqId seq);
  // In order of position; valid until the sequence's next grow or release. Empty if it holds none.
  std::span<const BlockId> blocks(SeqId seq) const;

  std::int32_t n_blocks() const { return n_blocks_; }
  std::int32_t n_free() const {
    return n_blocks_ - n_touched_ + static_cast<std::int32_t>(returned_.size());
  }
  std::int32_t block_tokens() const { return block_tokens_; }
  std::int64_t blocks_for(std::int64_t n_tokens) const {
    return (n_tokens + block_tokens_ - 1) / block_tokens_;
  }
  // CHECKs: free + held = all, no block twice.
  void verify() const;

 private:
  std::int32_t n_blocks_, block_tokens_;
  std::int32_t n_touched_ = 0;     // blocks below this one have been held before
  std::vector<BlockId> returned_;  // free ones among them; the last is given out first
  std::unordered_map<SeqId, std::vector<BlockId>> held_;
};

}  // namespace tinderbox
