// Float panels (F32, F16, BF16; 16 rows) times float activations, by Highway for whatever vectors
// there are.
#pragma once

#include "engine/kernels/act_block.h"
#include "model/dtype.h"

namespace tinderbox {

// The kernel for this processor. Requires F32, F16 or BF16.
PanelKernel float_panel_kernel(DType dtype);

}  // namespace tinderbox
