// MLPs: dense, mixtures of experts, shared experts.
#include <cmath>

#include "base/text.h"
#include "model/build_step.h"

namespace tinderbox::build {

ValueId Builder::feed_forward(ValueId x, std::string_view suffix, WeightClass weight_class,
                              int d_ff) {
  const bool bias = model_.mlp_bias;
  const ValueId gate = model_.mlp_gated
                           ? linear(x, format("ffn_gate{}", suffix), weight_class, d_ff, bias)
                           : kNoValue;
  const ValueId up = linear(x, format("ffn_up{}", suffix), weight_class, d_ff, bias);
  const ValueId inner = model_.mlp_gated ? glu(model_.activation, gate, up)
                                         : glu(model_.activation, up, kNoValue);
  return linear(inner, format("ffn_down{}", suffix), weight_class, cols(x), bias);
}

ValueId Builder::expert_linear(ValueId x, std::string_view stem, std::int64_t m, ValueId routes) {
  const std::int64_t n_experts = model_.n_experts;
  const ValueId w = weight(format("{}.weight", stem), WeightClass::Expert, n_experts * m, cols(x));
  const ValueId b = model_.mlp_bias
                        ? weight(format("{}.bias", stem), WeightClass::NormOrBias, n_experts, m)
                        : kNoValue;
  const ValueId out = activation(graph_.n_tokens * model_.n_experts_used, m);
  Op& product = op(OpKind::MoeMatMul, OpClass::Expert, out, {x, w, routes, b});
  product.at.n_experts = model_.n_experts;
  product.at.n_used = model_.n_experts_used;
  return out;
}

ValueId Builder::experts(ValueId x, ValueId router_input) {
  const std::int32_t n_experts = model_.n_experts, n_used = model_.n_experts_used;
  const ValueId scores =
      linear(router_input, "ffn_gate_inp", WeightClass::Router, n_experts, model_.mlp_bias);
  const ValueId bias =
      model_.routing.selection_bias ? vector("exp_probs_b.bias", n_experts) : kNoValue;
  const ValueId factors =
      model_.expert_scale ? vector("ffn_down_exps_scale.weight", n_experts) : kNoValue;
  const ValueId routes = activation(rows(x), 2 * n_used);
  Op& route = op(OpKind::MoeRoute, OpClass::Route, routes, {scores, bias, factors});
  route.at.n_experts = n_experts;
  route.at.n_used = n_used;
  route.at.norm_topk = model_.moe_norm_topk;
  route.at.routing = model_.routing;
  ValueId inner = x;
  if (model_.d_expert > 0) {
    inner = linear(x, "ffn_latent_down", WeightClass::SharedExpert, model_.d_expert);
  }
  const std::int64_t width = cols(inner);
  const ValueId gate = model_.mlp_gated
                           ? expert_linear(inner, "ffn_gate_exps", model_.d_ff_expert, routes)
                           : kNoValue;
  const ValueId up = expert_linear(inner, "ffn_up_exps", model_.d_ff_expert, routes);
  const ValueId product = model_.mlp_gated ? glu(model_.activation, gate, up)
                                           : glu(model_.activation, up, kNoValue);
  const ValueId down = expert_linear(product, "ffn_down_exps", width, routes);
  Op& sum = op(OpKind::MoeCombine, OpClass::Route, activation(rows(x), width), {down, routes});
  sum.at.n_experts = n_experts;
  sum.at.n_used = n_used;
  if (model_.d_expert == 0) return sum.out;
  const ValueId out = model_.expert_norm ? norm(sum.out, "ffn_latent_norm.weight") : sum.out;
  return linear(out, "ffn_latent_up", WeightClass::SharedExpert, model_.d_model);
}

ValueId Builder::mlp(ValueId h, const LayerConfig& layer) {
  if (!layer.experts) return feed_forward(h, "", WeightClass::DenseMlp, layer.d_ff);
  const ValueId routed = experts(h, h);
  if (model_.d_ff_shared == 0) return routed;
  ValueId shared = feed_forward(h, "_shexp", WeightClass::SharedExpert, model_.d_ff_shared);
  if (model_.shared_gate) {
    const ValueId gate = linear(h, "ffn_gate_inp_shexp", WeightClass::Router, 1);
    shared = glu(Activation::Sigmoid, gate, shared);
  }
  return add(routed, shared);
}

// Gemma 4's 26b-a4b: a dense MLP and experts side by side, each with its own norms; the router
// reads the residual, normalised without weights, times a learnt vector.
ValueId Builder::dense_and_experts(ValueId x, const LayerConfig& layer) {
  const ValueId dense = norm(
      feed_forward(norm(x, "ffn_norm.weight"), "", WeightClass::DenseMlp, layer.d_ff),
      "post_ffw_norm_1.weight");
  ValueId router_input = rms_norm(x, kNoValue);
  router_input = scale(router_input, vector("ffn_gate_inp.scale", model_.d_model),
                       1.0 / std::sqrt(static_cast<double>(model_.d_model)));
  const ValueId routed = experts(norm(x, "pre_ffw_norm_2.weight"), router_input);
  return add(dense, norm(routed, "post_ffw_norm_2.weight"));
}

}  // namespace tinderbox::build
