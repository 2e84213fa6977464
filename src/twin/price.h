// The price of one op from its exact counts: what each resource alone would take, and how they add
// up. With the stack's kernels for the weight's format (memory share m, compute share c) and its
// parameters (twin/stack.h):
//
//   memory    weights / (m bandwidth) + spilled activations / (vector share bandwidth)
//   compute   flops / (c peak) * (rows + half_rows) / rows     rows of the product, or an expert's; of one row
//                                                              flops / (c peak), by kernels for vectors
//   time      longer + overlap_ratio * shorter + kernels * kernel time + product_time or scan_time
//
// A kernel takes kernel_time in a prompt's step, which is built anew; in decode graph_kernel_time where a
// captured graph is replayed, eager_kernel_time where not.
//
// One row by 16-bit weights of n < 5120 columns reads them at m (n / 5120)^short_row_exponent; nothing
// is read faster than the bus.
//
// Attention reads keys and values at its own memory share and multiplies in 16 bits at its own
// compute share, both smaller where heads are wider than 128; a scan likewise. Norms, element-wise ops,
// routing and look-ups move activations.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/units.h"
#include "twin/twin_model.h"
#include "twin/work.h"

namespace tinderbox {

enum class Bound : std::uint8_t { Compute, Memory, Launch, Link };
inline constexpr int kBounds = 4;
std::string_view bound_name(Bound bound);
Bound largest(Seconds compute, Seconds memory, Seconds launch);

struct Cost {
  Seconds time;
  Bound bound = Bound::Launch;
  Seconds compute{}, memory{}, launch{};  // what each resource alone would take
};

// decode: every sequence of the step adds one token, which is when stacks replay captured graphs (of steps
// of few enough tokens) and the clock is not limited by power.
Cost price(const OpShape& op, const StepShape& step, const Work& work, const TwinModel& twin,
           bool decode);

// Distinct experts that a step of n tokens touches. Text is not routed at random: what is read now is
// about something, and some experts are popular with it. With a popularity p an expert is one of a
// token's K of E; over the experts it is spread as Beta(a, a (E / K - 1)), whose mean is K / E, with the
// stack's evenness a: 1, the popularities are spread widely; without end, all are alike. Of n tokens
//
//   E (1 - mean of (1 - p)^n) = E (1 - B(a, b + n) / B(a, b))
//
double experts_touched(const OpAttributes& at, double n_tokens, const Stack& stack);

}  // namespace tinderbox
