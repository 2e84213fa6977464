// One step of a model as a flat list of ops in execution order. Interpreters switch over OpKind without
// `default`, so that a new op breaks the build in exactly these: verify (graph.cc), reference (reference.cc),
// count (twin/work.cc), execute (engine/execute.cc), op_name and op_class.
//
// A step runs `segments.size()` sequences; segment i contributes n_new tokens after n_past cached ones. Token
// rows of all segments are concatenated in order: T = sum n_new rows. Activations are (rows, cols) F32.
#pragma once

#include <array>
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
  Embed,       // in: weight (n_vocab, d); out (T, d)
  // rows -> rows
  RmsNorm,     // in: x (T, n*d), weight (1, d); n = cols/d heads normalised apart; out like x
  MatMul,      // in: x (T, k), weight (m, k), bias (1, m) or none; out (T, m) = x w^T + b
  Rope,        // in: x (T, heads*head_dim); out like x; positions n_past + i of each segment
  KvStore,     // in: k (T, kv_dim), v (T, kv_dim); appends to the layer's cache; no out
  Attention,   // in: q (T, q_dim), sinks (1, n_heads) or none; reads the layer's cache; out (T, q_dim)
  Glu,         // in: gate (T, f), up (T, f); out (T, f) by ModelConfig::activation
  Add,         // in: a, b; out a + b
  // experts: E experts, K used a token
  MoeRoute,    // in: router logits (T, E); out (T, 2K): K expert ids then K weights
  MoeMatMul,   // in: x (T, k) or (T*K, k), weight (E*m, k), routes, bias (E, m) or none; out (T*K, m)
  MoeCombine,  // in: y (T*K, d), routes; out (T, d): weighted sum over K
  // rows -> fewer rows
  SelectRows,  // in: x (T, d); out (S, d): the last row of each segment that samples
};
inline constexpr int kOpKinds = 12;

// Groups of ops that share their physics; prices and reports are per class. Router matrices are MatMul,
// MoeRoute and MoeCombine are Route, Rope, Glu, Add and SelectRows are Elementwise.
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

struct Op {
  OpKind kind{};
  OpClass op_class{};
  std::int32_t layer = -1;      // -1: before the first or after the last layer
  ValueId out = kNoValue;
  std::array<ValueId, 4> in{kNoValue, kNoValue, kNoValue, kNoValue};
  std::int32_t window = 0;      // Attention: 0 or the sliding window in tokens
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
