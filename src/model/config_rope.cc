// Rotations: config.json's rope_theta, rope_scaling and rope_parameters -> Rope.
#include <algorithm>
#include <cmath>
#include <limits>

#include "model/config_fields.h"

namespace tinderbox::config {
namespace {

void read_yarn(const Fields& s, Rope& rope) {
  rope.beta_fast = s.number("beta_fast", 1e-3, 1e6).value_or(32.0);
  rope.beta_slow = s.number("beta_slow", 1e-3, 1e6).value_or(1.0);
  rope.yarn_truncate = s.boolean("truncate").value_or(true);
  // DeepSeek's pair of scales: the attention factor is their ratio.
  const auto mscale = s.number("mscale", 0.0, 100.0), all = s.number("mscale_all_dim", 0.0, 100.0);
  if (rope.attention_factor == 0.0 && mscale.value_or(0.0) > 0.0 && all.value_or(0.0) > 0.0) {
    const double log_factor = 0.1 * std::log(std::max(rope.factor, 1.0));
    rope.attention_factor = (*mscale * log_factor + 1.0) / (*all * log_factor + 1.0);
  }
}

// Phi-3: one list of divisors up to the original context and one for the extended one; the model's
// context decides, as in llama.cpp.
void read_longrope(const Fields& s, int n_ctx, Rope& rope) {
  const bool extended = n_ctx > rope.n_ctx_original;
  const auto n = static_cast<std::size_t>(rope.n_dims / 2);
  rope.factors = s.numbers(extended ? "long_factor" : "short_factor", n, 1e-3, 1e6);
  if (extended && rope.attention_factor == 0.0) {
    const double stretch = static_cast<double>(n_ctx) / rope.n_ctx_original;
    rope.attention_factor = std::sqrt(1.0 + std::log(stretch) / std::log(rope.n_ctx_original));
  }
}

// Gemma 4: only the first share of the frequencies turns, but in pairs of the whole head.
void read_proportional(int head_dim, Rope& rope) {
  const auto turning = static_cast<std::size_t>(rope.n_dims / 2);
  rope.n_dims = head_dim;
  rope.factors.assign(static_cast<std::size_t>(head_dim / 2),
                      std::numeric_limits<double>::infinity());
  std::fill_n(rope.factors.begin(), turning, 1.0);
}

void read_scaling(const Fields& f, const Fields& s, int head_dim, ModelConfig& m, Rope& rope) {
  auto kind = s.string("rope_type");
  if (!kind) kind = s.string("type");
  // Qwen-VL's mrope gives text tokens the same position in every section: plain rotation.
  if (!kind || *kind == "default" || *kind == "mrope" || *kind == "gptj") return;
  if (*kind == "proportional") return read_proportional(head_dim, rope);
  // Ministral3Config's own numbers where a file names the scaling and leaves them out.
  const bool ministral = m.family == "ministral3";
  rope.n_ctx_original = s.integer("original_max_position_embeddings", 2, kContextMax)
                            .value_or(ministral ? 16384 : std::max(rope.n_ctx_original, 2));
  rope.attention_factor = s.number("attention_factor", 0.0, 100.0).value_or(0.0);
  m.attn_temperature_beta =
      s.number("llama_4_scaling_beta", 0.0, 100.0).value_or(m.attn_temperature_beta);
  if (*kind == "longrope" || *kind == "su") return read_longrope(s, m.n_ctx, rope);
  auto factor = s.number("factor", 1e-3, 1e6);
  if (!factor && ministral) factor = 16.0;
  if (!factor) s.fail("factor", "a number from 0.001 to 1e6");
  rope.factor = *factor;
  if (*kind == "linear") {
    rope.scaling = RopeScaling::Linear;
  } else if (*kind == "llama3") {
    rope.scaling = RopeScaling::Llama3;
    rope.low_freq_factor = s.number("low_freq_factor", 1e-3, 1e6).value_or(1.0);
    rope.high_freq_factor = s.number("high_freq_factor", 1e-3, 1e6).value_or(4.0);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      s.fail("high_freq_factor", "more than the low one");
  } else if (*kind == "yarn") {
    rope.scaling = RopeScaling::Yarn;
    if (rope.theta <= 1.0) f.fail("rope_theta", "more than 1 with yarn");
    read_yarn(s, rope);
  } else {
    unsupported(f, m.family, format("rope scaling '{}'", *kind));
  }
}

// `own` holds the fields of this rotation alone, if there are any.
Rope read_rope(const Fields& f, const std::optional<Fields>& own, int head_dim, ModelConfig& m) {
  Rope rope;
  rope.theta = f.number("rope_theta", 1.0, 1e12).value_or(10000.0);
  if (own) rope.theta = own->number("rope_theta", 1.0, 1e12).value_or(rope.theta);
  double partial = f.number("partial_rotary_factor", 0.0, 1.0).value_or(1.0);
  if (own) partial = own->number("partial_rotary_factor", 0.0, 1.0).value_or(partial);
  rope.n_dims = static_cast<int>(head_dim * partial) / 2 * 2;
  const auto rotary = f.integer("rotary_dim", 0, kHeadDimMax);
  if (rotary) rope.n_dims = std::min(*rotary, head_dim) / 2 * 2;
  rope.interleaved = f.boolean("rope_interleaved").value_or(false);
  rope.n_ctx_original =
      f.integer("original_max_position_embeddings", 1, kContextMax).value_or(m.n_ctx);
  if (own) read_scaling(f, *own, head_dim, m, rope);
  return rope;
}

}  // namespace

void read_ropes(const Fields& f, ModelConfig& m) {
  const auto parameters = f.object("rope_parameters");
  const int head_dim = m.latent.kv_lora > 0 ? m.latent.qk_rope : m.head_dim;
  const int global_dim = m.latent.kv_lora > 0 ? head_dim : global_head_dim(f, m);
  const auto full = parameters ? parameters->object("full_attention") : std::nullopt;
  if (full) {  // a rotation for each kind of layer
    m.rope = read_rope(f, full, global_dim, m);
    m.rope_local = read_rope(f, parameters->object("sliding_attention"), head_dim, m);
    return;
  }
  m.rope = read_rope(f, parameters ? parameters : f.object("rope_scaling"), global_dim, m);
  // DeepSeek-V4: of layers with far rows; the others keep rope_theta and never stretch.
  m.rope.theta = f.number("compress_rope_theta", 1.0, 1e12).value_or(m.rope.theta);
  if (!m.layers.empty()) {  // Gemma 2 and 3: windowed layers never stretch
    m.rope_local = read_rope(f, std::nullopt, head_dim, m);
    m.rope_local.theta =
        f.number("rope_local_base_freq", 1.0, 1e12).value_or(m.rope_local.theta);
  }
}

}  // namespace tinderbox::config
