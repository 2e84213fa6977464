// What a checkpoint holds besides the language model: heads that predict further tokens, and encoders of images,
// of which only the number of weights matters here.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "model/config_fields.h"

namespace tinderbox::config {
namespace {

constexpr int kMtpMax = 64, kPatchMax = 1024, kMergeMax = 64, kListMax = 1024;

// The last layer that attends, on its own: what every family repeats as such a head.
LayerConfig last_attending(const ModelConfig& m) {
  LayerConfig layer = m.layer(m.n_layers - 1);
  for (int i = m.n_layers - 1; i >= 0; --i) {
    const LayerConfig one = m.layer(i);
    const bool attends = one.mixer == Mixer::Attention || one.mixer == Mixer::Latent ||
                         one.mixer == Mixer::Pooled;
    if (!attends || one.window > 0) continue;
    layer = one;
    break;
  }
  layer.kv_layer = layer.pool_layer = layer.index_layer = layer.keys_layer = -1;
  return layer;
}

}  // namespace

void read_mtp(const Fields& f, ModelConfig& m) {
  for (const char* key : {"num_mtp_modules", "mtp_num_hidden_layers", "num_nextn_predict_layers"}) {
    m.n_mtp = f.integer(key, 0, kMtpMax).value_or(m.n_mtp);
  }
  if (m.n_mtp == 0) return;
  m.mtp_layer = last_attending(m);
  if (m.mtp_layer.mixer == Mixer::Pooled) {  // the list of ratios goes on: no far rows
    m.mtp_layer.ratio = 0;
    m.mtp_layer.sparse = false;
    if (m.mtp_layer.rope == LayerRope::Global) m.mtp_layer.rope = LayerRope::Local;
  }
  // Nemotron-H: attention, then experts, in one head.
  if (m.family == "nemotron_h") m.mtp_layer.experts = m.is_moe();
  // DeepSeek-V4.1 drafts with fewer experts than it thinks with.
  m.mtp_experts = f.integer("dspark_n_routed_experts", 1, kExpertsMax).value_or(0);
  m.mtp_experts_used = f.integer("dspark_num_experts_per_tok", 1, std::max(m.mtp_experts, 1)).value_or(1);
  if (m.family == "step3p7") {  // Step's heads have a dense MLP
    m.mtp_layer.experts = false;
    m.mtp_layer.d_ff = m.d_ff;
  }
}

// A vision transformer: layers of attention and an MLP (with a gate where it is silu), patches, positions, and a
// projector of merged patches. Biases and norms of the layers are counted where the towers have them.
void read_vision(const Fields& outer, ModelConfig& m) {
  const auto v = outer.object("vision_config");
  if (!v) return;
  const auto first = [&](std::initializer_list<const char*> keys, int high) {
    for (const char* key : keys) {
      if (const auto value = v->integer(key, 0, high)) return static_cast<double>(*value);
    }
    return 0.0;
  };
  const double depth = first({"depth", "num_hidden_layers", "vt_num_hidden_layers"}, kLayersMax);
  const double h = first({"hidden_size", "vt_hidden_size"}, kWidthMax);
  const double ff = first({"intermediate_size", "vt_intermediate_size"}, kFfMax);
  const double patch = first({"patch_size"}, kPatchMax);
  const double frames = std::max(1.0, first({"temporal_patch_size", "patch_temporal"}, kPatchMax));
  const double merge = std::max(1.0, first({"spatial_merge_size", "merge_size"}, kMergeMax));
  const double positions = first({"num_position_embeddings"}, kVocabMax);
  double out = first({"out_hidden_size", "projection_dim"}, kWidthMax);
  if (out == 0) out = m.d_model;
  const std::string act = v->string("hidden_act").value_or("silu");
  const double layer = 4 * h * h + (act == "silu" ? 3 : 2) * h * ff + 9 * h + ff;
  const double merged = merge * merge * h;
  const double projector = merged * merged + merged * out + merged + out;
  const auto deepstack =
      v->indices("deepstack_visual_indexes", kListMax, kLayersMax);
  const double n_projectors = 1 + (deepstack ? static_cast<double>(deepstack->size()) : 0);
  m.vision_parameters = depth * layer + 3 * patch * patch * frames * h + positions * h;
  // GLM's projector is a convolution of neighbours, a matrix and a gated MLP.
  const double wide = first({"projection_intermediate_size"}, kFfMax);
  m.vision_parameters +=
      wide > 0 ? merged * out + out * out + 3 * out * wide : n_projectors * projector;
}

}  // namespace tinderbox::config
