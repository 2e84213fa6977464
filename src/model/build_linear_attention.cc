// Layers with a recurrent state instead of a cache: Gated DeltaNet, Kimi Delta Attention, Mamba-2.
#include "model/build_step.h"

namespace tinderbox::build {

ValueId Builder::gated_delta(ValueId h) {
  const WeightClass linear_attn = WeightClass::LinearAttention;
  const LinearConfig& c = model_.linear;
  const std::int64_t v_all = std::int64_t{c.n_v_heads} * c.v_dim;
  const ValueId qkv = linear(h, "attn_qkv", linear_attn, c.conv_dim());
  const ValueId z = linear(h, "attn_gate", linear_attn, v_all);
  const ValueId beta = linear(h, "ssm_beta", linear_attn, c.n_v_heads);
  const ValueId decay = linear(h, "ssm_alpha", linear_attn, c.n_v_heads);
  const ValueId x = conv(qkv, "ssm_conv1d", c.conv_kernel, c.conv_bias, Activation::Silu);
  const ValueId a = vector("ssm_a", c.n_v_heads), dt = vector("ssm_dt.bias", c.n_v_heads);
  Op& scan =
      op(OpKind::Scan, OpClass::Scan, activation(rows(h), v_all), {x, decay, beta, a, dt});
  scan.at = {.n_heads = c.n_v_heads,
             .n_kv_heads = c.n_k_heads,
             .qk_dim = c.k_dim,
             .v_dim = c.v_dim,
             .rule = ScanRule::GatedDelta};
  ValueId y = rms_norm(scan.out, vector("ssm_norm.weight", c.v_dim), c.v_dim);
  y = glu(Activation::Silu, z, y);
  return linear(y, "ssm_out", linear_attn, model_.d_model);
}

ValueId Builder::mamba2(ValueId h) {
  const WeightClass linear_attn = WeightClass::LinearAttention;
  const LinearConfig& c = model_.linear;
  const std::int64_t inner = std::int64_t{c.n_v_heads} * c.v_dim, conv_dim = c.conv_dim();
  const std::int64_t all = inner + conv_dim + c.n_v_heads;
  const ValueId in = linear(h, "ssm_in", linear_attn, all);
  const ValueId z = slice(in, all, 0, inner);
  const ValueId dt = slice(in, all, inner + conv_dim, c.n_v_heads);
  const ValueId x = conv(slice(in, all, inner, conv_dim), "ssm_conv1d", c.conv_kernel,
                         c.conv_bias, Activation::Silu);
  const ValueId a = vector("ssm_a", c.n_v_heads), bias = vector("ssm_dt.bias", c.n_v_heads),
                d = vector("ssm_d", c.n_v_heads);
  Op& scan = op(OpKind::Scan, OpClass::Scan, activation(rows(h), inner),
                {x, dt, kNoValue, a, bias, d});
  scan.at = {.n_heads = c.n_v_heads,
             .n_kv_heads = c.n_k_heads,
             .qk_dim = c.k_dim,
             .v_dim = c.v_dim,
             .rule = ScanRule::Mamba2};
  const ValueId y = glu(Activation::Silu, z, scan.out);
  const ValueId normed = rms_norm(y, vector("ssm_norm.weight", inner), inner / c.n_k_heads);
  return linear(normed, "ssm_out", linear_attn, model_.d_model);
}

}  // namespace tinderbox::build
