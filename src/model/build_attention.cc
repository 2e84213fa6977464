// Attention over cached keys and values: of many heads, and of one latent row for all heads.
#include <cmath>
#include <cstdlib>

#include "base/check.h"
#include "model/build_step.h"

namespace tinderbox::build {

ValueId Builder::mixer(ValueId h, const LayerConfig& layer) {
  switch (layer.mixer) {
    case Mixer::None:
      break;
    case Mixer::Attention:
      return attention(h, layer);
    case Mixer::Latent:
      return latent_attention(h, layer);
    case Mixer::Pooled:
      return pooled_attention(h, layer);
    case Mixer::GatedDelta:
      return gated_delta(h);
    case Mixer::KimiDelta:
      return kimi_delta(h);
    case Mixer::Mamba2:
      return mamba2(h);
    case Mixer::ShortConv:
      return short_conv(h);
  }
  std::abort();
}

ValueId Builder::query_norm(ValueId x, std::string_view name, std::int32_t width) {
  if (!model_.qk_norm) return x;
  if (model_.qk_norm_wide) return rms_norm(x, vector(name, cols(x)));
  return rms_norm(x, model_.norm_weights ? vector(name, width) : kNoValue, width);
}

// What scores gain by distance: queries of their own against one matrix for all heads, a row a distance.
ValueId Builder::distance_bias(ValueId h, const LayerConfig& layer) {
  if (layer.bias_extent == 0) return kNoValue;
  const std::int64_t width = std::int64_t{layer.n_heads} * model_.d_bias;
  const ValueId r = linear(h, "attn_rel", WeightClass::Attention, width);
  const ValueId w =
      weight("attn_rel_bank.weight", WeightClass::NormOrBias, layer.bias_extent, model_.d_bias);
  Op& product = op(OpKind::BlockMatMul, OpClass::MatMul,
                   activation(rows(h), std::int64_t{layer.n_heads} * layer.bias_extent), {r, w});
  product.at.n_heads = layer.n_heads;
  product.at.n_kv_heads = 1;
  return product.out;
}

ValueId Builder::attend(const Attended& in, const LayerConfig& layer, const OpAttributes& at) {
  const ValueId sinks = model_.attn_sinks ? vector("attn_sinks.weight", at.n_heads) : kNoValue;
  Op& mixed = op(OpKind::Attention, OpClass::Attention,
                 activation(rows(in.q), std::int64_t{at.n_heads} * at.v_dim),
                 {in.q, sinks, in.q_rope, in.selected, in.bias});
  mixed.cache = layer.kv_layer >= 0 ? layer.kv_layer : layer_;
  if (at.ratio > 0) mixed.pooled = layer.pool_layer >= 0 ? layer.pool_layer : layer_;
  mixed.at = at;
  return mixed.out;
}

// A gate of the attended values that comes from the block's input.
ValueId Builder::gated(ValueId h, ValueId mixed, const LayerConfig& layer) {
  std::int64_t width = 0;
  switch (model_.attn_gate) {
    case AttentionGate::None:
    case AttentionGate::InQuery:
      return mixed;
    case AttentionGate::Wide:
      width = cols(mixed);
      break;
    case AttentionGate::PerHead:
      width = layer.n_heads;
      break;
  }
  return glu(Activation::Sigmoid, linear(h, "attn_gate", WeightClass::Attention, width), mixed);
}

ValueId Builder::attention(ValueId h, const LayerConfig& layer) {
  const WeightClass attn = WeightClass::Attention;
  const std::int32_t head_dim = layer.head_dim;
  const std::int64_t q_dim = std::int64_t{layer.n_heads} * head_dim,
                     kv_dim = std::int64_t{layer.n_kv_heads} * head_dim;
  const bool in_query = model_.attn_gate == AttentionGate::InQuery;
  ValueId q = linear(h, "attn_q", attn, in_query ? 2 * q_dim : q_dim, model_.qkv_bias);
  ValueId gate = kNoValue;
  if (in_query) {
    gate = slice(q, 2 * head_dim, head_dim, head_dim);
    q = slice(q, 2 * head_dim, 0, head_dim);
  }
  ValueId k = kNoValue, v = kNoValue;
  if (layer.kv_layer < 0) {
    k = linear(h, "attn_k", attn, kv_dim, model_.qkv_bias);
    v = layer.k_is_v ? k : linear(h, "attn_v", attn, kv_dim, model_.qkv_bias);
  } else {  // published files hold the matrices that sharing left without use
    weight("attn_k.weight", attn, kv_dim, model_.d_model);
    if (!layer.k_is_v) weight("attn_v.weight", attn, kv_dim, model_.d_model);
  }
  if (layer.kv_layer < 0) {
    k = with_conv(k, "attn_k_conv");
    v = with_conv(v, "attn_v_conv");
  }
  q = query_norm(q, "attn_q_norm.weight", head_dim);
  if (layer.kv_layer < 0) k = query_norm(k, "attn_k_norm.weight", head_dim);
  q = rope(q, layer, head_dim);
  OpAttributes at{.n_heads = layer.n_heads,
                  .n_kv_heads = layer.n_kv_heads,
                  .qk_dim = head_dim,
                  .v_dim = head_dim,
                  .window = layer.window};
  if (layer.kv_layer < 0) {
    k = rope(k, layer, head_dim);
    if (model_.v_norm) v = rms_norm(v, kNoValue, head_dim);
    OpAttributes stored = at;
    stored.n_heads = 0;
    op(OpKind::KvStore, OpClass::KvStore, kNoValue, {k, v}).at = stored;
  }
  at.scale = model_.attn_scale > 0 ? model_.attn_scale
                                   : 1.0 / std::sqrt(static_cast<double>(head_dim));
  at.softcap = model_.attn_softcap;
  const ValueId selected = selection(h, h, h, layer);
  select_blocks(selected, at);
  at.extent = layer.bias_extent;
  const ValueId bias = distance_bias(h, layer);
  ValueId mixed = attend({.q = q, .selected = selected, .bias = bias}, layer, at);
  mixed = in_query ? glu(Activation::Sigmoid, gate, mixed) : gated(h, mixed, layer);
  return linear(mixed, "attn_output", attn, model_.d_model, model_.attn_out_bias);
}

// The absorbed form, as stacks decode it: queries are taken into the latent space, all heads read
// the one cached row, and its first kv_lora columns are the values (DeepSeek-V2 §2.1.2).
ValueId Builder::latent_attention(ValueId h, const LayerConfig& layer) {
  const WeightClass latent = WeightClass::Latent;
  const LatentConfig& c = model_.latent;
  const std::int32_t n_heads = layer.n_heads, q_head = c.qk_nope + c.qk_rope;
  const std::int64_t q_dim = std::int64_t{n_heads} * q_head;
  ValueId q = kNoValue, q_latent = h;
  if (c.q_lora > 0) {
    const ValueId down = linear(h, "attn_q_a", latent, c.q_lora, model_.qkv_bias);
    q_latent = norm(down, "attn_q_a_norm.weight");
    q = linear(q_latent, "attn_q_b", latent, q_dim);
  } else {
    q = linear(h, "attn_q", latent, q_dim);
  }
  const std::int32_t row = c.kv_lora + c.qk_rope;
  const ValueId kv = linear(h, "attn_kv_a_mqa", latent, row, model_.qkv_bias);
  const ValueId k = norm(slice(kv, row, 0, c.kv_lora), "attn_kv_a_norm.weight");
  ValueId k_rope = kNoValue, q_rope = kNoValue;
  if (c.qk_rope > 0) {
    k_rope = rope(slice(kv, row, c.kv_lora, c.qk_rope), layer, c.qk_rope);
    q_rope = rope(slice(q, q_head, c.qk_nope, c.qk_rope), layer, c.qk_rope);
  }
  OpAttributes at{.n_heads = n_heads,
                  .n_kv_heads = 1,
                  .qk_dim = row,
                  .v_dim = c.kv_lora,
                  .latent = true,
                  .window = layer.window};
  OpAttributes stored = at;
  stored.n_heads = 0;
  op(OpKind::KvStore, OpClass::KvStore, kNoValue, {k, k_rope}).at = stored;
  q = block_linear(slice(q, q_head, 0, c.qk_nope), "attn_k_b.weight", n_heads, c.kv_lora);
  at.scale = model_.attn_scale > 0 ? model_.attn_scale
                                   : 1.0 / std::sqrt(static_cast<double>(q_head));
  const ValueId selected = selection(h, q_latent, h, layer);
  select_blocks(selected, at);
  const ValueId seen = attend({.q = q, .q_rope = q_rope, .selected = selected}, layer, at);
  const ValueId mixed = block_linear(seen, "attn_v_b.weight", n_heads, c.v_dim);
  return linear(gated(h, mixed, layer), "attn_output", WeightClass::Attention, model_.d_model,
                model_.attn_out_bias);
}

}  // namespace tinderbox::build
