#include "engine/arena.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

Arena::Arena(const Graph& largest) : places_(largest.values.size()) {
  plan(largest);
  memory_ = hwy::AllocateAligned<float>(floats_);
  if (memory_ == nullptr) {
    throw_too_large(format("no memory for activations of {}; ask for smaller steps",
                           human(Bytes(static_cast<double>(bytes())))));
  }
}

// First fit: each value takes the lowest gap between the values that are alive when it is born.
void Arena::plan(const Graph& largest) {
  std::vector<std::size_t> last_use(places_.size(), 0);
  for (std::size_t i = 0; i < largest.ops.size(); ++i) {
    for (const ValueId id : largest.ops[i].in) {
      if (id != kNoValue) last_use[static_cast<std::size_t>(id)] = i;
    }
  }
  if (largest.logits != kNoValue)
    last_use[static_cast<std::size_t>(largest.logits)] = largest.ops.size();
  std::vector<std::size_t> alive;  // by offset
  for (std::size_t i = 0; i < largest.ops.size(); ++i) {
    const ValueId out = largest.ops[i].out;
    if (out != kNoValue) {
      const auto id = static_cast<std::size_t>(out);
      const Value& v = largest.values[id];
      Place& place = places_[id];
      place.size = (static_cast<std::size_t>(v.rows * v.cols) + 15) / 16 * 16;
      auto at = alive.begin();
      for (; at != alive.end() && places_[*at].offset < place.offset + place.size; ++at) {
        place.offset = places_[*at].offset + places_[*at].size;
      }
      alive.insert(at, id);
      floats_ = std::max(floats_, place.offset + place.size);
    }
    std::erase_if(alive, [&](std::size_t id) { return last_use[id] <= i; });
  }
}

float* Arena::at(const Graph& graph, ValueId id) const {
  const auto index = static_cast<std::size_t>(id);
  CHECK(index < places_.size());
  const Value& v = graph.values[index];
  CHECK(v.role == Role::Activation &&
        static_cast<std::size_t>(v.rows * v.cols) <= places_[index].size);
  return memory_.get() + places_[index].offset;
}

}  // namespace tinderbox
