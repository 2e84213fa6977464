// The transformer as a list of ops: what all blocks share, in reading order; the blocks themselves
// stand in the other build_*.cc.
#include "model/build_step.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox {
namespace build {

ValueId Builder::weight(std::string_view name, WeightClass weight_class, std::int64_t rows,
                        std::int64_t cols) {
  const bool shared = weight_class == WeightClass::Embedding || weight_class == WeightClass::LmHead;
  if (model_.draft && !shared) weight_class = WeightClass::Mtp;
  const DType dtype = weights_.of(weight_class, name, layer_, model_.n_layers, cols);
  std::string full = layer_ < 0 ? std::string(name) : format("blk.{}.{}", layer_, name);
  graph_.values.push_back({Role::Weight, dtype, rows, cols, std::move(full), weight_class});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::activation(std::int64_t rows, std::int64_t cols) {
  graph_.values.push_back({Role::Activation, DType::F32, rows, cols, {}, WeightClass::NormOrBias});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

Op& Builder::op(OpKind kind, OpClass op_class, ValueId out, std::initializer_list<ValueId> in) {
  CHECK(in.size() <= kInputsMax);
  Op& op = graph_.ops.emplace_back();
  op.kind = kind;
  op.op_class = op_class;
  op.layer = layer_;
  op.out = out;
  std::ranges::copy(in, op.in.begin());
  return op;
}

Op& Builder::like(ValueId x, OpKind kind, OpClass op_class, std::initializer_list<ValueId> in) {
  return op(kind, op_class, activation(rows(x), cols(x)), in);
}

ValueId Builder::rms_norm(ValueId x, ValueId w, std::int64_t width) {
  Op& norm = like(x, OpKind::RmsNorm, OpClass::Norm, {x, w});
  norm.at.width = static_cast<std::int32_t>(width > 0 ? width : cols(x));
  return norm.out;
}

ValueId Builder::norm(ValueId x, std::string_view name) {
  const ValueId w = vector(name, cols(x));
  if (!model_.layer_norm) return rms_norm(x, w);
  const std::string stem(name.substr(0, name.rfind('.')));
  return layer_norm(x, w, vector(stem + ".bias", cols(x)));
}

ValueId Builder::linear(ValueId x, std::string_view stem, WeightClass weight_class, std::int64_t m,
                        bool bias) {
  const ValueId w = weight(format("{}.weight", stem), weight_class, m, cols(x));
  const ValueId b = bias ? vector(format("{}.bias", stem), m) : kNoValue;
  return op(OpKind::MatMul, OpClass::MatMul, activation(rows(x), m), {x, w, b}).out;
}

ValueId Builder::block_linear(ValueId x, std::string_view name, std::int32_t n_blocks,
                              std::int64_t m, WeightClass weight_class) {
  const ValueId w = weight(name, weight_class, n_blocks * m, cols(x) / n_blocks);
  Op& product =
      op(OpKind::BlockMatMul, OpClass::MatMul, activation(rows(x), n_blocks * m), {x, w});
  product.at.n_heads = n_blocks;
  return product.out;
}

ValueId Builder::layer_norm(ValueId x, ValueId w, ValueId bias) {
  return like(x, OpKind::LayerNorm, OpClass::Norm, {x, w, bias}).out;
}

ValueId Builder::rope(ValueId x, const LayerConfig& layer, std::int32_t width) {
  if (layer.rope == LayerRope::None) return x;
  Op& rotation = like(x, OpKind::Rope, OpClass::Elementwise, {x});
  rotation.at.rope = layer.rope;
  rotation.at.width = width;
  rotation.at.n_dims = rope_of(layer).n_dims;
  return rotation.out;
}

ValueId Builder::add(ValueId a, ValueId b, double scale) {
  Op& sum = like(a, OpKind::Add, OpClass::Elementwise, {a, b});
  sum.at.scale = scale;
  return sum.out;
}

ValueId Builder::glu(Activation activation, ValueId gate, ValueId up) {
  Op& product = like(up == kNoValue ? gate : up, OpKind::Glu, OpClass::Elementwise, {gate, up});
  product.at.activation = activation;
  return product.out;
}

ValueId Builder::scale(ValueId x, ValueId weight, double factor, double softcap) {
  Op& scaled = like(x, OpKind::Scale, OpClass::Elementwise, {x, weight});
  scaled.at.scale = factor;
  scaled.at.softcap = softcap;
  return scaled.out;
}

ValueId Builder::slice(ValueId x, std::int64_t width, std::int64_t begin, std::int64_t take) {
  Op& view = op(OpKind::Slice, OpClass::Elementwise, activation(rows(x), cols(x) / width * take),
                {x});
  view.at.width = static_cast<std::int32_t>(width);
  view.at.begin = static_cast<std::int32_t>(begin);
  return view.out;
}

ValueId Builder::conv(ValueId x, std::string_view stem, int kernel, bool bias,
                      Activation activation) {
  const ValueId w = weight(format("{}.weight", stem), WeightClass::NormOrBias, cols(x), kernel);
  const ValueId b = bias ? vector(format("{}.bias", stem), cols(x)) : kNoValue;
  Op& convolution = like(x, OpKind::Conv, OpClass::Scan, {x, w, b});
  convolution.at.activation = activation;
  convolution.at.state = DType::F16;
  return convolution.out;
}

ValueId Builder::with_conv(ValueId x, std::string_view stem) {
  const int kernel = model_.residual_kernel;
  return kernel == 0 ? x : add(x, conv(x, stem, kernel, false, Activation::Identity));
}

// What every layer adds of its own embedding, computed before the first layer: the token's row of
// the table and a projection of its embedding, averaged (Gemma 3n; llama.cpp gemma3n-iswa.cpp).
ValueId Builder::layer_embeddings(ValueId x) {
  const std::int64_t width = model_.d_layer_embedding, all = width * model_.n_layers;
  const ValueId table = weight("per_layer_token_embd.weight", WeightClass::PerLayerEmbedding,
                               model_.n_vocab, all);
  Op& lookup = op(OpKind::Embed, OpClass::Embed, activation(graph_.n_tokens, all), {table});
  lookup.at.scale = std::sqrt(static_cast<double>(width));
  const ValueId rows = lookup.out;
  ValueId projected = linear(x, "per_layer_model_proj", WeightClass::DenseMlp, all);
  // The projection's own factor, 1 / sqrt(d_model), has no effect before a norm.
  projected = rms_norm(projected, vector("per_layer_proj_norm.weight", width), width);
  return scale(add(projected, rows), kNoValue, 1.0 / std::sqrt(2.0));
}

ValueId Builder::add_layer_embedding(ValueId x) {
  const std::int64_t width = model_.d_layer_embedding;
  const ValueId own = slice(layer_embeddings_, width * model_.n_layers, width * layer_, width);
  const ValueId gate = linear(x, "inp_gate", WeightClass::DenseMlp, width);
  const ValueId gated = glu(model_.activation, gate, own);
  const ValueId back = linear(gated, "proj", WeightClass::DenseMlp, model_.d_model);
  return add(x, norm(back, "post_norm.weight"));
}

ValueId Builder::block_norm(ValueId x, std::string_view name) {
  // Reading low-rank streams normalises.
  const bool normed = model_.streams.n > 1 && model_.streams.kind == StreamConfig::Kind::LowRank;
  return model_.norms == Norms::After || normed ? x : norm(x, name);
}

ValueId Builder::post_norm(ValueId y, std::string_view name) {
  return model_.norms == Norms::Before ? y : norm(y, name);
}

// GPT-J: both blocks read one norm and add to one residual.
ValueId Builder::parallel_layer(ValueId x, const LayerConfig& layer) {
  const ValueId h = norm(x, "attn_norm.weight");
  return add(x, add(mixer(h, layer), mlp(h, layer)));
}

ValueId Builder::feed_layer(ValueId x, const LayerConfig& layer) {
  // llama.cpp names the second norm after the attention where an MLP always follows one; it is
  // the same norm.
  const bool gpt_oss = model_.family == "gpt_oss" || model_.family == "gpt-oss";
  const bool after = gpt_oss || (model_.linear.conv_kernel > 0 && model_.norms == Norms::Before);
  const bool alone = layer.mixer == Mixer::None;  // Nemotron-H: one norm a layer
  const std::string_view name = alone   ? "attn_norm.weight"
                                : after ? "post_attention_norm.weight"
                                        : "ffn_norm.weight";
  const Site site = enter(x, "ffn");
  ValueId y = layer.d_ff > 0 && layer.experts ? dense_and_experts(site.read, layer)
                                              : mlp(block_norm(site.read, name), layer);
  y = with_conv(y, "ffn_conv");
  return leave(site, post_norm(y, "post_ffw_norm.weight"));
}

ValueId Builder::layer(ValueId x) {
  const LayerConfig layer = model_.layer(layer_);
  if (model_.parallel) return parallel_layer(x, layer);
  x = ngrams(x);
  if (layer.mixer != Mixer::None) {
    const Site site = enter(x, "attn");
    const ValueId y = mixer(block_norm(site.read, "attn_norm.weight"), layer);
    x = leave(site, post_norm(with_conv(y, "attn_conv"), "post_attention_norm.weight"));
  }
  if (layer.d_ff > 0 || layer.experts) x = feed_layer(x, layer);
  if (model_.d_layer_embedding > 0) x = add_layer_embedding(x);
  if (model_.layer_scale) x = scale(x, vector("layer_output_scale.weight", 1), 1.0);
  return x;
}

void Builder::head(ValueId x, ValueId embedding) {
  const ValueId last = op(OpKind::SelectRows, OpClass::Elementwise,
                          activation(graph_.n_sampled, cols(x)), {x})
                           .out;
  const ValueId h = norm(last_read(last), "output_norm.weight");
  const ValueId w = model_.tied_embeddings ? embedding
                                           : weight("output.weight", WeightClass::LmHead,
                                                    model_.n_vocab, model_.d_model);
  const ValueId bias = model_.head_bias ? vector("output.bias", model_.n_vocab) : kNoValue;
  graph_.logits = op(OpKind::MatMul, OpClass::LmHead, activation(graph_.n_sampled, model_.n_vocab),
                     {h, w, bias})
                      .out;
  if (model_.logits_scale != 1.0 || model_.logits_softcap != 0.0) {
    graph_.logits =
        scale(graph_.logits, kNoValue, model_.logits_scale, model_.logits_softcap);
  }
}

ValueId Builder::embeddings(ValueId embedding) {
  Op& lookup = op(OpKind::Embed, OpClass::Embed, activation(graph_.n_tokens, model_.d_model),
                  {embedding});
  lookup.at.scale = model_.embedding_scale;
  ValueId x = lookup.out;
  if (model_.positions) {
    const ValueId table =
        weight("position_embd.weight", WeightClass::Embedding, model_.n_ctx, model_.d_model);
    Op& place = op(OpKind::Embed, OpClass::Embed, activation(graph_.n_tokens, model_.d_model),
                   {table});
    place.at.positions = true;
    x = add(x, place.out);
  }
  return model_.embedding_norm ? norm(x, "token_embd_norm.weight") : x;
}

// The next token's embedding and the hidden state, each normalised, through one matrix of two halves
// (DeepSeek-V3 2.2).
ValueId Builder::draft_input(ValueId x) {
  const WeightClass mtp = WeightClass::Mtp;
  graph_.hidden = activation(graph_.n_tokens, model_.d_model);
  const ValueId token = linear(norm(x, "nextn.enorm.weight"), "nextn.e_proj", mtp, model_.d_model);
  const ValueId state =
      linear(norm(graph_.hidden, "nextn.hnorm.weight"), "nextn.h_proj", mtp, model_.d_model);
  return add(token, state);
}

void Builder::build() {
  // A tied matrix has one format; the head, which reads all of it, decides (as llama.cpp's
  // quantiser does).
  const WeightClass table = model_.tied_embeddings ? WeightClass::LmHead : WeightClass::Embedding;
  const ValueId embedding = weight("token_embd.weight", table, model_.n_vocab, model_.d_model);
  ValueId x = embeddings(embedding);
  if (model_.draft) x = draft_input(x);
  if (model_.d_layer_embedding > 0) layer_embeddings_ = layer_embeddings(x);
  if (model_.streams.n > 1) x = stream_write(x, kNoValue, kNoValue, kNoValue);
  for (layer_ = 0; layer_ < model_.n_layers; ++layer_) x = layer(x);
  layer_ = -1;
  if (graph_.n_sampled > 0) head(x, embedding);
}

}  // namespace build

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
  build::Builder(graph, weights).build();
  return graph;
}

ModelConfig draft_model(const ModelConfig& model) {
  CHECK(model.n_mtp > 0);
  ModelConfig draft = model;
  draft.draft = true;
  draft.n_mtp = 0;
  draft.n_layers = 1;
  draft.layers = {model.mtp_layer};
  draft.layer_window.clear();
  draft.ngrams = {};
  draft.positions = false;
  draft.d_layer_embedding = 0;
  draft.vision_parameters = 0;
  return draft;
}

Graph build_draft_step(const ModelConfig& model, const WeightFormat& weights, DType kv_dtype,
                       std::vector<Segment> segments) {
  return build_step(draft_model(model), weights, kv_dtype, std::move(segments));
}

ParameterCount count_parameters(const ModelConfig& model) {
  const Graph graph =
      build_step(model, WeightFormat{}, DType::F32, {Segment{.n_past = 0, .n_new = 1}});
  std::vector<bool> multiplied(graph.values.size(), false);
  for (const Op& op : graph.ops) {
    for (const ValueId in : op.in) {
      if (in != kNoValue) multiplied[static_cast<std::size_t>(in)] = op.kind != OpKind::Embed;
    }
  }
  ParameterCount count;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    if (value.role != Role::Weight) continue;
    const double n = static_cast<double>(value.rows) * static_cast<double>(value.cols);
    // The bias of experts has a row an expert, as their matrices have m.
    const bool expert = value.name.find("_exps.") != std::string::npos;
    count.total += n;
    if (value.weight_class == WeightClass::Mtp) count.mtp += n;
    if (multiplied[i]) count.active += expert ? n * model.n_experts_used / model.n_experts : n;
  }
  if (model.n_mtp > 0) count.mtp = model.n_mtp * count_parameters(draft_model(model)).mtp;
  count.vision = model.vision_parameters;
  return count;
}

}  // namespace tinderbox
