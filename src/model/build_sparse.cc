// Attention to selected or pooled rows: indexes, and DeepSeek-V4's attention to near tokens and pooled far ones.
#include <cmath>

#include "base/check.h"
#include "model/build_step.h"

namespace tinderbox::build {

// One row a token, or one a window of `at.ratio` tokens; key and value in one.
void Builder::store_pooled(ValueId x, ValueId gates, ValueId bias, ValueId norm_weight,
                           const OpAttributes& at) {
  op(OpKind::PoolStore, OpClass::KvStore, kNoValue, {x, gates, bias, norm_weight}).at = at;
}

OpAttributes Builder::index_row(const LayerConfig& layer) const {
  const IndexConfig& index = model_.index;
  OpAttributes at{.n_kv_heads = 1,
                  .qk_dim = index.head_dim,
                  .v_dim = index.head_dim,
                  .latent = true,
                  .store = CacheKind::Index};
  at.ratio = layer.mixer == Mixer::Pooled ? layer.ratio : index.ratio;
  return at;
}

// Keys of the index: small rows, pooled if there are many tokens to one.
void Builder::store_index_keys(ValueId h, ValueId row, const LayerConfig& layer) {
  const IndexConfig& index = model_.index;
  const WeightClass indexer = WeightClass::Indexer;
  OpAttributes at = index_row(layer);
  const bool overlaps = layer.mixer == Mixer::Pooled && model_.latent.pool_bias && at.ratio > 1;
  at.overlap = overlaps ? 2 : 1;
  const std::int64_t width = std::int64_t{at.overlap} * index.head_dim;
  ValueId k = linear(row, "indexer.attn_k", indexer, width);
  const ValueId norm_weight = vector("indexer.k_norm.weight", index.head_dim);
  if (at.ratio == 1) {
    at.overlap = 0;
    at.ratio = 0;
    k = index.key_bias ? layer_norm(k, norm_weight, vector("indexer.k_norm.bias", index.head_dim))
                       : rms_norm(k, norm_weight);
    k = rope(k, layer, index.head_dim);
    op(OpKind::KvStore, OpClass::KvStore, kNoValue, {k}).at = at;
    return;
  }
  if (layer.rope != LayerRope::None) {
    at.rope = layer.rope;
    at.n_dims = rope_of(layer).n_dims;
  }
  ValueId gates = kNoValue, bias = kNoValue, pool_norm = norm_weight;
  if (index.key_bias && at.overlap == 1) {  // GLM-5.3-Flash normalises tokens, the others what they pooled
    k = layer_norm(k, norm_weight, vector("indexer.k_norm.bias", index.head_dim));
    pool_norm = kNoValue;
  }
  if (index.gates) {
    gates = linear(h, "indexer.pool_gate", indexer, width);
    bias = weight("indexer.pool_bias.weight", WeightClass::NormOrBias, at.ratio, width);
  }
  store_pooled(k, gates, bias, pool_norm, at);
}

// Blocks that the layer's queries attend to; kNoValue: all. `row` is what index keys are made of.
ValueId Builder::selection(ValueId h, ValueId q_latent, ValueId row, const LayerConfig& layer) {
  if (!layer.sparse) return kNoValue;
  if (layer.index_layer >= 0) return selections_.at(layer.index_layer);
  if (layer.keys_layer < 0) store_index_keys(h, row, layer);
  const IndexConfig& index = model_.index;
  const WeightClass indexer = WeightClass::Indexer;
  const std::int64_t q_dim = std::int64_t{index.n_heads} * index.head_dim;
  const bool plain = index.kind == IndexConfig::Kind::Plain;
  ValueId q = linear(plain ? h : q_latent, plain ? "indexer.attn_q" : "indexer.attn_q_b", indexer,
                     q_dim);
  if (plain) q = rms_norm(q, vector("indexer.q_norm.weight", index.head_dim), index.head_dim);
  q = rope(q, layer, index.head_dim);
  const ValueId weights = plain ? kNoValue : linear(h, "indexer.proj", indexer, index.n_heads);
  Op& select = op(OpKind::Select, OpClass::Attention,
                  activation(graph_.n_tokens, index.top_k), {q, weights});
  select.cache = layer.keys_layer >= 0 ? layer.keys_layer : layer_;
  select.at = index_row(layer);
  select.at.n_heads = index.n_heads;
  select.at.top_k = index.top_k;
  select.at.block = layer.mixer == Mixer::Pooled ? layer.ratio : index.block;
  selections_[layer_] = select.out;
  return select.out;
}

void Builder::select_blocks(ValueId selected, OpAttributes& at) const {
  if (selected == kNoValue) return;
  at.top_k = model_.index.top_k;
  at.block = at.ratio > 0 ? at.ratio : model_.index.block;
}

// DeepSeek-V4 (Hugging Face's modeling_deepseek_v4.py, modeling_deepseek_v41.py): queries of all heads
// against one row a token in a window and one pooled row a window of far tokens.
ValueId Builder::pooled_attention(ValueId h, const LayerConfig& layer) {
  const WeightClass latent = WeightClass::Latent;
  const LatentConfig& c = model_.latent;
  const std::int32_t width = c.kv_lora, n_heads = layer.n_heads;
  const auto rotate = [&](ValueId x, bool inverse) {
    if (layer.rope == LayerRope::None) return x;
    Op& rotation = like(x, OpKind::Rope, OpClass::Elementwise, {x});
    rotation.at = {.inverse = inverse, .width = width, .rope = layer.rope};
    rotation.at.n_dims = rope_of(layer).n_dims;
    rotation.at.begin = width - rotation.at.n_dims;
    return rotation.out;
  };
  const ValueId q_latent = norm(linear(h, "attn_q_a", latent, c.q_lora), "attn_q_a_norm.weight");
  ValueId q = linear(q_latent, "attn_q_b", latent, std::int64_t{n_heads} * width);
  if (c.pool_bias) q = rms_norm(q, kNoValue, width);
  q = rotate(q, false);
  ValueId row = norm(linear(h, "attn_kv", latent, width), "attn_kv_norm.weight");
  row = rotate(row, false);
  OpAttributes at{.n_kv_heads = 1, .qk_dim = width, .v_dim = width, .latent = true};
  at.window = layer.window;
  op(OpKind::KvStore, OpClass::KvStore, kNoValue, {row}).at = at;
  const ValueId far = store_far_rows(h, layer);
  const ValueId selected = selection(h, q_latent, c.pool_bias ? h : far, layer);
  at.n_heads = n_heads;
  at.scale = model_.attn_scale > 0 ? model_.attn_scale : 1.0 / std::sqrt(static_cast<double>(width));
  at.ratio = layer.ratio;
  select_blocks(selected, at);
  const ValueId mixed = rotate(attend({.q = q, .selected = selected}, layer, at), true);
  const ValueId low =
      block_linear(mixed, "attn_output_a.weight", c.o_groups, c.o_lora, WeightClass::Attention);
  return linear(low, "attn_output_b", WeightClass::Attention, model_.d_model);
}

// Pooled rows of a layer that has its own; returns the rows of tokens that they are made of.
ValueId Builder::store_far_rows(ValueId h, const LayerConfig& layer) {
  if (layer.ratio == 0 || layer.pool_layer >= 0) return kNoValue;
  const WeightClass latent = WeightClass::Latent;
  const LatentConfig& c = model_.latent;
  OpAttributes at{.n_kv_heads = 1,
                  .qk_dim = c.kv_lora,
                  .v_dim = c.kv_lora,
                  .latent = true,
                  .store = CacheKind::Pooled};
  if (layer.rope != LayerRope::None) {
    at.rope = layer.rope;
    at.n_dims = rope_of(layer).n_dims;
    at.begin = c.kv_lora - at.n_dims;
  }
  const std::int32_t overlap = c.pool_bias && layer.sparse && layer.ratio > 1 ? 2 : 1;
  const std::int64_t width = std::int64_t{overlap} * c.kv_lora;
  const ValueId x = linear(h, "attn_compress_kv", latent, width);
  const ValueId norm_weight = vector("attn_compress_norm.weight", c.kv_lora);
  if (layer.ratio == 1) {
    ValueId row = rms_norm(x, norm_weight);
    if (at.n_dims > 0) {
      Op& rotation = like(row, OpKind::Rope, OpClass::Elementwise, {row});
      rotation.at = {.width = c.kv_lora, .begin = at.begin, .n_dims = at.n_dims, .rope = at.rope};
      row = rotation.out;
    }
    at.rope = LayerRope::None;
    at.begin = at.n_dims = 0;
    op(OpKind::KvStore, OpClass::KvStore, kNoValue, {row}).at = at;
    return x;
  }
  at.ratio = layer.ratio;
  at.overlap = overlap;
  const ValueId gates = linear(h, "attn_compress_gate", latent, width);
  const ValueId bias = c.pool_bias ? weight("attn_compress_bias.weight", WeightClass::NormOrBias,
                                            layer.ratio, width)
                                   : kNoValue;
  store_pooled(x, gates, bias, norm_weight, at);
  return x;
}

}  // namespace tinderbox::build
