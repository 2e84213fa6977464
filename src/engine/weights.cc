#include "engine/weights.h"

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/dequantise.h"
#include "engine/execute.h"

namespace tinderbox {

Weights::Weights(const Gguf& file, const Graph& graph, ThreadPool& pool) {
  const auto value = [&](ValueId id) -> const Value& {
    return graph.values[static_cast<std::size_t>(id)];
  };
  const auto vector = [&](ValueId id) {
    if (id == kNoValue) return;
    Weight& w = bind(file, value(id));
    if (w.values.empty()) w.values = dequantise(*w.table);
  };
  for (const Op& op : graph.ops) {
    switch (op.kind) {
      case OpKind::Embed:
        bind(file, value(op.in[0]));
        break;
      case OpKind::RmsNorm:
        vector(op.in[1]);
        break;
      case OpKind::MatMul:
        pack(bind(file, value(op.in[1])), value(op.in[1]), 1, pool);
        vector(op.in[2]);
        break;
      case OpKind::MoeMatMul:
        pack(bind(file, value(op.in[1])), value(op.in[1]), graph.model.n_experts, pool);
        vector(op.in[3]);
        break;
      case OpKind::Attention:
        vector(op.in[1]);
        break;
      case OpKind::Rope:
      case OpKind::KvStore:
      case OpKind::Glu:
      case OpKind::Add:
      case OpKind::MoeRoute:
      case OpKind::MoeCombine:
      case OpKind::SelectRows:
        break;
      case OpKind::LayerNorm:
      case OpKind::PoolStore:
      case OpKind::Select:
      case OpKind::Dot:
      case OpKind::StreamGates:
      case OpKind::StreamRead:
      case OpKind::StreamWrite:
      case OpKind::BlockMatMul:
      case OpKind::Conv:
      case OpKind::Scan:
      case OpKind::Scale:
      case OpKind::Slice:
        CHECK(Execution::runs(op, graph.model));  // Engine refuses models that need it
        break;
    }
  }
}

Weight& Weights::bind(const Gguf& file, const Value& value) {
  CHECK(value.role == Role::Weight);
  if (const auto it = weights_.find(value.name); it != weights_.end()) return it->second;
  const TensorView& view = file.at(value.name);
  // (1, n) and (n, 1) are the same vector; converters write either.
  const bool same_vector = value.rows == 1 && view.rows * view.cols == value.cols;
  if (!same_vector && (view.rows != value.rows || view.cols != value.cols)) {
    throw_invalid(format(
        "{}: tensor {} is ({}, {}), expected ({}, {}); the file does not hold the model it names",
        file.name(), value.name, view.rows, view.cols, value.rows, value.cols));
  }
  if (!engine_supports(view.dtype)) {
    throw_unsupported(format(
        "{}: tensor {} is in {}, which this version has no kernel for; it runs f32, f16, bf16, "
        "q4_0, q4_1, q8_0, q4_k and q6_k",
        file.name(), value.name, dtype_info(view.dtype).name));
  }
  CHECK(view.data.size() >= static_cast<std::size_t>(view.rows) * row_bytes(view.dtype, view.cols));
  Weight& weight = weights_[value.name];
  weight.table = &view;
  return weight;
}

const PackedMatrix& Weights::pack(Weight& weight, const Value& value, std::int64_t n_matrices,
                                  ThreadPool& pool) {
  PackedMatrix& matrix = weight.matrix;
  if (matrix.rows() != 0) return matrix;  // tied
  CHECK(value.rows % n_matrices == 0);
  matrix = PackedMatrix(weight.table->dtype, n_matrices, value.rows / n_matrices, value.cols);
  const auto panels = static_cast<std::size_t>(matrix.n_panels());
  pool.parallel_for(static_cast<std::size_t>(n_matrices) * panels, 1,
                    [&](std::size_t begin, std::size_t end, int) {
                      for (std::size_t i = begin; i < end; ++i) {
                        matrix.fill(weight.table->data.data(),
                                    static_cast<std::int64_t>(i / panels),
                                    static_cast<std::int64_t>(i % panels));
                      }
                    });
  return matrix;
}

const Weight& Weights::at(std::string_view name) const {
  const auto it = weights_.find(name);
  CHECK(it != weights_.end());
  return it->second;
}

double Weights::packed_bytes() const {
  double bytes = 0;
  for (const auto& [name, weight] : weights_) {
    if (weight.matrix.rows() != 0) bytes += static_cast<double>(weight.matrix.bytes());
  }
  return bytes;
}

}  // namespace tinderbox
