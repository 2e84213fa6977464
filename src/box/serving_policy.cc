#include "box/serving_policy.h"

#include <algorithm>

#include "base/text.h"

namespace tinderbox {

bool has_recurrent_state(const ModelConfig& model) {
  return std::ranges::any_of(model.layers, [](const LayerConfig& layer) {
    switch (layer.mixer) {
      case Mixer::GatedDelta:
      case Mixer::KimiDelta:
      case Mixer::Mamba2:
      case Mixer::ShortConv:
        return true;
      case Mixer::None:
      case Mixer::Attention:
      case Mixer::Latent:
      case Mixer::Pooled:
        return false;
    }
    return false;
  });
}

Policy serving_policy(const TwinModel& twin) {
  Policy policy =
      policy_named(twin.stack.policy, format("stack {}: scheduler.policy", twin.stack.id));
  if (has_recurrent_state(twin.model)) policy.prefix_cache = false;
  return policy;
}

}  // namespace tinderbox
