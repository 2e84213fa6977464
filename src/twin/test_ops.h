// For tests of prices: ops and work in round numbers, for the machine of test_models.h.
#pragma once

#include "twin/price.h"
#include "twin/test_models.h"

namespace tinderbox::testing {

// A product of so many rows, or an expert's of so many tokens.
inline OpShape product(OpClass op_class, double rows, DType dtype = DType::F16) {
  OpShape op;
  op.op_class = op_class;
  op.x_rows = rows;
  op.w_dtype = dtype;
  return op;
}
inline OpShape shape_of(OpClass op_class) { return product(op_class, 1); }

// 1 s of F16 at clock_light, 0.1 s of bandwidth.
inline Work big() {
  Work work;
  work.matmul = Flops(1e12);
  work.weights = Bytes(10e9);
  return work;
}
inline Work cache_of(double bytes) {
  Work work;
  work.kv_read = Bytes(bytes);
  return work;
}
inline Work activations_of(double bytes) {
  Work work;
  work.activations = Bytes(bytes);
  return work;
}

}  // namespace tinderbox::testing
