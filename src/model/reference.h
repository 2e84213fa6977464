// The naive interpreter: the living definition of every op. Plain loops, F32 storage of activations, double
// accumulation, no SIMD, no threads; slow on purpose. Every arithmetic operation and every byte of weights,
// KV and activations is tallied as it happens, which is what proves twin's count(). The engine is compared
// with it as well.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/sampling.h"
#include "model/graph.h"

namespace tinderbox {

// What one op did. Each add, mul, div, compare, exp, tanh, sqrt is one flop, a fused multiply-add two; signs,
// copies and the tables of cos and sin are free. Sums start at zero. Bytes are counted once per distinct
// location an op touches, a row of a weight or of the cache being dtype_bytes(dtype, cols). Closed forms,
// which count() states too (T tokens, S sampled, E experts, K used, L visible keys of a query, hd head_dim, r
// rope dims):
//
//   op          matmul_flops  vector_flops                     weight rows read      activation elements
//   Embed       0             0, with scale 1 for each element T (repeats count)     out
//   RmsNorm     0             4 n + 4 for each n normalised,   1                     x + out
//                               without weight 3 n + 4
//   LayerNorm   0             6 n + 5 for each row, 7 n + 5    1, bias 1             x + out
//                               with bias
//   MatMul      2 T m k       T m with bias                    m, bias 1             x + out
//   BlockMatMul 2 T n m k     0                                n m                   x + out
//   Rope        0             3 r T heads                      0                     x + out
//   KvStore     0             0                                0                     k + v
//   PoolStore   0             twin/work.cc: pool_flops for     bias ratio, norm 1    x + gates
//                               each row completed
//   Select      2 qk L for    2 L for each head, weighted 3 L; 0                     q + weights + out
//                 each head     1 for each block; with more
//                               keys to a block L more
//   Attention   2 (qk + v) L  6 L, with softcap 9 L, with      sinks 1               q + out + selected
//                               sinks 4 more, 1 for each                               + bias
//                               biased score
//                 (both for each query and head)
//   Conv        0             2 kernel + f for each element,   c, bias 1             x + out
//                               1 more with bias
//   Scan        6 k v, Mamba2 twin/work.cc: scan_flops         A, dt, D: 1 each      x + decay + beta + out
//                 4 k v for each head
//   Glu         0             f for each gate, 1 for each      0                     gate + up + out
//                               product; f: silu and sigmoid 3,
//                               gelu 5, gelu_tanh 9,
//                               swiglu_oai 8, relu2 2
//   Add         0             1 for each element, 2 scaled     0                     a + b + out
//   Scale       0             1 each for weight and factor, 3  1 with weight         x + out
//                               for softcap
//   Dot         0             2 for each element, 1 for each   0                     a + b + out
//                               group that is scaled
//   StreamGates 0             twin/work.cc: gates_flops        2                     x + out
//   StreamRead  0             n + 1, weighted 2 n, for each    0                     x + weights + out
//                               element of out
//   StreamWrite 0             for each element of out 2 n with 0                     y + streams + weights
//                               mixing, 1 with weights, 1 with                         + mixing + out
//                               streams
//   Slice       0             0                                0                     0
//   MoeRoute    0             T times route_flops of           bias, factors 1       logits + out
//                               twin/work.cc; plain softmax:
//                               K E - K (K - 1) / 2 + w,
//                               w: 4 K if norm_topk, else 3 E + K
//   MoeMatMul   2 T K m k     T K m with bias                  m, bias 1 for each    x + T K ids + out
//                                                                expert touched
//   MoeCombine  0             2 T K d                          0                     y + T K weights + out
//   SelectRows  0             0                                0                     S rows of x + out
//
// kv_write: T rows of key and value. kv_read: a row for each position that any query of a segment sees:
// n_past + n_new, or min(that, window + n_new - 1). Of selected rows each query's count again, up to all there
// are: which are the same is no property of the graph. Scan and Conv read and write their state once a segment;
// PoolStore writes what it keeps of the new tokens and reads the kept rows in segments that complete a row.
struct Tally {
  std::int64_t matmul_flops = 0;  // products with weights, q·k and p·v
  std::int64_t vector_flops = 0;  // everything else
  std::int64_t weight_bytes = 0, kv_read_bytes = 0, kv_write_bytes = 0;
  std::int64_t activation_bytes = 0;  // inputs read + outputs written
  std::int64_t experts_touched = 0;   // MoeMatMul: distinct experts
};

// What one sequence keeps: per layer, row-major (n_past, cols), k and v (latent attention: all in k), pooled rows
// and index keys, and every x | gates of PoolStore; of Scan (v_heads, k_dim, v_dim); of Conv, by its weight, the
// last inputs (kernel - 1, c). Default-constructed: nothing.
struct ReferenceKv {
  std::vector<std::vector<float>> k, v, pooled, index, pooled_inputs, index_inputs, state;
  std::map<std::string, std::vector<float>> conv;
};

class Reference {
 public:
  // weight(name) returns the dequantised weight, row-major (rows, cols) of the graph's Value.
  using WeightSource = std::function<std::span<const float>(const std::string& name)>;
  // kv_round_f16: cached k and v are rounded to f16, as an engine with an f16 cache does; otherwise they stay
  // f32.
  explicit Reference(WeightSource weights, bool kv_round_f16 = false)
      : weights_(std::move(weights)), kv_round_f16_(kv_round_f16) {}

  // Runs the step: tokens (T); kv[i] belongs to segment i and grows by n_new. Returns logits (S, n_vocab), or
  // an empty vector if nothing is sampled. tallies(), then, has one entry an op of graph.ops.
  std::vector<float> run(const Graph& graph, std::span<const TokenId> tokens, std::span<ReferenceKv> kv);
  const std::vector<Tally>& tallies() const { return tallies_; }

 private:
  WeightSource weights_;
  bool kv_round_f16_ = false;
  std::vector<Tally> tallies_;
};

}  // namespace tinderbox
