// Peak memory of training a model: what a trained parameter keeps between steps, the activations
// kept for the backward pass, and the logits of the loss (Korthikanti et al., arXiv 2205.05198;
// Rajbhandari et al., arXiv 1910.02054). Fused attention; no pipeline, no offload.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/units.h"
#include "model/config.h"

namespace tinderbox {

// How a training program keeps its numbers; bytes each. One file each in data/trainers.
struct Trainer {
  std::string id, name;
  bool adapters = false;  // trains adapters unless told
  Bytes state;         // a trained parameter: weight, master, moments, kept gradient
  Bytes adapter;       // a parameter of a low-rank adapter
  Bytes activation;    // an element of a layer's input: all that the layer keeps
  Bytes checkpoint;    // ditto when only the input is kept
  Bytes logit;         // a logit: copies and gradients of the loss
  Bytes fp8_weights;   // a parameter's copies when products are in fp8
  Bytes runtime;       // of the device; 0: not part of what the program reports
};

// Throws Error::Invalid as parse_stack does.
Trainer parse_trainer(std::string_view toml, std::string_view name);

struct TrainingDemand {
  std::int64_t tokens = 0;   // of a step, all sequences; 0: no activations counted
  bool checkpoints = false;  // keeps only the inputs of layers
  bool fp8 = false;          // products in fp8
  int adapter_rank = 0;      // 0: trains every weight
  int ranks = 1;             // devices that the weights are split over
};

// Requires tokens >= 0, adapter_rank >= 0, ranks >= 1.
Bytes training_peak(const ModelConfig& model, const Trainer& trainer, const TrainingDemand& demand);

}  // namespace tinderbox
