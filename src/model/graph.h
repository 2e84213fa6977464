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
  Embed,       // in: weight (n_vocab, d); out (T, d), times scale. n_used > 0: weight (n, w) of rows found by a
               // hash of the last tokens; out (T, n_used * w). positions: row n_past + i of a segment
  // rows -> rows
  RmsNorm,     // in: x (T, n*width), weight (1, width) or (1, n*width) or none; groups of width columns normalised
               // apart; out like x
  LayerNorm,   // in: x (T, c), weight (1, c), bias (1, c) or none; out like x
  MatMul,      // in: x (T, k), weight (m, k), bias (1, m) or none; out (T, m) = x w^T + b
  BlockMatMul, // in: x (T, n*k), weight (n*m, k); out (T, n*m): block i of x times block i of w, transposed;
               // weight (m, k) of all blocks if n_kv_heads is 1
  Rope,        // in: x (T, heads*width); out like x; positions n_past + i of each segment
  KvStore,     // in: k (T, kv_dim), v (T, v_dim) or none; appends a row of both to the layer's cache; no out
  PoolStore,   // in: x (T, o*c), gates (T, o*c) or none, their bias (ratio, o*c) or none, norm weight (1, c) or
               // none; for each `ratio` tokens that are complete appends one row (c) to the layer's cache: their
               // softmax-weighted sum by channel (mean without gates), normalised, rotated. o = overlap: 2 takes
               // the first half of the columns from the window before. Keeps the last o*ratio rows; no out
  Select,      // in: q (T, heads*qk_dim), weights (T, heads) or none; reads index keys of layer `cache`;
               // a key's score is the sum over heads of max(q k, 0), weighted; a block's the largest of its keys';
               // out (T, top_k): the best complete blocks of each token, -1 beyond
  Attention,   // in: q (T, heads*qk_dim), sinks (1, n_heads) or none, rotated part of q or none, selected blocks
               // (T, top_k) or none, bias of scores by distance (T, heads*extent) or none; reads the cache of
               // layer `cache` and, with a ratio, the pooled rows of layer `pooled`; out (T, heads*v_dim). See
               // attended_rows
  Conv,        // in: x (T, c), weight (c, kernel), bias (1, c) or none; out (T, c): causal, each channel apart;
               // keeps the last kernel - 1 rows; then its activation
  Scan,        // recurrent state of v_heads matrices, see ScanRule; out (T, v_heads*v_dim)
  Glu,         // in: gate (T, g), up (T, f) or none; out f(gate) * up; each gate covers f / g columns
  Add,         // in: a, b; out a + scale b
  Scale,       // in: x, weight (1, 1) or (1, d) or none; out softcap(scale w x)
  Dot,         // in: a, b (T, n*width); out (T, n) = scale * a b of each group
  StreamGates, // in: x (T, m), bias (1, m), scale (1, 3) or (1, 1); out (T, m): n read weights, sigmoid; with m =
               // (2 + n) n also n write weights, sigmoid, and an n by n matrix made doubly stochastic (Sinkhorn)
  StreamRead,  // in: x (T, n*d), weights (T, n) or none; out (T, d): weighted sum of the n streams, or their mean
  StreamWrite, // in: y (T, d), streams (T, n*d) or none, weights (T, n) or none, mixing (T, n*n) or none; out
               // (T, n*d): stream j is sum_i m_ij s_i + w_j y
  Slice,       // in: x (T, n*width); out (T, n*take): columns begin ... of each group; a view, no work
  // experts: E experts, K used a token
  MoeRoute,    // in: router logits (T, E), selection bias (1, E) or none, expert factors (1, E) or none;
               // out (T, 2K): K expert ids then K weights
  MoeMatMul,   // in: x (T, k) or (T*K, k), weight (E*m, k), routes, bias (E, m) or none; out (T*K, m)
  MoeCombine,  // in: y (T*K, d), routes; out (T, d): weighted sum over K
  // rows -> fewer rows
  SelectRows,  // in: x (T, d); out (S, d): the last row of each segment that samples
};
inline constexpr int kOpKinds = 24;

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
// PoolStore is KvStore, Select Attention; Dot and streams are Elementwise.
enum class OpClass : std::uint8_t {
  Embed, Norm, MatMul, LmHead, Attention, KvStore, Elementwise, Expert, Route, Scan,
};
inline constexpr int kOpClasses = 10;

// A layer may keep three caches: of tokens, of pooled tokens, of index keys.
enum class CacheKind : std::uint8_t { Main, Pooled, Index };

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
  bool latent = false;          // caches: a row is a key whose first v_dim columns are the value
  std::int32_t window = 0;      // Attention, KvStore: 0 or the sliding window in tokens
  double scale = 1.0;           // Attention, Dot: of q k; Embed, Add, Scale: a factor
  double softcap = 0.0;         // Attention, Scale: c tanh(x / c); 0: off
  std::int32_t extent = 0;      // Attention: distances with a bias
  CacheKind store = CacheKind::Main;  // KvStore, PoolStore, Select
  std::int32_t ratio = 0;       // PoolStore, Select, Attention (0: no pooled rows): tokens of a row
  std::int32_t overlap = 0;     // PoolStore
  std::int32_t top_k = 0, block = 0;  // Select, Attention: blocks selected, tokens of a block
  std::int32_t n_streams = 0, iterations = 0;  // StreamGates, StreamRead, StreamWrite
  bool inverse = false;         // Rope: backwards
  bool positions = false;       // Embed: rows are found by position
  std::int32_t width = 0;       // RmsNorm, Rope, Slice, Dot: columns of a group
  std::int32_t begin = 0;       // Slice: first column taken of each group; Rope: first rotated one
  std::int32_t n_dims = 0;      // Rope: rotated columns of a group
  LayerRope rope = LayerRope::None;  // Rope
  Activation activation = Activation::Identity;  // Glu, Conv
  ScanRule rule = ScanRule::GatedDelta;          // Scan
  DType state = DType::F32;                      // Scan, Conv: format of the kept state
  std::int32_t n_experts = 0, n_used = 0;        // MoeRoute, MoeMatMul, MoeCombine; Embed: rows a token
  bool norm_topk = false;                        // MoeRoute
  Routing routing{};                             // MoeRoute
  bool operator==(const OpAttributes&) const = default;
};

inline constexpr std::size_t kInputsMax = 6;

struct Op {
  OpKind kind{};
  OpClass op_class{};
  std::int32_t layer = -1;      // -1: before the first or after the last layer
  std::int32_t cache = -1;      // Attention, Select: layer whose cache it reads
  std::int32_t pooled = -1;     // Attention: layer whose pooled rows it reads
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
  ValueId hidden = kNoValue;      // of draft models: (T, d_model) that the model's last layer returned, given
};

// Requires at least one segment, every n_new >= 1 and n_past >= 0. No error cases.
Graph build_step(const ModelConfig& model, const WeightFormat& weights, DType kv_dtype,
                 std::vector<Segment> segments);

// The same for a head of multi-token prediction: a step of draft_model(model), whose hidden rows are given.
Graph build_draft_step(const ModelConfig& model, const WeightFormat& weights, DType kv_dtype,
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

// Rows that a query reads of n visible tokens. Without a selection: the window's and all pooled ones. With one:
// of the cache itself (no ratio) the selected blocks and the tokens of the incomplete one, otherwise the window
// and the selected pooled rows, a block of which is one.
struct AttendedRows {
  std::int64_t main = 0, pooled = 0;
};
inline AttendedRows attended_rows(const OpAttributes& at, std::int64_t n) {
  const std::int64_t near = at.window > 0 && n > at.window ? at.window : n;
  const auto best = [&](std::int64_t n_blocks) {
    return at.top_k > 0 && n_blocks > at.top_k ? std::int64_t{at.top_k} : n_blocks;
  };
  if (at.ratio > 0) return {near, best(n / at.ratio)};
  if (at.top_k > 0) return {best(n / at.block) * at.block + n % at.block, 0};
  return {near, 0};
}

}  // namespace tinderbox
