// Layers with a recurrent state instead of a cache: Gated DeltaNet, Kimi Delta Attention, Mamba-2, short
// convolutions.
#include "base/text.h"
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

// Through a bottleneck of that rank, or by one matrix if it is 0.
ValueId Builder::through_rank(ValueId h, std::string_view stem, int rank, std::int64_t m) {
  const WeightClass linear_attn = WeightClass::LinearAttention;
  if (rank == 0) return linear(h, stem, linear_attn, m);
  const ValueId low = linear(h, format("{}_a", stem), linear_attn, rank);
  return linear(low, format("{}_b", stem), linear_attn, m);
}

// Kimi Linear (arXiv 2510.26692): a decay for each key channel; decay and output gate come through bottlenecks.
ValueId Builder::kimi_delta(ValueId h) {
  const WeightClass linear_attn = WeightClass::LinearAttention;
  const LinearConfig& c = model_.linear;
  const std::int64_t v_all = std::int64_t{c.n_v_heads} * c.v_dim,
                     k_all = std::int64_t{c.n_k_heads} * c.k_dim;
  const ValueId qkv = linear(h, "attn_qkv", linear_attn, c.conv_dim());
  const ValueId beta = linear(h, "ssm_beta", linear_attn, c.n_v_heads);
  const ValueId decay = through_rank(h, "ssm_f", c.decay_rank, k_all);
  const ValueId z = through_rank(h, "ssm_g", c.gate_rank, v_all);
  const ValueId x = conv(qkv, "ssm_conv1d", c.conv_kernel, c.conv_bias, Activation::Silu);
  const ValueId a = vector("ssm_a", c.n_v_heads), dt = vector("ssm_dt.bias", k_all);
  Op& scan =
      op(OpKind::Scan, OpClass::Scan, activation(rows(h), v_all), {x, decay, beta, a, dt});
  scan.at = {.n_heads = c.n_v_heads,
             .n_kv_heads = c.n_k_heads,
             .qk_dim = c.k_dim,
             .v_dim = c.v_dim,
             .rule = ScanRule::ChannelDelta};
  const ValueId y = rms_norm(scan.out, vector("ssm_norm.weight", c.v_dim), c.v_dim);
  return linear(glu(Activation::Sigmoid, z, y), "ssm_out", linear_attn, model_.d_model);
}

// LFM2: three streams of one projection; b x through the convolution, times c.
ValueId Builder::short_conv(ValueId h) {
  const WeightClass linear_attn = WeightClass::LinearAttention;
  const LinearConfig& c = model_.linear;
  const std::int64_t d = model_.d_model;
  const ValueId in = linear(h, "shortconv.in_proj", linear_attn, 3 * d);
  const ValueId bx =
      glu(Activation::Identity, slice(in, 3 * d, 0, d), slice(in, 3 * d, 2 * d, d));
  const ValueId mixed =
      conv(bx, "shortconv.conv", c.conv_kernel, c.conv_bias, Activation::Identity);
  const ValueId y = glu(Activation::Identity, slice(in, 3 * d, d, d), mixed);
  return linear(y, "shortconv.out_proj", linear_attn, d);
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
