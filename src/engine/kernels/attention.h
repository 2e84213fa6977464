// Causal grouped-query attention over the paged F16 cache, by online softmax (Milakov and
// Gimelshein 2018; Dao et al. 2022): out = softmax(scale q K^T) V over the visible keys, without
// the matrix of scores. Key tiles are kKeyTile positions from position 0 in order, whatever the
// blocks and whoever shares the step, so that a query's result has the same bits alone and in any
// batch. Naive version and definition: kernels/naive.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kv_store.h"

namespace tinderbox {

inline constexpr int kKeyTile = 16;
// Queries of one task; they share the conversion of keys and values to F32.
inline constexpr int kTaskQueries = 32;

// One head of one token.
struct Query {
  const float* q;         // (head_dim)
  float* out;             // (head_dim)
  std::int64_t position;  // sees keys [max(0, position + 1 - window), position]
  float scale;            // on q.k
  float sink;             // logit of the sink if AttentionTask::sinks
};

struct AttentionTask {
  KvLayer kv{};
  std::span<const std::int32_t> blocks;  // of the sequence; covers every visible position
  int kv_head = 0;
  std::int64_t window = 0;  // 0: all
  bool sinks = false;       // a learnt logit joins the softmax and attends to nothing (gpt-oss)
  std::span<const Query>
      queries;  // at most kTaskQueries, of one sequence and kv head, positions ascending
};

// Floats of scratch memory that one worker needs.
std::size_t attention_scratch_floats(int head_dim);

// scratch: attention_scratch_floats(head_dim), 64-byte aligned, contents irrelevant but
// initialised.
void attention(const AttentionTask& task, float* scratch);

}  // namespace tinderbox
