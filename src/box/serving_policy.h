// How a modelled stack schedules a model: the policy that its file names (sched/policy.h).
#pragma once

#include "sched/policy.h"
#include "twin/twin_model.h"

namespace tinderbox {

// Without a prefix cache for models with recurrent state, which KV blocks do not hold: programs
// keep such states at coarse steps if they are told to (vLLM: --enable-prefix-caching), and else
// compute all again. Throws Error::Invalid if no policy has the name.
Policy serving_policy(const TwinModel& twin);
bool has_recurrent_state(const ModelConfig& model);

}  // namespace tinderbox
