#include "box/box_watch.h"

#include <utility>

namespace tinderbox {

std::function<void(const Body&)> tell_body(std::function<void(const Body&)> first,
                                           std::vector<BoxWatch*> watches) {
  if (watches.empty()) return first;
  return [first = std::move(first), watches = std::move(watches)](const Body& body) {
    if (first) first(body);
    for (BoxWatch* watch : watches) watch->on_body(body);
  };
}

}  // namespace tinderbox
