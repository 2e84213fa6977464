#include "twin/weight_choice.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "twin/memory_plan.h"

namespace tinderbox {
namespace {

constexpr double kCloser = 0.01;  // of the size
constexpr double kNear = 0.08;
constexpr double kEncoderBytes = 2;  // a parameter of an encoder

using Classes = std::vector<WeightClass>;

// Checkpoints quantise experts, or more of the layers, or all but the tables; GGUF files differ in
// their tables.
std::vector<WeightFormat> choices(const WeightFormat& format, const std::set<WeightClass>& settled,
                                  const ModelConfig& model, WeightFile kind) {
  std::vector<WeightFormat> out{format};
  const auto with = [&](const Classes& classes, DType dtype) {
    WeightFormat other = format;
    for (const WeightClass c : classes) {
      if (!settled.contains(c)) other.at(c) = dtype;
    }
    out.push_back(std::move(other));
  };
  if (is_gguf(kind)) {
    for (const DType dtype : {DType::Q8_0, DType::F16}) {
      with({WeightClass::Embedding}, dtype);
      with({WeightClass::Embedding, WeightClass::LmHead}, dtype);
    }
    return out;
  }
  const DType low = model.is_moe() ? format.expert : format.dense_mlp;
  if (dtype_bits(low) >= 16) return out;
  Classes classes;
  const std::vector<Classes> steps = {{WeightClass::SharedExpert, WeightClass::DenseMlp},
                                      {WeightClass::LinearAttention},
                                      {WeightClass::Attention, WeightClass::Latent},
                                      {WeightClass::LmHead}};
  for (const Classes& step : steps) {
    classes.insert(classes.end(), step.begin(), step.end());
    with(classes, low);
  }
  // All but the layers' experts or MLPs in 16 bits.
  with({WeightClass::SharedExpert, WeightClass::LinearAttention, WeightClass::Attention,
        WeightClass::Latent, WeightClass::LmHead},
       DType::BF16);
  return out;
}

}  // namespace

WeightFormat choose_by_size(const WeightFormat& format, const std::set<WeightClass>& settled,
                            const ModelConfig& model, Bytes file, WeightFile kind) {
  const ParameterCount count = count_parameters(model);
  // GGUF files keep encoders apart.
  const double beside = is_gguf(kind) ? 0 : kEncoderBytes * count.vision;
  const auto miss = [&](const WeightFormat& choice) {
    const double text = weight_bytes(model, choice).value() + beside;
    const double with_heads = text + kEncoderBytes * count.mtp;
    return std::min(std::abs(text / file.value() - 1), std::abs(with_heads / file.value() - 1));
  };
  const std::vector<WeightFormat> all = choices(format, settled, model, kind);
  const WeightFormat* best = &all.front();
  double least = miss(format);
  for (const WeightFormat& choice : all) {
    const double m = miss(choice);
    if (m < least - kCloser && m < kNear) {
      best = &choice;
      least = m;
    }
  }
  return *best;
}

}  // namespace tinderbox
