// The transformer as a list of ops: one function a block, in reading order.
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "model/graph.h"

namespace tinderbox {
namespace {

class Builder {
 public:
  Builder(Graph& graph, const WeightFormat& weights)
      : graph_(graph), model_(graph.model), weights_(weights) {}

  void build();

 private:
  // (rows, cols) of the weight; its name gets the layer's prefix inside a layer.
  ValueId weight(std::string_view name, WeightClass weight_class, std::int64_t rows,
                 std::int64_t cols);
  ValueId norm_weight(std::string_view name, std::int64_t cols) {
    return weight(name, WeightClass::NormOrBias, 1, cols);
  }
  ValueId activation(std::int64_t rows, std::int64_t cols);
  ValueId op(OpKind kind, OpClass op_class, ValueId out, std::array<ValueId, 4> in, int window = 0);

  ValueId rms_norm(ValueId x, ValueId w);
  // x w^T + b for the matrix "<stem>.weight" (m, k) and, if wanted, "<stem>.bias".
  ValueId linear(ValueId x, std::string_view stem, WeightClass weight_class, std::int64_t m,
                 bool bias);
  ValueId expert_linear(ValueId x, std::string_view stem, std::int64_t m, ValueId routes);
  ValueId rope(ValueId x);
  ValueId add(ValueId a, ValueId b);
  ValueId glu(ValueId gate, ValueId up);

  ValueId attention_block(ValueId x);
  ValueId dense_mlp(ValueId x);
  ValueId expert_mlp(ValueId x);
  void head(ValueId x, ValueId embedding);

  std::int64_t rows(ValueId v) const { return graph_.values[static_cast<std::size_t>(v)].rows; }
  std::int64_t cols(ValueId v) const { return graph_.values[static_cast<std::size_t>(v)].cols; }

  Graph& graph_;
  const ModelConfig& model_;
  const WeightFormat& weights_;
  std::int32_t layer_ = -1;
};

ValueId Builder::weight(std::string_view name, WeightClass weight_class, std::int64_t rows,
                        std::int64_t cols) {
  const DType dtype = weights_.of(weight_class, name, layer_, model_.n_layers, cols);
  std::string full = layer_ < 0 ? std::string(name) : format("blk.{}.{}", layer_, name);
  graph_.values.push_back({Role::Weight, dtype, rows, cols, std::move(full), weight_class});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::activation(std::int64_t rows, std::int64_t cols) {
  graph_.values.push_back({Role::Activation, DType::F32, rows, cols, {}, WeightClass::NormOrBias});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::op(OpKind kind, OpClass op_class, ValueId out, std::array<ValueId, 4> in,
                    int window) {
  graph_.ops.push_back({kind, op_class, layer_, out, in, window});
  return out;
}

ValueId Builder::rms_norm(ValueId x, ValueId w) {
  return op(OpKind::RmsNorm, OpClass::Norm, activation(rows(x), cols(x)),
            {x, w, kNoValue, kNoValue});
}

ValueId Builder::linear(ValueId x, std::string_view stem, WeightClass weight_class, std::int64_t m,
                        bool bias) {
  const ValueId w = weight(format("{}.weight", stem), weight_class, m, cols(x));
  const ValueId b = bias ? norm_weight(format("{}.bias", stem), m) : kNoValue;
  return op(OpKind::MatMul, OpClass::MatMul, activation(rows(x), m), {x, w, b, kNoValue});
}

ValueId Builder::expert_linear(ValueId x, std::string_view stem, std::int64_t m, ValueId routes) {
  const std::int64_t n_experts = model_.n_experts;
  const ValueId w = weight(format("{}.weight", stem), WeightClass::Expert, n_experts * m, cols(x));
  const ValueId b = model_.mlp_bias
                        ? weight(format("{}.bias", stem), WeightClass::NormOrBias, n_experts, m)
                        : kNoValue;
  const ValueId out = activation(graph_.n_tokens * model_.n_experts_used, m);
  return op(OpKind::MoeMatMul, OpClass::Expert, out, {x, w, routes, b});
}

ValueId Builder::rope(ValueId x) {
  return op(OpKind::Rope, OpClass::Elementwise, activation(rows(x), cols(x)),
            {x, kNoValue, kNoValue, kNoValue});
}

ValueId Builder::add(ValueId a, ValueId b) {
  return op(OpKind::Add, OpClass::Elementwise, activation(rows(a), cols(a)),
            {a, b, kNoValue, kNoValue});
}

ValueId Builder::glu(ValueId gate, ValueId up) {
  return op(OpKind::Glu, OpClass::Elementwise, activation(rows(gate), cols(gate)),
            {gate, up, kNoValue, kNoValue});
}

ValueId Builder::attention_block(ValueId x) {
  const WeightClass attn = WeightClass::Attention;
  const ValueId h = rms_norm(x, norm_weight("attn_norm.weight", model_.d_model));
  ValueId q = linear(h, "attn_q", attn, model_.q_dim(), model_.qkv_bias);
  ValueId k = linear(h, "attn_k", attn, model_.kv_dim(), model_.qkv_bias);
  const ValueId v = linear(h, "attn_v", attn, model_.kv_dim(), model_.qkv_bias);
  if (model_.qk_norm) {
    q = rms_norm(q, norm_weight("attn_q_norm.weight", model_.head_dim));
    k = rms_norm(k, norm_weight("attn_k_norm.weight", model_.head_dim));
  }
  q = rope(q);
  k = rope(k);
  op(OpKind::KvStore, OpClass::KvStore, kNoValue, {k, v, kNoValue, kNoValue});
  const ValueId sinks =
      model_.attn_sinks ? norm_weight("attn_sinks.weight", model_.n_heads) : kNoValue;
  const ValueId mixed = op(OpKind::Attention, OpClass::Attention, activation(rows(q), cols(q)),
                           {q, sinks, kNoValue, kNoValue}, model_.window(layer_));
  return add(x, linear(mixed, "attn_output", attn, model_.d_model, model_.attn_out_bias));
}

ValueId Builder::dense_mlp(ValueId x) {
  const WeightClass mlp = WeightClass::DenseMlp;
  const ValueId gate = linear(x, "ffn_gate", mlp, model_.d_ff, model_.mlp_bias);
  const ValueId up = linear(x, "ffn_up", mlp, model_.d_ff, model_.mlp_bias);
  return linear(glu(gate, up), "ffn_down", mlp, model_.d_model, model_.mlp_bias);
}

ValueId Builder::expert_mlp(ValueId x) {
  const ValueId scores =
      linear(x, "ffn_gate_inp", WeightClass::Router, model_.n_experts, model_.mlp_bias);
  const ValueId routes =
      op(OpKind::MoeRoute, OpClass::Route, activation(rows(x), 2 * model_.n_experts_used),
         {scores, kNoValue, kNoValue, kNoValue});
  const ValueId gate = expert_linear(x, "ffn_gate_exps", model_.d_ff_expert, routes);
  const ValueId up = expert_linear(x, "ffn_up_exps", model_.d_ff_expert, routes);
  const ValueId down = expert_linear(glu(gate, up), "ffn_down_exps", model_.d_model, routes);
  return op(OpKind::MoeCombine, OpClass::Route, activation(rows(x), model_.d_model),
            {down, routes, kNoValue, kNoValue});
}

void Builder::head(ValueId x, ValueId embedding) {
  const ValueId last =
      op(OpKind::SelectRows, OpClass::Elementwise, activation(graph_.n_sampled, model_.d_model),
         {x, kNoValue, kNoValue, kNoValue});
  const ValueId h = rms_norm(last, norm_weight("output_norm.weight", model_.d_model));
  const ValueId w = model_.tied_embeddings ? embedding
                                           : weight("output.weight", WeightClass::LmHead,
                                                    model_.n_vocab, model_.d_model);
  graph_.logits = op(OpKind::MatMul, OpClass::LmHead, activation(graph_.n_sampled, model_.n_vocab),
                     {h, w, kNoValue, kNoValue});
}

void Builder::build() {
  // A tied matrix has one format; the head, which reads all of it, decides (as llama.cpp's
  // quantiser does).
  const WeightClass table = model_.tied_embeddings ? WeightClass::LmHead : WeightClass::Embedding;
  const ValueId embedding = weight("token_embd.weight", table, model_.n_vocab, model_.d_model);
  ValueId x = op(OpKind::Embed, OpClass::Embed, activation(graph_.n_tokens, model_.d_model),
                 {embedding, kNoValue, kNoValue, kNoValue});
  // llama.cpp names gpt-oss's second norm after the attention, not before the MLP; it is the same
  // norm.
  const bool gpt_oss = model_.family == "gpt_oss" || model_.family == "gpt-oss";
  const std::string_view ffn_norm = gpt_oss ? "post_attention_norm.weight" : "ffn_norm.weight";
  for (layer_ = 0; layer_ < model_.n_layers; ++layer_) {
    x = attention_block(x);
    const ValueId h = rms_norm(x, norm_weight(ffn_norm, model_.d_model));
    x = add(x, model_.is_moe() ? expert_mlp(h) : dense_mlp(h));
  }
  layer_ = -1;
  if (graph_.n_sampled > 0) head(x, embedding);
}

}  // namespace

Graph build_step(const ModelConfig& model, const WeightFormat& weights, DType kv_dtype,
                 std::vector<Segment> segments) {
  CHECK(!segments.empty());
  Graph graph;
  graph.model = model;
  graph.kv_dtype = kv_dtype;
  graph.segments = std::move(segments);
  for (const Segment& s : graph.segments) {
    CHECK(s.n_new >= 1 && s.n_past >= 0);
    graph.n_tokens += s.n_new;
    graph.n_sampled += s.samples ? 1 : 0;
  }
  const auto n_layers = static_cast<std::size_t>(model.n_layers);
  graph.ops.reserve(n_layers * 18 + 8);
  graph.values.reserve(n_layers * 36 + 8);
  Builder(graph, weights).build();
  return graph;
}

ParameterCount count_parameters(const ModelConfig& model) {
  WeightFormat any;
  any.embedding = any.lm_head = any.attention = any.dense_mlp = DType::F32;
  any.router = any.expert = any.norm_or_bias = DType::F32;
  const Graph graph = build_step(model, any, DType::F32, {Segment{.n_past = 0, .n_new = 1}});
  ParameterCount count;
  for (const Value& value : graph.values) {
    if (value.role != Role::Weight) continue;
    const double n = static_cast<double>(value.rows) * static_cast<double>(value.cols);
    // The bias of experts has a row an expert, as their matrices have m.
    const bool expert = value.name.find("_exps.") != std::string::npos;
    count.total += n;
    count.active += expert ? n * model.n_experts_used / model.n_experts : n;
  }
  return count;
}

}  // namespace tinderbox
