// Files of one format name differ in which modules they leave in more bits; the size of a file says
// which of the usual choices was made, where nobody said it in words.
#pragma once

#include <set>

#include "base/units.h"
#include "model/config.h"
#include "model/weight_format.h"

namespace tinderbox {

// The usual choice, given format first, whose weights are as large as the file: with what the file
// holds beside the text model (encoders in 16 bits, heads of multi-token prediction or not). The
// given one if no other comes closer by at least 1 % of the size, or if none comes within 8 %.
// settled: classes that no choice changes, as a publisher named their formats.
WeightFormat choose_by_size(const WeightFormat& format, const std::set<WeightClass>& settled,
                            const ModelConfig& model, Bytes file, WeightFile kind);

}  // namespace tinderbox
