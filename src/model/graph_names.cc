// Names of ops and classes, for reports.
#include <cstdlib>

#include "model/graph.h"

namespace tinderbox {

std::string_view op_name(OpKind kind) {
  switch (kind) {
    case OpKind::Embed:
      return "embed";
    case OpKind::RmsNorm:
      return "rms_norm";
    case OpKind::LayerNorm:
      return "layer_norm";
    case OpKind::MatMul:
      return "mat_mul";
    case OpKind::BlockMatMul:
      return "block_mat_mul";
    case OpKind::Rope:
      return "rope";
    case OpKind::KvStore:
      return "kv_store";
    case OpKind::PoolStore:
      return "pool_store";
    case OpKind::Select:
      return "select";
    case OpKind::Attention:
      return "attention";
    case OpKind::Conv:
      return "conv";
    case OpKind::Scan:
      return "scan";
    case OpKind::Glu:
      return "glu";
    case OpKind::Add:
      return "add";
    case OpKind::Scale:
      return "scale";
    case OpKind::Dot:
      return "dot";
    case OpKind::StreamGates:
      return "stream_gates";
    case OpKind::StreamRead:
      return "stream_read";
    case OpKind::StreamWrite:
      return "stream_write";
    case OpKind::Slice:
      return "slice";
    case OpKind::MoeRoute:
      return "moe_route";
    case OpKind::MoeMatMul:
      return "moe_mat_mul";
    case OpKind::MoeCombine:
      return "moe_combine";
    case OpKind::SelectRows:
      return "select_rows";
  }
  std::abort();
}

std::string_view op_class_name(OpClass op_class) {
  switch (op_class) {
    case OpClass::Embed:
      return "embed";
    case OpClass::Norm:
      return "norm";
    case OpClass::MatMul:
      return "mat_mul";
    case OpClass::LmHead:
      return "lm_head";
    case OpClass::Attention:
      return "attention";
    case OpClass::KvStore:
      return "kv_store";
    case OpClass::Elementwise:
      return "elementwise";
    case OpClass::Expert:
      return "expert";
    case OpClass::Route:
      return "route";
    case OpClass::Scan:
      return "scan";
  }
  std::abort();
}

}  // namespace tinderbox
