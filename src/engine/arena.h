// The activations of a step in one piece of memory: values whose lifetimes do not overlap share
// bytes. Planned once for the largest step; a smaller one has the same values in the same order,
// only with fewer rows.
#pragma once

#include <cstddef>
#include <vector>

#include <hwy/aligned_allocator.h>

#include "model/graph.h"

namespace tinderbox {

class Arena {
 public:
  // Throws Error::TooLarge if there is no memory.
  explicit Arena(const Graph& largest);

  // Where an activation of a step lives, 64-byte aligned. Requires a step of the same model that is
  // no larger.
  float* at(const Graph& graph, ValueId id) const;
  std::size_t bytes() const { return floats_ * sizeof(float); }

 private:
  struct Place {
    std::size_t offset = 0, size = 0;  // floats
  };
  void plan(const Graph& largest);

  std::vector<Place> places_;  // by ValueId; size 0 for weights
  std::size_t floats_ = 0;
  hwy::AlignedFreeUniquePtr<float[]> memory_;
};

}  // namespace tinderbox
