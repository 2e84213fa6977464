// A model's weights, bound by name to the tensors of a GGUF file: matrices packed for the kernels,
// vectors as floats, the embedding table in place. Every name, shape and type is checked here, so
// that execute() need not.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "engine/kernels/panel.h"
#include "model/gguf.h"
#include "model/graph.h"

namespace tinderbox {

// One weight, in the forms that its ops use.
struct Weight {
  const TensorView* table = nullptr;  // Embed reads rows from the file
  PackedMatrix matrix;                // MatMul, MoeMatMul
  std::vector<float> values;          // RmsNorm, biases, sinks: (rows, cols)
};

class Weights {
 public:
  // graph: any step of the model that samples. Throws Error::Invalid naming file and tensor if one
  // is missing or has another shape, Error::Unsupported naming tensor and type if there is no
  // kernel for it.
  Weights(const Gguf& file, const Graph& graph, ThreadPool& pool);

  const Weight& at(std::string_view name) const;
  double packed_bytes() const;

 private:
  Weight& bind(const Gguf& file, const Value& value);
  const PackedMatrix& pack(Weight& weight, const Value& value, std::int64_t n_matrices,
                           ThreadPool& pool);

  std::map<std::string, Weight, std::less<>> weights_;
};

}  // namespace tinderbox
