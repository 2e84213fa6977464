// Quantised panels in plain C++, for processors without an intrinsics tier: fixed-length integer
// loops that compilers turn into vector code. Also what the intrinsics tier is compared with.
#pragma once

#include <cstdint>

#include "engine/kernels/act_block.h"
#include "model/dtype.h"

namespace tinderbox::portable {

// Rounds to nearest even.
void quantise(const float* x, std::int64_t n_blocks, ActBlock* out);

// The kernel of a quantised format that the engine supports.
PanelKernel panel_kernel(DType dtype);

}  // namespace tinderbox::portable
