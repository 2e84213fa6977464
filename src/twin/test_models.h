// Models, machines and stacks for the twin's tests: random tiny models that exercise every op, and
// a machine of round numbers on which prices can be worked out by hand.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "base/random.h"
#include "twin/step_model.h"

namespace tinderbox::testing {

template <typename T>
T pick(Random& random, const std::vector<T>& from) {
  return from[static_cast<std::size_t>(
      random.range(0, static_cast<std::int64_t>(from.size()) - 1))];
}
inline bool coin(Random& random) { return random.range(0, 1) == 1; }

inline ModelConfig random_model(Random& random) {
  ModelConfig m;
  m.id = "tiny";
  m.family = coin(random) ? "llama" : "gpt_oss";
  m.n_layers = static_cast<int>(random.range(1, 4));
  m.n_kv_heads = static_cast<int>(random.range(1, 2));
  m.n_heads = m.n_kv_heads * static_cast<int>(random.range(1, 3));
  m.head_dim = pick<int>(random, {8, 16, 32});
  m.d_model = pick<int>(random, {32, 64});
  m.d_ff = pick<int>(random, {32, 96});
  m.n_vocab = static_cast<int>(random.range(16, 50));
  m.n_ctx = 64;
  m.rope.n_dims = coin(random) ? m.head_dim : m.head_dim / 2;
  m.rope.interleaved = coin(random);
  m.activation =
      pick<Activation>(random, {Activation::Silu, Activation::GeluTanh, Activation::SwigluOai});
  m.qkv_bias = coin(random);
  m.attn_out_bias = coin(random);
  m.mlp_bias = coin(random);
  m.qk_norm = coin(random);
  m.attn_sinks = coin(random);
  m.tied_embeddings = coin(random);
  if (coin(random)) {
    m.n_experts = static_cast<int>(random.range(2, 6));
    m.n_experts_used = static_cast<int>(random.range(1, m.n_experts));
    m.d_ff_expert = 32;
    m.moe_norm_topk = coin(random);
  }
  if (coin(random)) {
    const int window = static_cast<int>(random.range(1, 6));
    for (int i = 0; i < m.n_layers; ++i) m.layer_window.push_back(i % 2 == 0 ? window : 0);
  }
  return m;
}

inline WeightFormat random_format(Random& random) {
  const std::vector<DType> any{DType::F32,  DType::F16,  DType::BF16,
                               DType::Q8_0, DType::Q4_0, DType::MXFP4};
  WeightFormat f;
  f.name = "random";
  f.embedding = pick(random, any);
  f.lm_head = pick(random, any);
  f.attention = pick(random, any);
  f.dense_mlp = pick(random, any);
  f.router = pick<DType>(random, {DType::F32, DType::F16});
  f.expert = pick(random, any);
  f.shared_expert = pick(random, any);
  f.linear_attention = pick(random, any);
  f.per_layer_embedding = pick(random, any);
  f.latent = pick(random, any);
  f.norm_or_bias = pick<DType>(random, {DType::F32, DType::F16});
  return f;
}

inline std::vector<Segment> random_segments(Random& random, std::int64_t past_max = 7,
                                            std::int64_t new_max = 5) {
  std::vector<Segment> segments(static_cast<std::size_t>(random.range(1, 3)));
  for (Segment& s : segments) {
    s.n_past = static_cast<std::int32_t>(random.range(0, past_max));
    s.n_new = static_cast<std::int32_t>(random.range(1, new_max));
    s.samples = coin(random);
  }
  return segments;
}

// 1 TFLOP/s of F16, half of it at clock_heavy, twice of FP8; 100 GB/s; 1 MB of L2.
inline Machine round_machine() {
  Machine m;
  m.id = "round";
  m.n_units = 10;
  m.flops_per_clock = {25, 50, 100, 200, 400, 200};  // by MathType
  m.clock_light = Hertz(1e9);
  m.clock_heavy = Hertz(0.5e9);
  m.l2_size = Bytes(1e6);
  m.memory_size = m.memory_visible = Bytes(128e9);
  m.memory_safe = Bytes(100e9);
  m.memory_freeze = Bytes(120e9);
  m.memory_bandwidth = m.memory_read_bandwidth = BytesPerSecond(100e9);
  m.kernel_launch = Seconds(10e-6);
  return m;
}

// Every format by one kernel that reaches the peaks; 1 us a kernel of a graph, 10 us alone, 20 us a step, 3 us a
// sequence.
inline Stack round_stack() {
  Stack s;
  s.id = "round";
  s.graphs = true;
  s.kernels = {{.name = "plain", .math = MathType::F16, .fitted = true}};
  s.format_kernels.fill(0);
  s.price.kernel_time = 10e-6;
  s.price.graph_kernel_time = 1e-6;
  s.price.eager_kernel_time = 4e-6;
  s.price.step_time = 20e-6;
  s.price.sequence_time = 3e-6;
  s.price.answer_tokens = 1e30;  // answers are as long as asked for
  s.launches.fill(1);
  s.kv_default = "f16";
  s.step_tokens_max = 512;
  s.sequences_max = 64;
  s.block_tokens = 16;
  s.memory.runtime = Bytes(1e9);
  return s;
}

// 32 layers, 8 B parameters.
inline ModelConfig dense_model() {
  ModelConfig m;
  m.id = "dense-8b";
  m.family = "llama";
  m.n_layers = 32;
  m.n_heads = 32;
  m.n_kv_heads = 8;
  m.head_dim = 128;
  m.d_model = 4096;
  m.d_ff = 14336;
  m.n_vocab = 128256;
  m.n_ctx = 131072;
  m.rope.n_dims = 128;
  return m;
}

inline WeightFormat all_in(DType dtype) { return uniform_weight_format(dtype); }

// The two above with plain F16: what most tests start from.
inline TwinModel round_twin() {
  return {round_machine(), round_stack(), dense_model(), all_in(DType::F16), DType::F16};
}

inline StepModel dense_twin() {
  return StepModel(round_twin());
}

// 8 B parameters in FP8 on a machine of round numbers; about 80 ms a decode step.
inline StepModel fp8_twin_on(Machine machine) {
  return StepModel({.machine = std::move(machine),
                    .stack = round_stack(),
                    .model = dense_model(),
                    .weights = all_in(DType::FP8),
                    .kv = DType::F16});
}
inline const StepModel& fp8_twin() {
  static const StepModel model = fp8_twin_on(round_machine());
  return model;
}

inline StepModel windowed_moe_twin() {
  ModelConfig model = dense_model();
  model.n_experts = 32;
  model.n_experts_used = 4;
  model.d_ff_expert = 1024;
  for (int i = 0; i < model.n_layers; ++i) model.layer_window.push_back(i % 2 == 0 ? 128 : 0);
  return StepModel({round_machine(), round_stack(), model, all_in(DType::Q8_0), DType::F16});
}

}  // namespace tinderbox::testing
