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
  return rms_norm(x, model_.norm_weights ? vector(name, width) : kNoValue, width);
}

ValueId Builder::attend(ValueId q, ValueId q_rope, ValueId selected, const LayerConfig& layer,
                        const OpAttributes& at) {
  const ValueId sinks = model_.attn_sinks ? vector("attn_sinks.weight", at.n_heads) : kNoValue;
  Op& mixed = op(OpKind::Attention, OpClass::Attention,
                 activation(rows(q), std::int64_t{at.n_heads} * at.v_dim), {q, sinks, q_rope, selected});
  mixed.cache = layer.kv_layer >= 0 ? layer.kv_layer : layer_;
  if (at.ratio > 0) mixed.pooled = layer.pool_layer >= 0 ? layer.pool_layer : layer_;
  mixed.at = at;
  return mixed.out;
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
  ValueId mixed = attend(q, kNoValue, selected, layer, at);
  if (model_.attn_gate == AttentionGate::Wide) gate = linear(h, "attn_gate", attn, q_dim);
  if (model_.attn_gate == AttentionGate::PerHead) {
    gate = linear(h, "attn_gate", attn, layer.n_heads);
  }
  if (gate != kNoValue) mixed = glu(Activation::Sigmoid, gate, mixed);
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
  const ValueId mixed = block_linear(attend(q, q_rope, selected, layer, at), "attn_v_b.weight",
                                     n_heads, c.v_dim);
  return linear(mixed, "attn_output", WeightClass::Attention, model_.d_model,
                model_.attn_out_bias);
}

}  // namespace tinderbox::build
