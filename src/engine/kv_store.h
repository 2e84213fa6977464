// Keys and values of every layer, F16, in blocks of block_tokens positions that belong to one
// sequence each; a block id addresses the same block in all layers. All memory is reserved at
// construction. Layouts of one layer:
//   k (block, kv head, head_dim, block_tokens)   a vector register holds one dimension of several
//   keys v (block, kv head, block_tokens, head_dim)   a vector register holds several dimensions of
//   one value
#pragma once

#include <cstdint>

#include <hwy/aligned_allocator.h>

#include "model/config.h"

namespace tinderbox {

// One layer's cache, as the attention kernel reads it.
struct KvLayer {
  const std::uint16_t *k, *v;
  int block_tokens, n_kv_heads, head_dim;
};

class KvStore {
 public:
  // Throws Error::TooLarge with both numbers if the pool exceeds this computer's memory.
  KvStore(const ModelConfig& model, std::int32_t n_blocks, std::int32_t block_tokens);

  std::int32_t n_blocks() const { return n_blocks_; }
  std::int32_t block_tokens() const { return block_tokens_; }
  double bytes() const;

  // Stores one position's k and v (kv_dim), rounded to F16. Requires block and slot in range.
  void write(int layer, std::int32_t block, std::int32_t slot, const float* k, const float* v);
  KvLayer layer(int index) const;

 private:
  std::int64_t layer_values() const {
    return std::int64_t{n_blocks_} * block_tokens_ * n_kv_heads_ * head_dim_;
  }

  std::int32_t n_blocks_, block_tokens_;
  int n_layers_, n_kv_heads_, head_dim_;
  hwy::AlignedFreeUniquePtr<std::uint16_t[]> k_, v_;
};

}  // namespace tinderbox
