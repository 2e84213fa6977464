// One step of a model as a flat list of ops in execution order. Interpreters switch over OpKind without
// `default`, so that a new op breaks the build in exactly these: verify (graph.cc), reference (reference.cc),
// count (twin/work.cc), execute (engine/execute.cc), op_name and op_class.
//
// A step runs `segments.size()` sequences; segment i contributes n_new tokens after n_past cached ones. Token
// rows of all segments are concatenated in order: T = sum n_new rows. Activations are (rows, cols) F32.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/dtype.h"
#include "model/weight_format.h"

namespace tinderbox {

enum class OpKind : std::uint8_t {
  // token ids -> rows
  Embed,       // in: weight (n_vocab, d); out (T, d), times scale
  // rows -> rows
  RmsNorm,     // in: x (T, n*width), weight (1, width) or (1, n*width) or none; groups of width columns normalised
               // apart; out like x
  MatMul,      // in: x (T, k), weight (m, k), bias (1, m) or none; out (T, m) = x w^T + b
  BlockMatMul, // in: x (T, n*k), weight (n*m, k); out (T, n*m): block i of x times block i of w, transposed
  Rope,        // in: x (T, heads*width); out like x; positions n_past + i of each segment
  KvStore,     // in: k (T, kv_dim), v (T, v_dim) or none; appends a row of both to the layer's cache; no out
  Attention,   // in: q (T, heads*qk_dim), sinks (1, n_heads) or none, rotated part of q or none;
               // reads the cache of layer `cache`; out (T, heads*v_dim)
  Conv,        // in: x (T, c), weight (c, kernel), bias (1, c) or none; out (T, c): causal, each channel apart;
               // keeps the last kernel - 1 rows; then its activation
  Scan,        // recurrent state of v_heads matrices, see ScanRule; out (T, v_heads*v_dim)
  Glu,         // in: gate (T, g), up (T, f) or none; out f(gate) * up; each gate covers f / g columns
  Add,         // in: a, b; out a + scale b
  Scale,       // in: x, weight (1, 1) or (1, d) or none; out softcap(scale w x)
  Slice,       // in: x (T, n*width); out (T, n*take): columns begin ... of each group; a view, no work
  // experts: E experts, K used a token
  MoeRoute,    // in: router logits (T, E), selection bias (1, E) or none, expert factors (1, E) or none;
               // out (T, 2K): K expert ids then K weights
  MoeMatMul,   // in: x (T, k) or (T*K, k), weight (E*m, k), routes, bias (E, m) or none; out (T*K, m)
  MoeCombine,  // in: y (T*K, d), routes; out (T, d): weighted sum over K
  // rows -> fewer rows
  SelectRows,  // in: x (T, d); out (S, d): the last row of each segment that samples
};
inline constexpr int kOpKinds = 17;

// How a Scan updates its state S (k_dim, v_dim) of each value head from a token; value heads share key heads in
// equal runs. in: x = q | k | v of all heads, decay, beta, A, dt bias, D.
enum class ScanRule : std::uint8_t {
  // q, k of length 1, q / sqrt(k_dim); b = sigmoid(beta); S *= exp(A softplus(decay + dt));
  // S += k (b (v - S^T k))^T; out S^T q. decay, beta (T, v_heads); A, dt (1, v_heads).
  GatedDelta,
  // The same with decay (T, k_heads*k_dim), dt (1, k_heads*k_dim): each key channel apart.
  ChannelDelta,
  // x = v | k | q; d = softplus(decay + dt); S *= exp(A d); S += k (d v)^T; out S^T q + D v. No beta.
  Mamba2,
};

// Groups of ops that share their physics; prices and reports are per class. Router matrices are MatMul,
// MoeRoute and MoeCombine are Route; Rope, Glu, Add, Scale, Slice and SelectRows are Elementwise; Scan and
// Conv are Scan.
enum class OpClass : std::uint8_t {
  Embed, Norm, MatMul, LmHead, Attention, KvStore, Elementwise, Expert, Route, Scan,
};
inline constexpr int kOpClasses = 10;

enum class Role : std::uint8_t { Weight, Activation };

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

struct Value {
  Role role = Role::Activation;
  DType dtype = DType::F32;
  std::int64_t rows = 0, cols = 0;
  std::string name;  // weights only: the GGUF tensor name ("blk.0.attn_q.weight")
  WeightClass weight_class = WeightClass::NormOrBias;  // weights only
};

// What an op does beyond the shapes of its operands. An op leaves the fields it does not use at their defaults, so
// that ops that do the same work compare equal.
struct OpAttributes {
  // Attention, KvStore: heads of queries and of a cached row, and a head's widths. Scan: value heads and key heads.
  // BlockMatMul: n_heads blocks.
  std::int32_t n_heads = 0, n_kv_heads = 0, qk_dim = 0, v_dim = 0;
  bool latent = false;          // Attention, KvStore: a cached row is a key whose first v_dim columns are the value
  std::int32_t window = 0;      // Attention, KvStore: 0 or the sliding window in tokens
  double scale = 1.0;           // Attention: of q k; Embed, Add, Scale: a factor
  double softcap = 0.0;         // Attention, Scale: c tanh(x / c); 0: off
  std::int32_t width = 0;       // RmsNorm, Rope, Slice: columns of a group
  std::int32_t begin = 0;       // Slice: first column taken of each group; Rope: first rotated one
  std::int32_t n_dims = 0;      // Rope: rotated columns of a group
  LayerRope rope = LayerRope::None;  // Rope
  Activation activation = Activation::Identity;  // Glu, Conv
  ScanRule rule = ScanRule::GatedDelta;          // Scan
  DType state = DType::F32;                      // Scan, Conv: format of the kept state
  std::int32_t n_experts = 0, n_used = 0;        // MoeRoute, MoeMatMul, MoeCombine
  bool norm_topk = false;                        // MoeRoute
  Routing routing{};                             // MoeRoute
  bool operator==(const OpAttributes&) const = default;
};

inline constexpr std::size_t kInputsMax = 6;

struct Op {
  OpKind kind{};
  OpClass op_class{};
  std::int32_t layer = -1;      // -1: before the first or after the last layer
  std::int32_t cache = -1;      // Attention: layer whose cache it reads
  ValueId out = kNoValue;
  std::array<ValueId, kInputsMax> in{kNoValue, kNoValue, kNoValue, kNoValue, kNoValue, kNoValue};
  OpAttributes at{};
};

// One sequence's share of a step. samples: the last row's logits are wanted.
struct Segment {
  std::int32_t n_past = 0, n_new = 0;
  bool samples = true;
};

struct Graph {
  ModelConfig model;
  DType kv_dtype = DType::F16;
  std::vector<Value> values;
  std::vector<Op> ops;            // an op reads only weights and earlier outputs
  std::vector<Segment> segments;
  std::int64_t n_tokens = 0;      // T
  std::int64_t n_sampled = 0;     // S; 0: the graph ends before the final norm and head
  ValueId logits = kNoValue;      // (S, n_vocab); kNoValue if S == 0
};

// Requires at least one segment, every n_new >= 1 and n_past >= 0. No error cases.
Graph build_step(const ModelConfig& model, const WeightFormat& weights, DType kv_dtype,
                 std::vector<Segment> segments);

// CHECKs every rule of the op set: shapes agree, inputs precede outputs, each weight name appears once a
// layer use, segments sum to n_tokens.
void verify(const Graph& graph);

std::string_view op_name(OpKind kind);
std::string_view op_class_name(OpClass op_class);

// Visible keys of the i-th new token of a segment: all earlier ones and itself, at most `window` unless 0.
inline std::int64_t visible_keys(const Segment& s, std::int64_t i, std::int32_t window) {
  const std::int64_t keys = s.n_past + i + 1;
  return window > 0 && keys > window ? window : keys;
}

}  // namespace tinderbox
